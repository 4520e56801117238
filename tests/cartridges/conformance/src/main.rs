//! What a program may expect of std, checked. The same source runs on Linux (`cargo run -p conformance`) and in a
//! cartridge.
//!
//! Without arguments every check runs; `only TEXT` runs those whose name contains it. The other modes end in a special
//! way, for the driver to look at: `panic`, `panic-thread`, `abort`, `exit N`, `unfinished N`, `farewell`, `environment`,
//! `overflow`, `exhaust`, `reserve N`, `fill N`.

mod ending;
mod files;
mod floats;
mod guest;
mod memory;
mod names;
mod outbound;
mod polling;
mod process;
mod report;
mod scratch;
mod sync;
mod tcp;
mod tcp_limits;
mod thread_locals;
mod threads;
mod timing;
mod udp;

use report::Report;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => run(""),
        ["only", ref words @ ..] => run(&words.join(" ")),
        ["environment", ..] => process::print_environment(),
        ["exit", status] => std::process::exit(status.parse().unwrap_or(2)),
        ["unfinished", status] => ending::unfinished(status.parse().unwrap_or(2)),
        ["panic"] => ending::panic(),
        ["panic-thread"] => ending::panic_in_a_thread(),
        ["farewell"] => ending::farewell(),
        ["abort"] => std::process::abort(),
        ["overflow"] => ending::overflow_the_stack(),
        ["exhaust"] => ending::exhaust_the_heap(),
        ["reserve", gibibytes] => ending::reserve(gibibytes),
        ["fill", mebibytes] => memory::fill(mebibytes.parse().unwrap_or(0)),
        _ => {
            println!("conformance: unknown arguments {arguments:?}; see README.md for the modes");
            ExitCode::from(2)
        }
    }
}

fn run(filter: &str) -> ExitCode {
    let mut report = Report::default();
    report.run("process", process::CHECKS, filter);
    report.run("threads", threads::CHECKS, filter);
    report.run("thread_locals", thread_locals::CHECKS, filter);
    report.run("sync", sync::CHECKS, filter);
    report.run("floats", floats::CHECKS, filter);
    report.run("timing", timing::CHECKS, filter);
    report.run("memory", memory::CHECKS, filter);
    report.run("files", files::CHECKS, filter);
    report.run("scratch", scratch::CHECKS, filter);
    report.run("tcp", tcp::CHECKS, filter);
    report.run("tcp_limits", tcp_limits::CHECKS, filter);
    report.run("udp", udp::CHECKS, filter);
    report.run("outbound", outbound::CHECKS, filter);
    report.run("names", names::CHECKS, filter);
    report.run("polling", polling::CHECKS, filter);
    report.run("guest", guest::CHECKS, filter);
    ExitCode::from(report.finish())
}
