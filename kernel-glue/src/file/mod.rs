//! Files: read-only ones compiled into the image, a small in-memory /tmp, and the guest interface under /run/cartridge.
