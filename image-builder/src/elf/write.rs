//! The image: the smallest ELF64 that every loader of ours accepts.
//!
//! File header, program headers (LOAD, NOTE, TLS), then the bytes of the loaded segments, packed. No sections, no symbols, no build
//! identity: the same program gives the same bytes. Loaders copy segments, none maps the file, so offsets need no page congruence;
//! they are kept congruent to the address modulo [`PACKING`], and p_align says so. Zeros at the end of a segment are left to the loader.

use super::read::Executable;
use super::{
    EM_X86_64, ET_EXEC, Error, FILE_HEADER, IDENT, PF_W, PF_X, PROGRAM_HEADER, PT_LOAD, PT_NOTE, PT_TLS, Segment,
};

/// Alignment of loaded bytes within the file.
const PACKING: u64 = 16;

/// Where a segment's bytes went.
struct Placed {
    offset: u64,
    file_size: u64,
}

/// Writes the image of `program`, after checking that it can boot and is W^X.
pub fn image(program: &Executable<'_>) -> Result<Vec<u8>, Error> {
    let loads: Vec<Segment<'_>> = of_kind(program, PT_LOAD).map(without_thread_zeros).collect();
    check(program, &loads)?;
    let loads: Vec<&Segment<'_>> = loads.iter().collect();
    let others: Vec<&Segment<'_>> = of_kind(program, PT_NOTE).chain(of_kind(program, PT_TLS)).collect();
    let count = loads.len() + others.len();

    let mut file = vec![0; FILE_HEADER + PROGRAM_HEADER * count];
    let mut headers = Vec::new();
    let mut places = Vec::new();
    for segment in &loads {
        let place = append(&mut file, segment, notes_end(segment, &others));
        headers.extend(program_header(segment, &place, PACKING));
        places.push(place);
    }
    for segment in &others {
        let place = inside(segment, &loads, &places)?;
        headers.extend(program_header(segment, &place, segment.align));
    }
    file[..FILE_HEADER].copy_from_slice(&file_header(program.entry, count as u16));
    file[FILE_HEADER..][..headers.len()].copy_from_slice(&headers);
    Ok(file)
}

fn of_kind<'p, 'a>(program: &'p Executable<'a>, kind: u32) -> impl Iterator<Item = &'p Segment<'a>> {
    program.segments.iter().filter(move |segment| segment.kind == kind)
}

/// A segment that nobody writes has nothing to be zeroed: what the linker counts there is the zero part of the TLS template, which each
/// thread gets in memory of its own. Zeroed in place it would spoil the segment behind.
fn without_thread_zeros<'a>(segment: &Segment<'a>) -> Segment<'a> {
    let mut segment = segment.clone();
    if segment.flags & PF_W == 0 {
        segment.memory_size = segment.data.len() as u64;
    }
    segment
}

fn check(program: &Executable<'_>, loads: &[Segment<'_>]) -> Result<(), Error> {
    let mut loads: Vec<_> = loads.iter().collect();
    loads.sort_by_key(|segment| segment.virtual_address);
    if loads.is_empty() {
        return Err(Error::NoCode);
    }
    if let Some(segment) = loads
        .iter()
        .find(|segment| segment.flags & (PF_W | PF_X) == PF_W | PF_X)
    {
        return Err(Error::WritableCode(segment.virtual_address));
    }
    if let Some(pair) = loads
        .windows(2)
        .find(|pair| pair[0].memory().end > pair[1].virtual_address)
    {
        return Err(Error::Overlap(pair[1].virtual_address));
    }
    let entry = program.pvh_entry().ok_or(Error::NoEntryNote)?;
    match loads
        .iter()
        .any(|segment| segment.flags & PF_X != 0 && segment.memory().contains(&entry))
    {
        true => Ok(()),
        false => Err(Error::Outside {
            what: "PVH entry point",
            address: entry,
        }),
    }
}

/// Bytes of `load` that notes and the TLS template need in the file, zero or not: their headers point at them.
fn notes_end(load: &Segment<'_>, others: &[&Segment<'_>]) -> usize {
    let within = others
        .iter()
        .filter(|other| load.memory().contains(&other.virtual_address));
    within
        .map(|other| (other.virtual_address - load.virtual_address) as usize + other.data.len())
        .max()
        .unwrap_or(0)
}

fn append(file: &mut Vec<u8>, segment: &Segment<'_>, keep: usize) -> Placed {
    let used = segment
        .data
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    let data = &segment.data[..used.max(keep).min(segment.data.len())];
    while file.len() as u64 % PACKING != segment.virtual_address % PACKING {
        file.push(0);
    }
    let offset = file.len() as u64;
    file.extend(data);
    Placed {
        offset,
        file_size: data.len() as u64,
    }
}

/// The place of a note or TLS template: within the loaded segment that holds its address.
fn inside(segment: &Segment<'_>, loads: &[&Segment<'_>], places: &[Placed]) -> Result<Placed, Error> {
    if segment.data.is_empty() {
        return Ok(Placed {
            offset: 0,
            file_size: 0,
        });
    }
    let outside = Error::Outside {
        what: "note or TLS template",
        address: segment.virtual_address,
    };
    let found = loads
        .iter()
        .position(|load| load.memory().contains(&segment.virtual_address))
        .ok_or(outside)?;
    let offset = places[found].offset + (segment.virtual_address - loads[found].virtual_address);
    Ok(Placed {
        offset,
        file_size: segment.data.len() as u64,
    })
}

fn file_header(entry: u64, count: u16) -> [u8; FILE_HEADER] {
    let mut header = [0; FILE_HEADER];
    header[..IDENT.len()].copy_from_slice(&IDENT);
    header[16..18].copy_from_slice(&ET_EXEC.to_le_bytes());
    header[18..20].copy_from_slice(&EM_X86_64.to_le_bytes());
    header[20..24].copy_from_slice(&1u32.to_le_bytes());
    header[24..32].copy_from_slice(&entry.to_le_bytes());
    header[32..40].copy_from_slice(&(FILE_HEADER as u64).to_le_bytes());
    header[52..54].copy_from_slice(&(FILE_HEADER as u16).to_le_bytes());
    header[54..56].copy_from_slice(&(PROGRAM_HEADER as u16).to_le_bytes());
    header[56..58].copy_from_slice(&count.to_le_bytes());
    // e_shentsize: loaders that look at it want the size of a section header even when there are none.
    header[58..60].copy_from_slice(&64u16.to_le_bytes());
    header
}

fn program_header(segment: &Segment<'_>, place: &Placed, align: u64) -> Vec<u8> {
    let mut header = Vec::with_capacity(PROGRAM_HEADER);
    header.extend(segment.kind.to_le_bytes());
    header.extend(segment.flags.to_le_bytes());
    for field in [
        place.offset,
        segment.virtual_address,
        segment.physical_address,
        place.file_size,
        segment.memory_size,
        align,
    ] {
        header.extend(field.to_le_bytes());
    }
    header
}

#[cfg(test)]
mod tests {
    use super::super::{PF_R, read::Executable};
    use super::*;

    const NOTE: [u8; 20] = [
        4, 0, 0, 0, 4, 0, 0, 0, 18, 0, 0, 0, b'X', b'e', b'n', 0, 0x20, 0x00, 0x10, 0x00,
    ];

    /// The entry point at 0x101020.
    const NOTE_AT_101020: [u8; 20] = [
        4, 0, 0, 0, 4, 0, 0, 0, 18, 0, 0, 0, b'X', b'e', b'n', 0, 0x20, 0x10, 0x10, 0x00,
    ];

    fn load(address: u64, flags: u32, data: &[u8], memory_size: u64) -> Segment<'_> {
        Segment {
            kind: PT_LOAD,
            flags,
            virtual_address: address,
            physical_address: address,
            memory_size,
            align: 0x1000,
            data,
        }
    }

    fn note(address: u64) -> Segment<'static> {
        Segment {
            kind: PT_NOTE,
            align: 4,
            ..load(address, PF_R, &NOTE, NOTE.len() as u64)
        }
    }

    #[test]
    fn what_is_written_reads_back_with_its_flags_and_note() {
        let mut text = NOTE.to_vec();
        text.resize(0x40, 0x90);
        let mut data = vec![7; 8];
        data.resize(0x100, 0);
        let segments = vec![
            note(0x100000),
            load(0x100000, PF_R | PF_X, &text, 0x40),
            load(0x101008, PF_R | PF_W, &data, 0x2000),
        ];
        let file = image(&Executable {
            entry: 0x100020,
            segments,
        })
        .unwrap();
        let back = Executable::parse(&file).unwrap();
        assert_eq!((back.entry, back.pvh_entry()), (0x100020, Some(0x100020)));
        let shown: Vec<_> = back
            .segments
            .iter()
            .map(|s| (s.kind_name(), s.permissions(), s.data.len(), s.memory_size))
            .collect();
        assert_eq!(
            shown,
            [
                ("LOAD", "R-X".to_string(), 0x40, 0x40),
                ("LOAD", "RW-".to_string(), 8, 0x2000),
                ("NOTE", "R--".to_string(), 20, 20)
            ]
        );
        assert!(
            file.len() < 64 + 3 * 56 + 0x40 + 8 + 2 * PACKING as usize,
            "packed and without trailing zeros"
        );
    }

    #[test]
    fn the_zeros_of_a_tls_template_take_no_memory_behind_it() {
        let mut text = NOTE.to_vec();
        text.resize(0x40, 0x90);
        let tls = Segment {
            kind: PT_TLS,
            align: 8,
            ..load(0x100ff8, PF_R, &[5; 8], 0x20)
        };
        let rodata = [&[1; 0xff8][..], &[5; 8]].concat();
        let segments = vec![
            load(0x100000, PF_R, &rodata, 0x1018),
            tls,
            load(0x101000, PF_R | PF_X, &text, 0x40),
        ];
        let segments = [
            segments,
            vec![Segment {
                data: &NOTE_AT_101020,
                ..note(0x101000)
            }],
        ]
        .concat();
        let file = image(&Executable { entry: 0, segments }).unwrap();
        let back = Executable::parse(&file).unwrap();
        assert_eq!(
            (back.segments[0].memory_size, back.segments[3].memory_size),
            (0x1000, 0x20)
        );
    }

    #[test]
    fn writable_code_and_a_missing_note_are_refused() {
        let mut text = NOTE.to_vec();
        text.resize(0x40, 0x90);
        let with = |segments| image(&Executable { entry: 0, segments }).unwrap_err();
        assert_eq!(with(vec![]), Error::NoCode);
        assert_eq!(with(vec![load(0x100000, PF_R | PF_X, &text, 0x40)]), Error::NoEntryNote);
        assert_eq!(
            with(vec![load(0x100000, 7, &text, 0x40), note(0x100000)]),
            Error::WritableCode(0x100000)
        );
        let data = load(0x200000, PF_R | PF_X, &text, 0x40);
        assert!(matches!(
            with(vec![data, note(0x200000)]),
            Error::Outside { address: 0x100020, .. }
        ));
    }

    #[test]
    fn a_cut_file_is_an_error_and_never_a_panic() {
        let mut text = NOTE.to_vec();
        text.resize(0x40, 0x90);
        let segments = vec![note(0x100000), load(0x100000, PF_R | PF_X, &text, 0x40)];
        let file = image(&Executable {
            entry: 0x100020,
            segments,
        })
        .unwrap();
        for end in 0..file.len() {
            assert!(Executable::parse(&file[..end]).is_err(), "cut at {end}");
        }
    }
}
