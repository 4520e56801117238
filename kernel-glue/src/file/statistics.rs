//! The text of /run/cartridge/stats: a line `name value` for each figure.

use crate::errno::{Errno, Result};
use crate::heap::{self, Vec};
use crate::{clock, memory, net, thread};
use core::fmt::{self, Write};

pub fn text() -> Result<Vec<u8>> {
    let memory = memory::statistics();
    let scheduler = thread::statistics();
    let frames = net::counters();
    let figures = [
        ("memory_total_bytes", memory.total),
        ("memory_free_bytes", memory.free),
        ("kernel_heap_bytes", memory.kernel_heap_used),
        ("program_heap_bytes", memory.program_heap_used),
        ("stack_bytes", memory.stacks_backed),
        ("threads", scheduler.threads as u64),
        ("idle_ns", scheduler.idle_ns),
        ("uptime_ns", clock::now()),
        ("network_received_frames", frames.received_frames),
        ("network_received_bytes", frames.received_bytes),
        ("network_sent_frames", frames.sent_frames),
        ("network_sent_bytes", frames.sent_bytes),
        ("network_dropped_frames", frames.dropped),
        ("connections", net::connections() as u64),
    ];
    let mut text = Text(heap::vec());
    for (name, value) in figures {
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
