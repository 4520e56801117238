//! virtio 1.x devices over PCI and MMIO.
