//! Why a file is not an image, or cannot become one.

use std::fmt;

#[derive(Debug, PartialEq, Eq)]
pub enum Error {
    NotElf,
    NotForThisMachine,
    Truncated(&'static str),
    NoCode,
    NoEntryNote,
    WritableCode(u64),
    Overlap(u64),
    Outside { what: &'static str, address: u64 },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NotElf => write!(f, "not an ELF file\n  next: `./cartridge build APP` makes an image"),
            Error::NotForThisMachine => write!(
                f,
                "an ELF file, but no static x86-64 executable: this is not a cartridge\n  next: `./cartridge build APP` makes an image"
            ),
            Error::Truncated(what) => write!(
                f,
                "the file ends within its {what}: it was cut short\n  next: build it again"
            ),
            Error::NoCode => write!(
                f,
                "the program has no loadable segments\n  next: check kernel-glue's linker script"
            ),
            Error::NoEntryNote => write!(
                f,
                "no Xen PVH entry note (type 18): no hypervisor would find the entry point\n  next: check that kernel-glue is linked and that its linker script keeps .note.Xen"
            ),
            Error::WritableCode(address) => write!(
                f,
                "the segment at {address:#x} is writable and executable\n  next: keep sections apart in the linker script; an image is W^X"
            ),
            Error::Overlap(address) => write!(
                f,
                "two segments share the address {address:#x}\n  next: keep sections apart in kernel-glue's linker script"
            ),
            Error::Outside { what, address } => write!(
                f,
                "the {what} at {address:#x} lies in no loaded segment\n  next: check kernel-glue's linker script"
            ),
        }
    }
}
