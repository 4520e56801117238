//! A member as the platform's server knows it: its state, and which event may change it.
//!
//! The server takes an event only from the state before it, or from the state itself again; anything else it refuses and logs.

pub use cartridge_agent_core::lifecycle::State;

/// What a member reports of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    Started,
    Activated,
    MaintenanceMode,
    ReadyToShutdown,
}

/// What came of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Entered(State),
    /// The member is in this state already.
    Again,
    Refused,
}

impl Report {
    pub const ALL: [Report; 4] = [
        Report::Started,
        Report::Activated,
        Report::MaintenanceMode,
        Report::ReadyToShutdown,
    ];

    /// The event that reports it.
    pub fn event(self) -> &'static str {
        match self {
            Report::Started => "InstanceStartedEvent",
            Report::Activated => "InstanceActivatedEvent",
            Report::MaintenanceMode => "InstanceMaintenanceModeEvent",
            Report::ReadyToShutdown => "InstanceReadyToShutdownEvent",
        }
    }

    /// The event by which everybody is told of it.
    pub fn broadcast(self) -> &'static str {
        match self {
            Report::Started => "MemberStartedEvent",
            Report::Activated => "MemberActivatedEvent",
            Report::MaintenanceMode => "MemberMaintenanceModeEvent",
            Report::ReadyToShutdown => "MemberReadyToShutdownEvent",
        }
    }

    /// The states before and after.
    fn step(self) -> (State, State) {
        match self {
            Report::Started => (State::Initialized, State::Starting),
            Report::Activated => (State::Starting, State::Active),
            Report::MaintenanceMode => (State::Active, State::InMaintenance),
            Report::ReadyToShutdown => (State::InMaintenance, State::ReadyToShutDown),
        }
    }

    /// What the server makes of it.
    pub fn judge(self, state: State) -> Verdict {
        let (before, after) = self.step();
        match state {
            state if state == before => Verdict::Entered(after),
            state if state == after => Verdict::Again,
            _ => Verdict::Refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_taken_in_their_order_and_refused_in_any_other() {
        let states = [
            State::Initialized,
            State::Starting,
            State::Active,
            State::InMaintenance,
            State::ReadyToShutDown,
        ];
        for (index, report) in Report::ALL.into_iter().enumerate() {
            for (at, state) in states.into_iter().enumerate() {
                let expected = match at {
                    at if at == index => Verdict::Entered(states[index + 1]),
                    at if at == index + 1 => Verdict::Again,
                    _ => Verdict::Refused,
                };
                assert_eq!(report.judge(state), expected, "{report:?} in {state}");
            }
            assert_eq!(report.judge(State::Created), Verdict::Refused);
            assert_eq!(report.judge(State::Terminated), Verdict::Refused);
        }
    }
}
