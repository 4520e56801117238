//! Typed launcher for QEMU.
