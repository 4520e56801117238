//! The text of /run/cartridge/stats: a line `name value` for each figure.

use crate::errno::{Errno, Result};
use crate::heap::{self, Vec};
use crate::{clock, memory, net, thread};
use core::fmt::{self, Write};

/// In the order of the figures.
const NAMES: &str = "memory_total_bytes memory_used_bytes memory_free_bytes kernel_heap_bytes program_heap_bytes stack_bytes \
    threads load1_hundredths cpu_ns idle_ns uptime_ns network_received_frames network_received_bytes network_sent_frames network_sent_bytes \
    network_dropped_frames connections";

#[inline(never)] // its array would be on the stack of every opening of a file
pub fn text() -> Result<Vec<u8>> {
    let memory = memory::statistics();
    let scheduler = thread::statistics();
    let frames = net::counters();
    let values = [
        memory.total,
        memory.total.saturating_sub(memory.free),
        memory.free,
        memory.kernel_heap_used,
        memory.program_heap_used,
        memory.stacks_backed,
        scheduler.threads as u64,
        scheduler.load_hundredths,
        scheduler.busy_ns,
        scheduler.idle_ns,
        clock::now(),
        frames.received_frames,
        frames.received_bytes,
        frames.sent_frames,
        frames.sent_bytes,
        frames.dropped,
        net::connections() as u64,
    ];
    let mut text = Text(heap::vec());
    for (name, value) in NAMES.split(' ').zip(&values) {
        writeln!(text, "{name} {value}").map_err(|_| Errno::ENOMEM)?;
    }
    Ok(text.0)
}

struct Text(Vec<u8>);

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.try_reserve(text.len()).map_err(|_| fmt::Error)?;
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}
