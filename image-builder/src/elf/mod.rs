//! ELF64 as far as an image needs it: reading what the linker made ([`read`]), writing the image ([`write`]), and the layouts both share.
//!
//! Source of every layout and number: System V ABI, "Object Files" (gABI 4.1, chapters 4 and 5), and its x86-64 supplement.

mod error;
pub mod read;
pub mod write;

pub use error::Error;

pub const PT_LOAD: u32 = 1;
pub const PT_NOTE: u32 = 4;
pub const PT_TLS: u32 = 7;
pub const PF_X: u32 = 1;
pub const PF_W: u32 = 2;
pub const PF_R: u32 = 4;
const ET_EXEC: u16 = 2;
const EM_X86_64: u16 = 62;
/// Bytes of the file header and of one program header.
const FILE_HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
/// `\x7fELF`, 64 bit, little-endian, version 1; the rest of the 16 is zero.
const IDENT: [u8; 7] = [0x7f, b'E', b'L', b'F', 2, 1, 1];

/// A program header and the bytes it has in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    pub kind: u32,
    /// PF_R, PF_W, PF_X.
    pub flags: u32,
    pub virtual_address: u64,
    pub physical_address: u64,
    pub memory_size: u64,
    pub align: u64,
    pub data: &'a [u8],
}

impl Segment<'_> {
    /// `R-X` and so on.
    pub fn permissions(&self) -> String {
        [(PF_R, 'R'), (PF_W, 'W'), (PF_X, 'X')]
            .iter()
            .map(|(bit, letter)| if self.flags & bit != 0 { *letter } else { '-' })
            .collect()
    }

    pub fn kind_name(&self) -> &'static str {
        match self.kind {
            PT_LOAD => "LOAD",
            PT_NOTE => "NOTE",
            PT_TLS => "TLS",
            _ => "other",
        }
    }

    fn memory(&self) -> std::ops::Range<u64> {
        self.virtual_address..self.virtual_address + self.memory_size
    }
}
