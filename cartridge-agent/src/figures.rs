//! What a control plane wants to know of the member, and has to say in the log.

use crate::log;
use crate::shared::Shared;
use cartridge_agent_core::control::{ControlPlane, Figures};
use cartridge_agent_core::text::Message;

/// The `stats` file is short.
const STATS_LIMIT: usize = 16 * 1024;

/// At most so many lines are taken at a time: the adapter bounds them, and this what a defect in it could do.
const LINES: usize = 16;

/// Logs what the adapter has to say, and tells it the figures if it wants them: true if it did.
pub fn answer(shared: &Shared, plane: &mut impl ControlPlane) -> bool {
    for _ in 0..LINES {
        let mut text = Message::new();
        let Some(level) = plane.note(&mut text) else { break };
        log::agent(level, format_args!("{text}"), &[]);
    }
    let now = shared.now();
    let wants = plane.wants_figures(now);
    if wants {
        plane.figures(read(shared), now);
    }
    wants
}

#[inline(never)]
fn read(shared: &Shared) -> Figures {
    let figures = match shared.files.read("stats", STATS_LIMIT) {
        Some(stats) => Figures::parse(std::str::from_utf8(&stats.unwrap_or_default()).unwrap_or_default()),
        #[cfg(unix)]
        None => crate::unix::figures(),
        #[cfg(not(unix))]
        None => Figures::default(),
    };
    Figures {
        unix_ms: log::now().0,
        ..figures
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::nobody;
    use cartridge_agent_core::control::Command;
    use cartridge_agent_core::lifecycle::State;
    use cartridge_agent_core::log::Level;
    use std::fmt::Write;
    use std::time::Duration;

    /// Wants figures at 0, and has more lines than are good.
    #[derive(Default)]
    struct Curious {
        told: Option<Figures>,
        lines: usize,
    }

    impl ControlPlane for Curious {
        fn name(&self) -> &'static str {
            "curious"
        }
        fn entered(&mut self, _: State, _: Duration) {}
        fn command(&mut self, _: Duration) -> Option<Command> {
            None
        }
        fn wants_figures(&self, _: Duration) -> bool {
            self.told.is_none()
        }
        fn figures(&mut self, figures: Figures, _: Duration) {
            self.told = Some(figures);
        }
        fn note(&mut self, text: &mut Message) -> Option<Level> {
            self.lines += 1;
            write!(text, "line {}", self.lines).unwrap();
            Some(Level::Warn)
        }
    }

    #[test]
    fn a_control_plane_is_told_the_figures_it_wants_and_its_lines_are_logged() {
        let shared = nobody();
        let mut plane = Curious::default();
        let before = log::written()[Level::Warn as usize];
        assert!(answer(shared, &mut plane) && !answer(shared, &mut plane));
        assert_eq!(
            (plane.lines, log::written()[Level::Warn as usize] - before),
            (2 * LINES, 2 * LINES as u32)
        );
        let told = plane.told.unwrap();
        assert!(told.memory_total_bytes > told.memory_used_bytes && told.processors > 0);
        assert!(told.unix_ms > 1_700_000_000_000);
    }
}
