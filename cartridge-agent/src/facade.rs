//! What libraries log through the `log` crate, in the cartridge's log (feature `log`).

use crate::log::log_line;
use cartridge_agent_core::log::Level;
use log::{LevelFilter, Log, Metadata, Record};

struct Facade;

static FACADE: Facade = Facade;

/// Takes the place of the program's logger, unless it has one already.
pub fn install() {
    if log::set_logger(&FACADE).is_ok() {
        log::set_max_level(match crate::log::level() {
            Level::Error => LevelFilter::Error,
            Level::Warn => LevelFilter::Warn,
            Level::Info => LevelFilter::Info,
            Level::Debug => LevelFilter::Debug,
            Level::Trace => LevelFilter::Trace,
        });
    }
}

impl Log for Facade {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        let level = match record.level() {
            log::Level::Error => Level::Error,
            log::Level::Warn => Level::Warn,
            log::Level::Info => Level::Info,
            log::Level::Debug => Level::Debug,
            log::Level::Trace => Level::Trace,
        };
        log_line(level, format_args!("{}: {}", record.target(), record.args()));
    }

    fn flush(&self) {}
}
