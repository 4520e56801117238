//! PCI: configuration space in memory or by port, functions found through bridges, BARs, capabilities, MSI-X,
//! and the routing of INTx where there is no MSI-X.
//!
//! References: "PCI Local Bus" 3.0 (cited as "PCI"), "PCI Express Base" 4.0 (cited as "PCIe"), "PCI-to-PCI Bridge
//! Architecture" 1.2. Configuration space comes from outside: every offset and every list in it is bounded.

pub mod address_space;
pub mod bar;
pub mod capability;
pub mod configuration;
pub mod intx;
pub mod msix;
pub mod scan;

#[cfg(target_os = "hermit")]
pub mod access;
#[cfg(test)]
pub(crate) mod fake;
