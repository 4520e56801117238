//! The PVH boot information (Xen's include/public/arch-x86/hvm/start_info.h): read once, copied, checked.

use super::BootInfo;
use crate::arch::{image, paging};
use crate::critical::Guarded;
use crate::memory::{self, map::Regions};

const MAGIC: u32 = 0x336e_c578;
const RAM: u32 = 1;
/// What lies below is the firmware's and the loader's.
const LOW_MEMORY_END: u64 = 1 << 20;
const LONGEST_COMMAND_LINE: usize = 4096;
/// Far more than firmware gives (EFI's maps have up to a few hundred); the rest of a longer one is not used.
const MOST_MAP_ENTRIES: u64 = 1024;
/// Larger than any payload (user-data is at most a few hundred KiB), bytes.
const LARGEST_MODULE: u64 = 64 << 20;

#[repr(C)]
#[derive(Clone, Copy)]
struct StartInfo {
    magic: u32,
    /// 0: without memory map; 1: with it.
    version: u32,
    flags: u32,
    module_count: u32,
    modules: u64,
    command_line: u64,
    rsdp: u64,
    memory_map: u64,
    memory_map_entries: u32,
    reserved: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Module {
    address: u64,
    size: u64,
    command_line: u64,
    reserved: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct MapEntry {
    address: u64,
    size: u64,
    kind: u32,
    reserved: u32,
}

static COMMAND_LINE: Guarded<[u8; LONGEST_COMMAND_LINE]> = Guarded::new([0; LONGEST_COMMAND_LINE]);

/// Reads what the loader left at `address`, and gives the RAM it lists to the memory allocator.
pub fn read(address: u64) -> Result<BootInfo, &'static str> {
    let info: StartInfo = load(address).ok_or("the loader gave no boot information: start this image by PVH")?;
    if info.magic != MAGIC {
        return Err("the loader's boot information has a wrong magic number: start this image by PVH");
    }
    if info.version < 1 || info.memory_map_entries == 0 {
        return Err("the loader gave no memory map (PVH version 1): use a newer loader");
    }
    let command_line = copy_command_line(info.command_line);
    let listed: Option<Module> = (info.module_count > 0).then(|| load(info.modules)).flatten();
    let mut free = Regions::new();
    let mut total = 0u64;
    // What is not RAM comes last: where entries overlap it counts.
    for ram in [true, false] {
        for index in 0..(info.memory_map_entries as u64).min(MOST_MAP_ENTRIES) {
            let place = info.memory_map.checked_add(index * size_of::<MapEntry>() as u64);
            let entry: MapEntry = place.and_then(load).ok_or("the loader's memory map cannot be read")?;
            match (ram, entry.kind == RAM) {
                (true, true) => {
                    total = total.saturating_add(entry.size);
                    free.add(entry.address, entry.size, LOW_MEMORY_END..paging::IDENTITY_END);
                }
                (false, false) => free.remove(entry.address..entry.address.saturating_add(entry.size)),
                _ => {}
            }
        }
    }
    free.remove(image::all());
    if let Some(module) = &listed {
        free.remove(module.address..module.address.saturating_add(module.size));
    }
    // Null pointers have to fault; the boot information may have lain there.
    paging::unmap(0);
    // The first page table entries come from the reserve, so the module is mapped once there is RAM for them.
    memory::init(&free, total);
    if free.left_out() {
        crate::log!(Warn, "not all RAM is used: it is in too many pieces");
    }
    let module = listed.as_ref().and_then(module);
    if listed.is_some() && module.is_none() {
        crate::log!(Warn, "the payload cannot be read (64 MiB at most): defaults hold");
    }
    Ok(BootInfo {
        command_line,
        module,
        rsdp: Some(info.rsdp).filter(|rsdp| *rsdp != 0),
    })
}

/// What is in a boot module; `None` when there cannot be one.
fn module(module: &Module) -> Option<&'static [u8]> {
    if module.address < paging::PAGE || module.size > LARGEST_MODULE {
        return None;
    }
    slice(module.address, module.size as usize)
}

/// Copies a structure out of memory the loader wrote.
fn load<T: Copy>(address: u64) -> Option<T> {
    if address == 0 {
        return None;
    }
    let place = memory::map_ram(address, size_of::<T>())?;
    // SAFETY: mapped just now; the structures read here are plain numbers, valid for any contents.
    Some(unsafe { place.cast::<T>().read_unaligned() })
}

fn slice(address: u64, length: usize) -> Option<&'static [u8]> {
    let place = memory::map_ram(address, length)?;
    // SAFETY: mapped just now. What stays in use (the module) was taken out of the free RAM; the rest is read before RAM is used.
    Some(unsafe { core::slice::from_raw_parts(place.as_ptr(), length) })
}

/// Copies the command line away from memory that will be used for other things. One that is too long is cut, bytes that are
/// not UTF-8 end it.
fn copy_command_line(address: u64) -> &'static str {
    // SAFETY: at boot, called once.
    let buffer = unsafe { COMMAND_LINE.get() };
    let mut length = 0;
    // Page by page: the text may end just before memory that is none.
    while address != 0 && length < buffer.len() {
        let Some(at) = address.checked_add(length as u64) else {
            break;
        };
        let room = (paging::PAGE - at % paging::PAGE) as usize;
        let Some(piece) = slice(at, room.min(buffer.len() - length)) else {
            break;
        };
        let end = piece.iter().position(|byte| *byte == 0);
        let count = end.unwrap_or(piece.len());
        buffer[length..length + count].copy_from_slice(&piece[..count]);
        length += count;
        if end.is_some() {
            break;
        }
    }
    let bytes = &buffer[..length];
    match core::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => core::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or(""),
    }
}
