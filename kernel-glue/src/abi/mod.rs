//! The Hermit ABI: the C functions that std and mio call.
