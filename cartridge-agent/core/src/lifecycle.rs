//! The life-cycle states of a member and their order.

use core::fmt;

/// A state of a member, named as Apache Stratos names them in its topology (`memberStateManager.stateStack`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum State {
    /// The agent runs; the control plane has not said that the member may go on.
    Created,
    /// The control plane knows the member; the app may start.
    Initialized,
    /// The app runs; its network or its ports are not ready yet.
    Starting,
    /// Every port of PORTS accepts connections.
    Active,
    /// A stop was asked for; the app finishes its work, until the drain deadline at the latest.
    InMaintenance,
    /// The app is done, or its drain deadline has passed.
    ReadyToShutDown,
    /// The last state; the process ends.
    Terminated,
}

impl State {
    /// All states in their order.
    pub const ALL: [State; 7] = [
        State::Created,
        State::Initialized,
        State::Starting,
        State::Active,
        State::InMaintenance,
        State::ReadyToShutDown,
        State::Terminated,
    ];

    /// The name in logs, metrics and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            State::Created => "Created",
            State::Initialized => "Initialized",
            State::Starting => "Starting",
            State::Active => "Active",
            State::InMaintenance => "In_Maintenance",
            State::ReadyToShutDown => "ReadyToShutDown",
            State::Terminated => "Terminated",
        }
    }

    /// The state with this number (its position in [`State::ALL`]); numbers past the end give the last state.
    pub fn from_number(number: u8) -> State {
        State::ALL[usize::from(number).min(State::ALL.len() - 1)]
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The state of this member; moves in the permitted order only.
#[derive(Debug)]
pub struct Lifecycle(State);

/// A move that the order of states does not permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongOrder {
    /// The state the member is in, and stays in.
    pub from: State,
    /// The state it was to enter.
    pub to: State,
}

impl fmt::Display for WrongOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a member in state {} cannot enter {}; it stays in {}",
            self.from, self.to, self.from
        )
    }
}

impl Lifecycle {
    /// A new member, in state Created.
    pub const fn new() -> Self {
        Lifecycle(State::Created)
    }

    /// The state now.
    pub fn state(&self) -> State {
        self.0
    }

    /// Enters `to` if it is the next state, or if it is In_Maintenance and no stop has begun: a stop may come before
    /// the app is ready.
    ///
    /// # Errors
    /// [`WrongOrder`] for every other move, entering the present state again included.
    pub fn enter(&mut self, to: State) -> Result<(), WrongOrder> {
        let next = to as u8 == self.0 as u8 + 1;
        let stop = to == State::InMaintenance && self.0 < State::InMaintenance;
        if !next && !stop {
            return Err(WrongOrder { from: self.0, to });
        }
        self.0 = to;
        Ok(())
    }
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_permitted_moves_are_made() {
        for from in State::ALL {
            for to in State::ALL {
                let mut lifecycle = Lifecycle(from);
                let permitted =
                    to as usize == from as usize + 1 || (to == State::InMaintenance && from < State::InMaintenance);
                assert_eq!(lifecycle.enter(to).is_ok(), permitted, "{from} -> {to}");
                assert_eq!(lifecycle.state(), if permitted { to } else { from });
            }
        }
    }

    #[test]
    fn numbers_give_states_back() {
        for state in State::ALL {
            assert_eq!(State::from_number(state as u8), state);
        }
        assert_eq!(State::from_number(200), State::Terminated);
    }
}
