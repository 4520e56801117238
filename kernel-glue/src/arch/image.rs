//! Where the parts of the image lie: the symbols of link.ld.

use core::ops::Range;

unsafe extern "C" {
    static __image_start: u8;
    static __text_start: u8;
    static __text_end: u8;
    static __image_end: u8;
    static __files_start: u8;
    static __files_end: u8;
    static __tls_start: u8;
    static __tls_data_end: u8;
    static __tls_end: u8;
    static __tls_align: u8;
}

/// The whole image in memory, page tables and .bss included; page-aligned.
pub fn all() -> Range<u64> {
    &raw const __image_start as u64..&raw const __image_end as u64
}

/// Executable code; page-aligned.
pub fn text() -> Range<u64> {
    &raw const __text_start as u64..&raw const __text_end as u64
}

/// The files the builder linked in (empty when there are none).
pub fn files() -> &'static [u8] {
    let (start, end) = (&raw const __files_start, &raw const __files_end as usize);
    // SAFETY: the linker script puts both symbols around one read-only section that stays mapped for ever.
    unsafe { core::slice::from_raw_parts(start, end - start as usize) }
}

/// What a thread's variables begin as, and where they lie.
pub struct ThreadLocals {
    /// The rest is zero.
    pub initial: &'static [u8],
    /// How far below the thread pointer they begin, bytes.
    pub offset: usize,
    /// What the thread pointer is a multiple of; a power of two, 64 to 4096.
    pub align: usize,
}

pub fn thread_locals() -> ThreadLocals {
    let (start, data_end, end) = (
        &raw const __tls_start,
        &raw const __tls_data_end as usize,
        &raw const __tls_end as usize,
    );
    let align = &raw const __tls_align as usize;
    // SAFETY: as in `files`.
    let initial = unsafe { core::slice::from_raw_parts(start, data_end - start as usize) };
    // Where the linker assumes them (x86-64 psABI, "ELF Handling For Thread-Local Storage", variant II): as far above a
    // multiple of the alignment as the segment itself begins.
    let offset = end.next_multiple_of(align) - start as usize;
    ThreadLocals { initial, offset, align }
}
