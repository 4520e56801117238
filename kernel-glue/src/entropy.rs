//! Random bytes for keys: virtio-rng or RDSEED/RDRAND, through a CSPRNG; refusal when the machine has no source.

pub struct NoEntropy;

pub fn fill(_buffer: &mut [u8]) -> Result<(), NoEntropy> {
    unimplemented!()
}

/// Unpredictable enough for hash seeds, ports and transaction ids even where [`fill`] refuses; never for keys.
pub fn weak() -> u64 {
    unimplemented!()
}
