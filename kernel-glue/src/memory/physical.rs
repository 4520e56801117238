//! Physical memory: each region of RAM is used from both ends, big contiguous steps from below and single frames from above,
//! and frames that came back are kept on a list inside themselves. Nothing walks RAM; it is mapped when it is handed out.

use super::map::Regions;
use super::reserve;
use crate::arch::paging::{self, LARGE_PAGE, PAGE};
use crate::critical::Guarded;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

#[derive(Clone, Copy)]
struct Region {
    /// Free RAM: from `low` up to `high`.
    low: u64,
    high: u64,
    /// Mapped are the addresses below `mapped_low` and from `mapped_high` on.
    mapped_low: u64,
    mapped_high: u64,
}

struct Physical {
    regions: [Region; super::map::MOST_REGIONS],
    count: usize,
    /// First frame of the list, 0 when empty; each frame's first word is the next one's address.
    free_frames: u64,
    free_count: u64,
}

static PHYSICAL: Guarded<Physical> = Guarded::new(Physical {
    regions: [Region {
        low: 0,
        high: 0,
        mapped_low: 0,
        mapped_high: 0,
    }; super::map::MOST_REGIONS],
    count: 0,
    free_frames: 0,
    free_count: 0,
});

/// True while the state above may be half changed: a page fault then has to make do with the reserve.
static BUSY: AtomicBool = AtomicBool::new(false);

/// Runs `work` on the state, or answers `None` when a page fault came in the middle of such work.
fn with<R>(work: impl FnOnce(&mut Physical) -> Option<R>) -> Option<R> {
    if BUSY.load(Relaxed) {
        return None;
    }
    BUSY.store(true, Relaxed);
    // SAFETY: callers are inside the critical section (or at boot), BUSY keeps a nested page fault out, and `work` never waits.
    let result = work(unsafe { PHYSICAL.get() });
    BUSY.store(false, Relaxed);
    result
}

pub fn init(free: &Regions) {
    with(|physical| {
        for &(low, high) in free.as_slice() {
            physical.regions[physical.count] = Region {
                low,
                high,
                mapped_low: low,
                mapped_high: high,
            };
            physical.count += 1;
        }
        Some(())
    });
}

/// Takes `bytes` (a multiple of 4096) of contiguous RAM, mapped read-write, contents unspecified. Answers its address.
pub fn take_contiguous(bytes: u64) -> Option<u64> {
    loop {
        // Page tables come from the reserve, which is refilled by this module: before each step, not within one.
        reserve::refill();
        let taken = with(|physical| {
            let count = physical.count;
            physical.regions[..count].iter_mut().find_map(|region| {
                let end = region.low.checked_add(bytes).filter(|end| *end <= region.high)?;
                let step = end.min(region.mapped_low.saturating_add(STEP));
                region.map_up_to(step)?;
                Some((step == end).then(|| core::mem::replace(&mut region.low, end)))
            })
        })?;
        if taken.is_some() {
            return taken;
        }
    }
}

/// Takes one frame, mapped, contents unspecified. `None`: no RAM left, or called from a page fault within this module.
pub fn take_frame() -> Option<u64> {
    with(|physical| physical.take_frame())
}

/// Gives a frame back.
///
/// # Safety
/// `frame` came from [`take_frame`], and nothing uses it any more.
pub unsafe fn give_frame(frame: u64) {
    with(|physical| {
        // SAFETY: the frame is ours again, and identity-mapped since it was taken.
        unsafe { (frame as *mut u64).write(physical.free_frames) };
        physical.free_frames = frame;
        physical.free_count += 1;
        Some(())
    });
}

/// Bytes not handed out.
pub fn free() -> u64 {
    // SAFETY: reading numbers inside the critical section.
    let physical = unsafe { PHYSICAL.get() };
    let untouched: u64 = physical.regions[..physical.count]
        .iter()
        .map(|region| region.high - region.low)
        .sum();
    untouched + physical.free_count * PAGE
}

/// Bytes of the largest contiguous piece.
pub fn largest() -> u64 {
    // SAFETY: reading numbers inside the critical section.
    let physical = unsafe { PHYSICAL.get() };
    physical.regions[..physical.count]
        .iter()
        .map(|region| region.high - region.low)
        .max()
        .unwrap_or(0)
}

impl Physical {
    fn take_frame(&mut self) -> Option<u64> {
        if self.free_frames != 0 {
            let frame = self.free_frames;
            // SAFETY: frames on the list are mapped, and their first word was written by give_frame.
            self.free_frames = unsafe { (frame as *const u64).read() };
            self.free_count -= 1;
            return Some(frame);
        }
        let count = self.count;
        self.regions[..count].iter_mut().find_map(|region| {
            let frame = region.high.checked_sub(PAGE).filter(|frame| *frame >= region.low)?;
            region.map_down_to(frame)?;
            region.high = frame;
            Some(frame)
        })
    }
}

/// How much is mapped between two refills of the reserve: three page directories at most, and a table at either end.
const STEP: u64 = 2 << 30;
/// How many small pages are mapped at once where a large one does not fit.
const BATCH: u64 = 16 * PAGE;

impl Region {
    /// Maps from below until `end` is mapped: by large pages, or in batches of small ones where none fits.
    fn map_up_to(&mut self, end: u64) -> Option<()> {
        while self.mapped_low < end.min(self.mapped_high) {
            let at = self.mapped_low;
            let large = at.next_multiple_of(LARGE_PAGE);
            let stop = if at == large {
                at + LARGE_PAGE
            } else {
                large.min(at + BATCH)
            };
            let stop = stop.min(self.mapped_high);
            self.mapped_low = map(at, stop)?;
        }
        Some(())
    }

    /// The same from above until `start` is.
    fn map_down_to(&mut self, start: u64) -> Option<()> {
        while self.mapped_high > start.max(self.mapped_low) {
            let at = self.mapped_high;
            let large = at & !(LARGE_PAGE - 1);
            let stop = if at == large {
                at - LARGE_PAGE
            } else {
                large.max(at - BATCH)
            };
            let stop = stop.max(self.mapped_low);
            map(stop, at)?;
            self.mapped_high = stop;
        }
        Some(())
    }
}

fn map(start: u64, end: u64) -> Option<u64> {
    // SAFETY: RAM of a region that nothing uses yet.
    unsafe { paging::map_range(start, end, paging::WRITE | paging::no_execute()) }.ok()?;
    Some(end)
}
