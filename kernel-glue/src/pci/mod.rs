//! PCI configuration space by port and ECAM, BARs, capabilities, MSI-X.
