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

/// What a figure of the `stats` file is, for readers of /metrics.
struct Known {
    name: &'static str,
    metric: &'static str,
    kind: &'static str,
    help: &'static str,
}

const fn known(name: &'static str, metric: &'static str, kind: &'static str, help: &'static str) -> Known {
    Known {
        name,
        metric,
        kind,
        help,
    }
}

/// Names ending in `_ns` are nanoseconds and are shown in seconds, Prometheus' base unit.
const KNOWN: [Known; 14] = [
    known(
        "memory_total_bytes",
        "memory_total_bytes",
        "gauge",
        "Memory of the machine.",
    ),
    known(
        "memory_free_bytes",
        "memory_free_bytes",
        "gauge",
        "Memory in use by nobody.",
    ),
    known(
        "kernel_heap_bytes",
        "kernel_heap_bytes",
        "gauge",
        "Heap in use by the kernel.",
    ),
    known(
        "program_heap_bytes",
        "program_heap_bytes",
        "gauge",
        "Memory of the program's heap.",
    ),
    known(
        "stack_bytes",
        "stack_bytes",
        "gauge",
        "Memory of the stacks of all threads.",
    ),
    known("threads", "threads", "gauge", "Threads that exist."),
    known(
        "uptime_ns",
        "uptime_seconds",
        "gauge",
        "Time since the machine started.",
    ),
    known(
        "idle_ns",
        "idle_seconds_total",
        "counter",
        "Time in which no thread had work.",
    ),
    known(
        "network_received_frames",
        "network_received_frames_total",
        "counter",
        "Frames received.",
    ),
    known(
        "network_received_bytes",
        "network_received_bytes_total",
        "counter",
        "Bytes received in frames.",
    ),
    known(
        "network_sent_frames",
        "network_sent_frames_total",
        "counter",
        "Frames sent.",
    ),
    known(
        "network_sent_bytes",
        "network_sent_bytes_total",
        "counter",
        "Bytes sent in frames.",
    ),
    known(
        "network_dropped_frames",
        "network_dropped_frames_total",
        "counter",
        "Frames dropped for want of room.",
    ),
    known("connections", "connections", "gauge", "TCP connections that exist."),
];

/// Writes all figures; `stats` is the content of the `stats` file, lines of `name value`. Lines it does not understand are
/// left out.
///
/// # Errors
/// Those of `out`.
pub fn write(out: &mut dyn Write, figures: &Figures<'_>, stats: &str) -> fmt::Result {
    write_own(out, figures)?;
    let mut seen = 0u32;
    for line in stats.lines() {
        let Some((name, value)) = line.trim_ascii().split_once(' ') else {
            continue;
        };
        let Some(value) = crate::parameters::decimal(value.trim_ascii()) else {
            continue;
        };
        let Some(index) = KNOWN.iter().position(|known| known.name == name) else {
            continue;
        };
        // A metric has one sample; a second line of the same name would make the whole page invalid.
        if seen & (1 << index) == 0 {
            seen |= 1 << index;
            write_known(out, &KNOWN[index], value)?;
        }
    }
    Ok(())
}

fn write_known(out: &mut dyn Write, known: &Known, value: u64) -> fmt::Result {
    head(out, known.metric, known.kind, known.help)?;
    match known.name.ends_with("_ns") {
        true => sample(
            out,
            known.metric,
            "",
            "",
            value / 1_000_000_000,
            Some((value % 1_000_000_000) as u32),
        ),
        false => sample(out, known.metric, "", "", value, None),
    }
}

fn write_own(out: &mut dyn Write, figures: &Figures<'_>) -> fmt::Result {
    head(out, "info", "gauge", "The cartridge.")?;
    out.write_str("cartridge_info{name=\"")?;
    label(out, figures.name)?;
    out.write_str("\",version=\"")?;
    label(out, figures.version)?;
    out.write_str("\"} 1\n")?;

    head(
        out,
        "lifecycle_state",
        "gauge",
        "1 for the state the member is in, 0 for the others.",
    )?;
    for state in State::ALL {
        sample(
            out,
            "lifecycle_state",
            "state",
            state.name(),
            u64::from(state == figures.state),
            None,
        )?;
    }
    head(out, "agent_uptime_seconds", "gauge", "Time since the agent started.")?;
    sample(
        out,
        "agent_uptime_seconds",
        "",
        "",
        figures.uptime.as_secs(),
        Some(figures.uptime.subsec_nanos()),
    )?;
    head(
        out,
        "management_requests_total",
        "counter",
        "Requests to the management endpoint that were answered.",
    )?;
    sample(out, "management_requests_total", "", "", figures.requests.into(), None)?;
    head(out, "holds", "gauge", "Guards for work in flight that the app holds.")?;
    sample(out, "holds", "", "", figures.holds as u64, None)?;
    head(
        out,
        "log_lines_total",
        "counter",
        "Lines logged by the agent and through it.",
    )?;
    for (level, count) in Level::ALL.iter().zip(figures.log_lines) {
        sample(out, "log_lines_total", "level", level.name(), count.into(), None)?;
    }
    Ok(())
}

#[inline(never)]
fn head(out: &mut dyn Write, metric: &str, kind: &str, help: &str) -> fmt::Result {
    writeln!(
        out,
        "# HELP cartridge_{metric} {help}\n# TYPE cartridge_{metric} {kind}"
    )
}

/// One sample, with at most one label and, for seconds, with nanoseconds.
#[inline(never)]
fn sample(
    out: &mut dyn Write,
    metric: &str,
    label: &str,
    label_value: &str,
    value: u64,
    nanoseconds: Option<u32>,
) -> fmt::Result {
    write!(out, "cartridge_{metric}")?;
    if !label.is_empty() {
        write!(out, "{{{label}=\"{label_value}\"}}")?;
    }
    write!(out, " {value}")?;
    if let Some(nanoseconds) = nanoseconds {
        write!(out, ".{nanoseconds:09}")?;
    }
    out.write_str("\n")
}

/// A label's value: backslash, quote and line end are escaped.
fn label(out: &mut dyn Write, value: &str) -> fmt::Result {
    for character in value.chars() {
        match character {
            '\\' => out.write_str("\\\\")?,
            '"' => out.write_str("\\\"")?,
            '\n' => out.write_str("\\n")?,
            other => out.write_char(other)?,
        }
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
        let page = page("memory_total_bytes 8388608\nuptime_ns 2000000001\nquux 3\nthreads x\nthreads 5\nthreads 6\n");
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
        ] {
            assert!(page.lines().any(|it| it == line), "no {line} in\n{page}");
        }
        assert!(!page.contains("quux") && !page.contains("threads 6"));
    }

    #[test]
    fn the_page_keeps_to_the_grammar() {
        let all: String = KNOWN.iter().map(|known| std::format!("{} 1\n", known.name)).collect();
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
