//! What a boot costs: guest instructions, time, memory.

use std::time::Duration;

use serde::Serialize;

use super::answer::COUNTING_GAP;
use super::{Ready, answer, first_200, image_bytes, median, milliseconds, nothing_measured};
use crate::error::Error;
use crate::launch::Launch;
use crate::machine::{Accel, Firmware, Machine};

/// Requests a guest must answer to count as serving in so much memory.
const REQUESTS_TO_SERVE: usize = 20;

/// What to measure.
#[derive(Clone, Debug)]
pub struct BootOptions {
    /// The launch forwards a host port to it.
    pub guest_port: u16,
    pub path: String,
    /// Boots timed, and as many counted; the report gives medians.
    pub runs: usize,
    pub ready: Ready,
    /// For one boot.
    pub limit: Duration,
    /// Look for the least memory up to this many MiB; 0: do not.
    pub ram_search_max_mib: u32,
}

impl Default for BootOptions {
    fn default() -> BootOptions {
        BootOptions {
            guest_port: 8080,
            path: "/".to_owned(),
            runs: 5,
            ready: Ready::agent(),
            limit: Duration::from_secs(30),
            ram_search_max_mib: 64,
        }
    }
}

/// The figures of a boot.
#[derive(Clone, Debug, Serialize)]
pub struct BootReport {
    pub machine: Machine,
    pub firmware: Firmware,
    /// What `wall_ms` was measured with; instructions are counted under TCG always.
    pub accel: Accel,
    pub memory_mib: u32,
    pub image_bytes: u64,
    /// The least whole number of MiB that boots and answers 20 requests; none when not looked for.
    pub min_ram_mib: Option<u32>,
    /// From reset to the ready line, firmware included; none when the guest has no such line.
    pub instructions_to_ready: Option<u64>,
    /// From reset to the first answer 200 on the host.
    pub instructions_to_first_200: u64,
    /// Every run of `instructions_to_first_200`, in order of size.
    pub instruction_runs: Vec<u64>,
    /// The part of them spent in firmware in place.
    pub firmware_instructions: u64,
    /// Median time from the start of QEMU to the first answer 200.
    pub wall_ms: f64,
    /// Median time from the start of QEMU to the ready line.
    pub wall_ms_to_ready: Option<f64>,
    /// Every run of `wall_ms`.
    pub wall_runs_ms: Vec<f64>,
}

/// Boots the launch several times; `progress` is told each step.
pub fn boot(launch: &Launch, options: &BootOptions, progress: &mut dyn FnMut(&str)) -> Result<BootReport, Error> {
    let mut counts = Vec::new();
    for run in 1..=options.runs {
        progress(&format!("counting instructions of boot {run} of {}", options.runs));
        counts.push(count_instructions(launch, options)?);
    }
    // Time that the guest measures by waiting costs more instructions when the host is busy; the median is what is usual.
    counts.sort_by_key(|count| count.to_first_200);
    let count = counts
        .get(counts.len().saturating_sub(1) / 2)
        .ok_or_else(|| nothing_measured("0 runs asked for"))?;

    let (mut walls, mut readies, mut accel) = (Vec::new(), Vec::new(), Accel::Tcg);
    for run in 1..=options.runs {
        progress(&format!("timing boot {run} of {}", options.runs));
        let timed = time_boot(launch, options)?;
        walls.push(milliseconds(timed.to_first_200));
        readies.extend(timed.to_ready.map(milliseconds));
        accel = timed.accel;
    }
    let min_ram_mib = match options.ram_search_max_mib {
        0 => None,
        max => Some(least_memory(launch, options, max, progress)?),
    };
    Ok(BootReport {
        machine: launch.machine,
        firmware: launch.firmware(),
        accel,
        memory_mib: launch.memory_mib,
        image_bytes: image_bytes(&launch.image)?,
        min_ram_mib,
        instructions_to_ready: count.to_ready,
        instructions_to_first_200: count.to_first_200,
        instruction_runs: counts.iter().map(|count| count.to_first_200).collect(),
        firmware_instructions: count.firmware,
        wall_ms: median(&walls).ok_or_else(|| nothing_measured("0 runs asked for"))?,
        wall_ms_to_ready: median(&readies),
        wall_runs_ms: walls,
    })
}

struct Count {
    to_ready: Option<u64>,
    to_first_200: u64,
    firmware: u64,
}

fn count_instructions(launch: &Launch, options: &BootOptions) -> Result<Count, Error> {
    let mut launch = launch.clone();
    (launch.count_instructions, launch.accel) = (true, Accel::Tcg);
    let guest = launch.start()?;
    let ready = options.ready.wait(&guest, options.limit)?;
    let to_ready = ready
        .map(|_| guest.instructions())
        .transpose()?
        .map(|counts| counts.total);
    answer::first_200_every(COUNTING_GAP, &guest, options.guest_port, &options.path, options.limit)?;
    let counts = guest.instructions()?;
    guest.kill()?;
    Ok(Count {
        to_ready,
        to_first_200: counts.total,
        firmware: counts.firmware,
    })
}

struct Timed {
    to_ready: Option<Duration>,
    to_first_200: Duration,
    accel: Accel,
}

fn time_boot(launch: &Launch, options: &BootOptions) -> Result<Timed, Error> {
    let guest = launch.start()?;
    let to_ready = options.ready.wait(&guest, options.limit)?;
    let at = first_200(&guest, options.guest_port, &options.path, options.limit)?;
    guest.kill()?;
    Ok(Timed {
        to_ready,
        to_first_200: at.duration_since(guest.started()),
        accel: guest.accel(),
    })
}

/// Bisects between 0 MiB, which cannot work, and `max`, which must.
fn least_memory(
    launch: &Launch,
    options: &BootOptions,
    max: u32,
    progress: &mut dyn FnMut(&str),
) -> Result<u32, Error> {
    let (mut fails, mut works) = (0, max);
    let mut last_error = serves_in(launch, options, max)?;
    if let Some(error) = last_error.take() {
        return Err(error);
    }
    while works - fails > 1 {
        let middle = fails + (works - fails) / 2;
        let error = serves_in(launch, options, middle)?;
        progress(&format!(
            "memory: {middle} MiB {}",
            if error.is_none() { "serves" } else { "is too little" }
        ));
        if error.is_none() {
            works = middle
        } else {
            fails = middle
        }
    }
    Ok(works)
}

/// None when it serves; else why not. A guest that needs more than a few seconds is taken for stuck.
fn serves_in(launch: &Launch, options: &BootOptions, memory_mib: u32) -> Result<Option<Error>, Error> {
    let limit = options.limit.min(Duration::from_secs(5));
    let mut launch = launch.clone();
    launch.memory_mib = memory_mib;
    // A QEMU that cannot even start in so little memory is an answer, too.
    let guest = match launch.start() {
        Ok(guest) => guest,
        Err(error) => return Ok(Some(error)),
    };
    let came_up = options
        .ready
        .wait(&guest, limit)
        .and_then(|_| first_200(&guest, options.guest_port, &options.path, limit));
    if let Err(error) = came_up {
        return Ok(Some(error));
    }
    let served = answer::answers(&guest, options.guest_port, &options.path, REQUESTS_TO_SERVE, limit)?;
    Ok((!served).then(|| nothing_measured("the guest stopped answering")))
}
