//! Figures in the Prometheus text exposition format 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>): the kernel's from the `stats` file, and the agent's own.

use crate::lifecycle::State;
use crate::log::Level;
use core::fmt::{self, Write};
use core::time::Duration;

/// What the agent knows by itself.
pub struct Figures<'a> {
    /// The cartridge's name.
    pub name: &'a str,
    /// The cartridge's version.
    pub version: &'a str,
    /// The life-cycle state.
    pub state: State,
    /// How long the agent has run.
    pub uptime: Duration,
    /// Requests to the management endpoint that were answered.
    pub requests: u32,
    /// Guards that the app holds.
    pub holds: usize,
    /// Lines logged, in the order of [`Level::ALL`].
    pub log_lines: [u32; Level::ALL.len()],
}

/// The figures of the `stats` file for readers of /metrics: a line each, as [`Metric::of`] takes them.
const KNOWN: &str = "memory_total_bytes gauge Memory of the machine.
memory_used_bytes gauge Memory in use.
memory_free_bytes gauge Memory in use by nobody.
kernel_heap_bytes gauge Heap of the kernel.
program_heap_bytes gauge Heap of the program.
stack_bytes gauge Stacks of all threads.
threads gauge Threads that exist.
uptime_ns gauge Time since the machine started.
load1_hundredths gauge Threads that ran or could, averaged over a minute.
cpu_ns counter Time the processor worked.
idle_ns counter Time without work.
network_received_frames counter Frames received.
network_received_bytes counter Bytes received.
network_sent_frames counter Frames sent.
network_sent_bytes counter Bytes sent.
network_dropped_frames counter Frames dropped for want of room.
connections gauge TCP connections.";

/// The agent's own figures, in the same form.
const INFO: &str = "info gauge The cartridge.";
const STATE: &str = "lifecycle_state gauge 1 for the member's state.";
const UPTIME: &str = "agent_uptime_ns gauge Time since the agent started.";
const REQUESTS: &str = "management_requests counter Requests answered by the management endpoint.";
const HOLDS: &str = "holds gauge Guards for work in flight.";
const LOG_LINES: &str = "log_lines counter Lines logged.";

/// A metric, shown by its name: names of figures that end in `_ns` are nanoseconds and are shown in seconds, Prometheus'
/// base unit; those that end in `_hundredths` are shown as what they are hundredths of; names of counters end in `_total`.
struct Metric {
    name: &'static str,
    seconds: bool,
    hundredths: bool,
    kind: &'static str,
    help: &'static str,
}

impl Metric {
    /// The metric of a line `FIGURE KIND HELP`.
    #[inline(never)]
    fn of(line: &'static str) -> Self {
        let (figure, rest) = line.split_once(' ').unwrap_or_default();
        let (kind, help) = rest.split_once(' ').unwrap_or_default();
        let seconds = figure.strip_suffix("_ns");
        let hundredths = figure.strip_suffix("_hundredths");
        Metric {
            name: seconds.or(hundredths).unwrap_or(figure),
            seconds: seconds.is_some(),
            hundredths: hundredths.is_some(),
            kind,
            help,
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cartridge_")?;
        f.write_str(self.name)?;
        f.write_str(if self.seconds { "_seconds" } else { "" })?;
        f.write_str(if self.kind == "counter" { "_total" } else { "" })
    }
}

/// Nanoseconds in a second.
const NANOSECONDS: u64 = 1_000_000_000;

/// Writes all figures; `stats` is the content of the `stats` file, lines of `name value`. Lines it does not understand are
/// left out.
///
/// # Errors
/// Those of `out`.
#[inline(never)]
pub fn write(out: &mut dyn Write, figures: &Figures<'_>, stats: &str) -> fmt::Result {
    write_own(out, figures)?;
    let mut seen = 0u32;
    for line in stats.split('\n') {
        let Some((name, value)) = line.trim_ascii().split_once(' ') else {
            continue;
        };
        let Some(value) = crate::parameters::decimal(value.trim_ascii()) else {
            continue;
        };
        let is_named = |known: &str| known.strip_prefix(name).is_some_and(|rest| rest.starts_with(' '));
        let Some((index, known)) = KNOWN.split('\n').enumerate().find(|(_, known)| is_named(known)) else {
            continue;
        };
        // A metric has one sample; a second line of the same name would make the whole page invalid.
        if seen & (1 << index) == 0 {
            seen |= 1 << index;
            figure(out, known, value)?;
        }
    }
    Ok(())
}

#[inline(never)]
fn write_own(out: &mut dyn Write, figures: &Figures<'_>) -> fmt::Result {
    let info = Metric::of(INFO);
    head(out, &info)?;
    out.write_str("cartridge_info{name=\"")?;
    label(out, figures.name)?;
    out.write_str("\",version=\"")?;
    label(out, figures.version)?;
    out.write_str("\"} 1\n")?;
    let state = Metric::of(STATE);
    head(out, &state)?;
    for each in &State::ALL {
        sample(out, &state, "state", each.name(), u64::from(*each == figures.state))?;
    }
    let uptime = figures.uptime.as_secs() * NANOSECONDS + u64::from(figures.uptime.subsec_nanos());
    figure(out, UPTIME, uptime)?;
    figure(out, REQUESTS, figures.requests.into())?;
    figure(out, HOLDS, figures.holds as u64)?;
    let log_lines = Metric::of(LOG_LINES);
    head(out, &log_lines)?;
    for (level, count) in Level::ALL.iter().zip(&figures.log_lines) {
        sample(out, &log_lines, "level", level.name(), (*count).into())?;
    }
    Ok(())
}

/// A metric with one sample.
#[inline(never)]
fn figure(out: &mut dyn Write, line: &'static str, value: u64) -> fmt::Result {
    let metric = Metric::of(line);
    head(out, &metric)?;
    sample(out, &metric, "", "", value)
}

#[inline(never)]
fn head(out: &mut dyn Write, metric: &Metric) -> fmt::Result {
    let Metric { kind, help, .. } = metric;
    write!(out, "# HELP {metric} {help}\n# TYPE {metric} {kind}\n")
}

/// One sample, with at most one label.
#[inline(never)]
fn sample(out: &mut dyn Write, metric: &Metric, label: &str, label_value: &str, value: u64) -> fmt::Result {
    write!(out, "{metric}")?;
    if !label.is_empty() {
        write!(out, "{{{label}=\"{label_value}\"}}")?;
    }
    let (unit, digits) = match metric {
        Metric { seconds: true, .. } => (NANOSECONDS, 9),
        Metric { hundredths: true, .. } => (100, 2),
        _ => return writeln!(out, " {value}"),
    };
    writeln!(out, " {}.{:0digits$}", value / unit, value % unit)
}

/// A label's value: backslash and quote are escaped. (A line end would be too; launch parameters have none.)
fn label(out: &mut dyn Write, value: &str) -> fmt::Result {
    for character in value.chars() {
        if matches!(character, '\\' | '"') {
            out.write_char('\\')?;
        }
        out.write_char(character)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::string::String;

    fn page(stats: &str) -> String {
        let figures = Figures {
            name: "he\"l\\lo",
            version: "0.1.0",
            state: State::Active,
            uptime: Duration::from_millis(1500),
            requests: 7,
            holds: 2,
            log_lines: [1, 2, 3, 0, 0],
        };
        let mut out = String::new();
        write(&mut out, &figures, stats).unwrap();
        out
    }

    #[test]
    fn figures_have_help_type_and_base_units() {
        let page = page(
            "memory_total_bytes 8388608\nuptime_ns 2000000001\nquux 3\nthreads x\nthreads 5\nthreads 6\n\
                         load1_hundredths 1205\ncpu_ns 1\n",
        );
        for line in [
            "cartridge_info{name=\"he\\\"l\\\\lo\",version=\"0.1.0\"} 1",
            "cartridge_lifecycle_state{state=\"Active\"} 1",
            "cartridge_lifecycle_state{state=\"Created\"} 0",
            "cartridge_agent_uptime_seconds 1.500000000",
            "cartridge_management_requests_total 7",
            "cartridge_log_lines_total{level=\"info\"} 3",
            "# TYPE cartridge_memory_total_bytes gauge",
            "cartridge_memory_total_bytes 8388608",
            "cartridge_uptime_seconds 2.000000001",
            "cartridge_threads 5",
            "# TYPE cartridge_load1 gauge",
            "cartridge_load1 12.05",
            "# TYPE cartridge_cpu_seconds_total counter",
            "cartridge_cpu_seconds_total 0.000000001",
        ] {
            assert!(page.lines().any(|it| it == line), "no {line} in\n{page}");
        }
        assert!(!page.contains("quux") && !page.contains("threads 6"));
    }

    #[test]
    fn the_page_keeps_to_the_grammar() {
        let names = KNOWN.lines().map(|known| known.split_once(' ').unwrap().0);
        let all: String = names.map(|name| std::format!("{name} 1\n")).collect();
        let page = page(&all);
        assert!(page.ends_with('\n'));
        let (mut typed, mut samples) = (HashSet::new(), HashSet::new());
        for line in page.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(typed.insert(name) && ["gauge", "counter"].contains(&kind), "{line}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            } else if !line.starts_with("# HELP ") {
                let (sample, value) = line.rsplit_once(' ').unwrap();
                assert!(samples.insert(sample) && value.parse::<f64>().is_ok(), "{line}");
                assert!(typed.contains(sample.split('{').next().unwrap()), "{line}");
            }
        }
    }
}
