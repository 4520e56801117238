//! ACPI tables, read as untrusted bytes: what power, interrupt routing and PCI need from them.
