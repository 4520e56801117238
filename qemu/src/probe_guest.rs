//! The smallest guest that proves 64-bit code runs: it enters long mode, uses SSE2, and tells the debug-exit device.
//!
//! One ELF64 file with one segment at 1 MiB and the Xen note XEN_ELFNOTE_PHYS32_ENTRY (18), by which QEMU enters it in
//! 32-bit protected mode without paging (Xen's docs/misc/pvh.pandoc). Layout of the segment, 16 KiB:
//!
//! | offset | what |
//! |---|---|
//! | 0x0000 | code, the descriptor table and its pointer, the note |
//! | 0x1000 | page map level 4: one entry |
//! | 0x2000 | page directory pointers: one entry |
//! | 0x3000 | page directory: one 2 MiB page, identity-mapped |

const BASE: u32 = 0x10_0000;
const SIZE: usize = 0x4000;
/// Where the segment lies in the file; p_offset and p_vaddr agree modulo the page size.
const FILE_OFFSET: usize = 0x1000;
const NOTE: usize = 0x90;

/// The I/O port QEMU's isa-debug-exit is given.
pub(crate) const EXIT_PORT: u16 = 0xf4;
/// The device ends QEMU with status (value << 1) | 1; the guest writes 0x11, the top byte of a 64-bit constant.
pub(crate) const EXIT_STATUS: i32 = (0x11 << 1) | 1;

#[rustfmt::skip]
const CODE: &[(usize, &[u8])] = &[
    // 32-bit protected mode, flat segments, paging off.
    (0x00, &[0xb8, 0x20, 0x02, 0x00, 0x00]),             // mov eax, CR4.PAE | CR4.OSFXSR
    (0x05, &[0x0f, 0x22, 0xe0]),                         // mov cr4, eax
    (0x08, &[0xb8, 0x00, 0x10, 0x10, 0x00]),             // mov eax, 0x101000
    (0x0d, &[0x0f, 0x22, 0xd8]),                         // mov cr3, eax
    (0x10, &[0xb9, 0x80, 0x00, 0x00, 0xc0]),             // mov ecx, EFER
    (0x15, &[0x0f, 0x32]),                               // rdmsr
    (0x17, &[0x0d, 0x00, 0x01, 0x00, 0x00]),             // or eax, EFER.LME
    (0x1c, &[0x0f, 0x30]),                               // wrmsr
    (0x1e, &[0x0f, 0x20, 0xc0]),                         // mov eax, cr0
    (0x21, &[0x0d, 0x00, 0x00, 0x00, 0x80]),             // or eax, CR0.PG
    (0x26, &[0x0f, 0x22, 0xc0]),                         // mov cr0, eax
    (0x29, &[0x0f, 0x01, 0x15, 0x40, 0x00, 0x10, 0x00]), // lgdt [0x100040]
    (0x30, &[0xea, 0x60, 0x00, 0x10, 0x00, 0x08, 0x00]), // jmp 8:0x100060
    // The descriptor table's pointer: limit, base.
    (0x40, &[0x0f, 0x00, 0x48, 0x00, 0x10, 0x00]),
    // The table: nothing; 64-bit code, present, executable, readable.
    (0x50, &[0x00, 0x00, 0x00, 0x00, 0x00, 0x9b, 0x20, 0x00]),
    // 64-bit mode, with SSE2: a KVM that interprets instead of running knows no SSE.
    (0x60, &[0x48, 0xb8, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11]), // mov rax, 0x1122334455667788
    (0x6a, &[0x66, 0x48, 0x0f, 0x6e, 0xc0]),             // movq xmm0, rax
    (0x6f, &[0x66, 0x0f, 0xef, 0xc9]),                   // pxor xmm1, xmm1
    (0x73, &[0x66, 0x0f, 0xeb, 0xc8]),                   // por xmm1, xmm0
    (0x77, &[0x66, 0x48, 0x0f, 0x7e, 0xc8]),             // movq rax, xmm1
    (0x7c, &[0x48, 0xc1, 0xe8, 0x38]),                   // shr rax, 56
    (0x80, &[0xe6, EXIT_PORT as u8]),                    // out 0xf4, al
    (0x82, &[0xf4]),                                     // hlt
    (0x83, &[0xeb, 0xfd]),                               // jmp back to the hlt
];

/// The note: name size, description size, type; "Xen" and a zero; the entry.
const NOTE_BYTES: [u32; 5] = [4, 4, 18, u32::from_le_bytes(*b"Xen\0"), BASE];

/// Page-table bits: present and writable; a large page.
const PRESENT_WRITABLE: u64 = 0b11;
const LARGE: u64 = 1 << 7;

/// The ELF file.
pub(crate) fn image() -> Vec<u8> {
    let mut segment = vec![0; SIZE];
    for (offset, bytes) in CODE {
        put(&mut segment, *offset, bytes);
    }
    put(&mut segment, NOTE, &NOTE_BYTES.map(u32::to_le_bytes).concat());
    let base = u64::from(BASE);
    put(
        &mut segment,
        0x1000,
        &((base + 0x2000) | PRESENT_WRITABLE).to_le_bytes(),
    );
    put(
        &mut segment,
        0x2000,
        &((base + 0x3000) | PRESENT_WRITABLE).to_le_bytes(),
    );
    put(&mut segment, 0x3000, &(PRESENT_WRITABLE | LARGE).to_le_bytes());

    let mut file = header();
    file.extend(program_header(1, 7, FILE_OFFSET, base, SIZE, 0x1000)); // PT_LOAD
    file.extend(program_header(
        4,
        4,
        FILE_OFFSET + NOTE,
        base + NOTE as u64,
        NOTE_BYTES.len() * 4,
        4,
    )); // PT_NOTE
    file.resize(FILE_OFFSET, 0);
    file.extend(segment);
    file
}

/// ELF64 file header (System V ABI, "ELF Header"): two program headers after it, no sections.
fn header() -> Vec<u8> {
    let mut header = b"\x7fELF\x02\x01\x01".to_vec(); // 64-bit, little-endian, version 1
    header.resize(16, 0);
    for half in [2u16, 62] {
        header.extend(half.to_le_bytes()); // ET_EXEC, EM_X86_64
    }
    header.extend(1u32.to_le_bytes());
    for word in [u64::from(BASE), 64, 0] {
        header.extend(word.to_le_bytes()); // entry, program headers, section headers
    }
    header.extend(0u32.to_le_bytes());
    for half in [64u16, 56, 2, 0, 0, 0] {
        header.extend(half.to_le_bytes()); // header sizes and counts
    }
    header
}

fn program_header(kind: u32, flags: u32, offset: usize, address: u64, size: usize, align: u64) -> Vec<u8> {
    let mut bytes = [kind, flags].map(u32::to_le_bytes).concat();
    let size = size as u64;
    bytes.extend(
        [offset as u64, address, address, size, size, align]
            .map(u64::to_le_bytes)
            .concat(),
    );
    bytes
}

fn put(into: &mut [u8], offset: usize, bytes: &[u8]) {
    into[offset..offset + bytes.len()].copy_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pieces_do_not_overlap() {
        for pair in CODE.windows(2) {
            assert!(pair[0].0 + pair[0].1.len() <= pair[1].0);
        }
        assert!(CODE.last().is_some_and(|(offset, bytes)| offset + bytes.len() <= NOTE));
    }
}
