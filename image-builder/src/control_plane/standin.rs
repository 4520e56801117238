//! Stands in for Apache Stratos: cloud controller, autoscaler and artifact manager, for one member.
//!
//! Sans-IO: messages in, messages and lines out. Topics and JSON are those of Stratos 4.1; what the real server refuses is
//! refused here.

use super::cep::Health;
use super::console::{Command, HELP};
use super::identity::Identity;
use super::member::{Report, State, Verdict};
use super::topology::Topology;
use super::view::View;
use serde_json::{Value, json};
use std::time::Duration;

/// The cloud controller sends the complete topology so often.
pub const TOPOLOGY_INTERVAL: Duration = Duration::from_secs(60);
/// Stratos gives up a member of whose health it has not heard for so long.
pub const SILENCE_LIMIT: Duration = Duration::from_secs(60);
/// Tenants known at the same time.
const TENANT_LIMIT: usize = 1000;
const STATUS_TOPIC: &str = "instance/status/";

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Publish { topic: String, body: Value },
    Show(View),
}

/// The platform of one member. `now` is the time since the platform began.
pub struct Standin {
    who: Identity,
    topology: Topology,
    state: State,
    /// The member has asked or reported something.
    heard: bool,
    tenants: Vec<(i64, String)>,
    next_topology: Duration,
    /// The percentage of the first of two figures, until the second comes.
    memory: f64,
    /// When the member is given up; only while it is Active.
    given_up: Option<Duration>,
    actions: Vec<Action>,
}

impl Standin {
    /// A platform that has just created the member.
    pub fn new(who: Identity, mut topology: Topology, unix_ms: u64) -> Self {
        topology.join(&who, unix_ms);
        let mut standin = Self {
            who,
            topology,
            state: State::Created,
            heard: false,
            tenants: Vec::new(),
            next_topology: TOPOLOGY_INTERVAL,
            memory: 0.0,
            given_up: None,
            actions: Vec::new(),
        };
        let mut created = standin.event_of_addresses();
        created["loadBalancingIPType"] = "Private".into();
        created["initTime"] = unix_ms.into();
        standin.publish("topology/MemberCreatedEvent", created);
        standin.show_state(Duration::ZERO);
        standin
    }

    pub fn state(&self) -> State {
        self.state
    }

    /// Whether the member listens, as far as anybody can know: it has asked for the topology, or reported something.
    pub fn is_heard(&self) -> bool {
        self.heard
    }

    /// What is to be done since this was last asked.
    pub fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// The member's machine runs: it has its addresses.
    pub fn launched(&mut self, now: Duration) {
        if self.state == State::Created {
            self.enter(State::Initialized, now);
            let event = self.event_of_addresses();
            self.publish("topology/MemberInitializedEvent", event);
        }
    }

    /// The member's machine is gone.
    pub fn ended(&mut self, now: Duration) {
        if self.state == State::Terminated {
            return;
        }
        if self.state != State::ReadyToShutDown {
            let (member, state) = (self.who.member.clone(), self.state);
            self.show(View::EndedEarly { member, state });
        }
        self.enter(State::Terminated, now);
        let event = self.event();
        self.publish("topology/MemberTerminatedEvent", event);
        self.topology.left(&self.who);
    }

    /// Asks the member to leave.
    pub fn clean_up(&mut self) {
        let event = json!({"memberId": self.who.member});
        self.publish("instance/notifier/InstanceCleanupMemberEvent", event);
    }

    /// When to call [`Standin::tick`].
    pub fn wake(&self) -> Duration {
        self.given_up
            .map_or(self.next_topology, |given_up| given_up.min(self.next_topology))
    }

    pub fn tick(&mut self, now: Duration) {
        if now >= self.next_topology {
            self.next_topology = now + TOPOLOGY_INTERVAL;
            self.send_topology();
        }
        if self.given_up.is_some_and(|given_up| now >= given_up) {
            self.given_up = None;
            let (member, silent) = (self.who.member.clone(), SILENCE_LIMIT);
            self.show(View::Faulty { member, silent });
        }
    }

    /// What somebody told the event processor, or why that was not understood.
    pub fn health(&mut self, told: Result<Health, String>, now: Duration) {
        let checked = told.and_then(|health| self.check_health(&health).map(|()| health));
        let health = match checked {
            Ok(health) => health,
            Err(why) => {
                let event = "health statistics".into();
                return self.show(View::Refused { event, why });
            }
        };
        if self.state == State::Active {
            self.given_up = Some(now + SILENCE_LIMIT);
        }
        if health.description == "memory_consumption" {
            self.memory = health.value;
        } else {
            let (member, memory, load) = (health.member, self.memory, health.value);
            let at = now;
            self.show(View::Health {
                member,
                memory,
                load,
                at,
            });
        }
    }

    fn check_health(&self, health: &Health) -> Result<(), String> {
        let who = &self.who;
        for (name, value, known) in [
            ("cluster_id", &health.cluster, &who.cluster),
            ("cluster_instance_id", &health.cluster_instance, &who.cluster_instance),
            (
                "network_partition_id",
                &health.network_partition,
                &who.network_partition,
            ),
            ("member_id", &health.member, &who.member),
            ("partition_id", &health.partition, &who.partition),
        ] {
            if value != known {
                return Err(format!("{name} {value:?} is unknown; the member's is {known:?}"));
            }
        }
        match health.description.as_str() {
            "memory_consumption" | "load_average" => Ok(()),
            other => Err(format!("there is no figure {other:?}")),
        }
    }

    /// A message that somebody published.
    pub fn received(&mut self, topic: &str, payload: &[u8], now: Duration) {
        match topic {
            "initializer/CompleteTopologyRequestEvent" => {
                self.heard = true;
                self.send_topology();
            }
            "initializer/CompleteTenantRequestEvent" => {
                self.heard = true;
                self.send_tenants();
            }
            _ => {
                let name = topic.strip_prefix(STATUS_TOPIC);
                let report = Report::ALL.into_iter().find(|report| Some(report.event()) == name);
                if let Some(report) = report {
                    self.reported(report, payload, now);
                }
            }
        }
    }

    /// A line that the developer typed.
    pub fn command(&mut self, command: Command) {
        match command {
            Command::Help => HELP.lines().for_each(|line| self.note(line)),
            Command::State => self.note(format!("{} is {}", self.who.member, self.state)),
            Command::Stop => self.clean_up(),
            Command::Topology => {
                self.send_topology();
                self.note("sent CompleteTopologyEvent");
            }
            Command::Artifact { url, tenant } => {
                let event = json!({
                    "clusterId": self.who.cluster,
                    "status": "Updated",
                    "repoUserName": null,
                    "repoPassword": null,
                    "repoURL": url,
                    "tenantId": tenant.unwrap_or_else(|| self.who.tenant.clone()),
                    "commitEnabled": false,
                });
                self.publish("instance/notifier/ArtifactUpdatedEvent", event);
                self.note("sent ArtifactUpdatedEvent");
            }
            Command::TenantAdd { id, domain } => self.add_tenant(id, domain),
            Command::TenantRemove { id } => self.remove_tenant(id),
        }
    }

    fn add_tenant(&mut self, id: i64, domain: String) {
        self.tenants.retain(|(other, _)| *other != id);
        if self.tenants.len() >= TENANT_LIMIT {
            return self.note("there are too many tenants; next: remove some");
        }
        self.tenants.push((id, domain));
        self.send_tenants();
        let event = json!({"tenantId": id, "serviceName": self.who.service, "clusterIds": [self.who.cluster]});
        self.publish("tenant/TenantSubscribedEvent", event);
        self.note(format!(
            "tenant {id} is served from now on: sent CompleteTenantEvent and TenantSubscribedEvent"
        ));
    }

    fn remove_tenant(&mut self, id: i64) {
        if !self.tenants.iter().any(|(other, _)| *other == id) {
            return self.note(format!("there is no tenant {id}; `tenant add` makes one"));
        }
        self.tenants.retain(|(other, _)| *other != id);
        let event = json!({"applicationId": self.who.application, "tenantId": id});
        self.publish("application/signup/ApplicationSignUpRemovedEvent", event);
        let event = json!({"tenantId": id, "serviceName": self.who.service, "clusterIds": [self.who.cluster]});
        self.publish("tenant/TenantUnSubscribedEvent", event);
        self.send_tenants();
        self.note(format!(
            "tenant {id} has signed off: sent ApplicationSignUpRemovedEvent, TenantUnSubscribedEvent and CompleteTenantEvent"
        ));
    }

    fn reported(&mut self, report: Report, payload: &[u8], now: Duration) {
        if let Err(why) = self.check(report, payload) {
            let event = report.event().into();
            return self.show(View::Refused { event, why });
        }
        self.heard = true;
        match report.judge(self.state) {
            Verdict::Entered(state) => {
                self.enter(state, now);
                let mut event = self.event();
                if report == Report::Activated {
                    merge(&mut event, self.event_of_addresses());
                    event["applicationId"] = self.who.application.as_str().into();
                    event["portMap"] = self.who.port_map();
                }
                self.publish(&format!("topology/{}", report.broadcast()), event);
            }
            Verdict::Again => self.note(format!(
                "{} once more: {} is {} already",
                report.event(),
                self.who.member,
                self.state
            )),
            Verdict::Refused => {
                let why = format!("{} is {}", self.who.member, self.state);
                let event = report.event().into();
                self.show(View::Refused { event, why });
            }
        }
    }

    /// What the server would not find, or could not read.
    fn check(&self, report: Report, payload: &[u8]) -> Result<(), String> {
        let event: Value = serde_json::from_slice(payload).map_err(|error| format!("it is no JSON: {error}"))?;
        let Value::Object(event) = event else {
            return Err("it is no JSON object".into());
        };
        if let Some((key, _)) = event.iter().find(|(_, value)| !value.is_string() && !value.is_null()) {
            return Err(format!("{key} is neither a string nor null"));
        }
        let who = &self.who;
        let expected = [
            ("serviceName", &who.service),
            ("clusterId", &who.cluster),
            ("memberId", &who.member),
            ("clusterInstanceId", &who.cluster_instance),
            ("networkPartitionId", &who.network_partition),
            ("partitionId", &who.partition),
            ("applicationId", &who.application),
        ];
        // Only the first event names the application.
        let count = if report == Report::Started { 7 } else { 6 };
        for (key, known) in &expected[..count] {
            match event.get(*key).and_then(Value::as_str) {
                Some(value) if value == known.as_str() => {}
                Some(value) => return Err(format!("{key} {value:?} is unknown; the member's is {known:?}")),
                None => return Err(format!("it has no {key}")),
            }
        }
        Ok(())
    }

    fn enter(&mut self, state: State, now: Duration) {
        self.state = state;
        self.given_up = (state == State::Active).then_some(now + SILENCE_LIMIT);
        self.topology.entered(&self.who, state);
        self.show_state(now);
    }

    fn show_state(&mut self, at: Duration) {
        let (member, state) = (self.who.member.clone(), self.state);
        self.show(View::State { member, state, at });
    }

    fn show(&mut self, view: View) {
        self.actions.push(Action::Show(view));
    }

    fn note(&mut self, text: impl Into<String>) {
        self.show(View::Note(text.into()));
    }

    fn publish(&mut self, topic: &str, body: Value) {
        let topic = topic.into();
        self.actions.push(Action::Publish { topic, body });
    }

    fn send_topology(&mut self) {
        let event = self.topology.event();
        self.publish("topology/CompleteTopologyEvent", event);
    }

    fn send_tenants(&mut self) {
        let tenants = self.tenants.iter();
        let tenants: Vec<Value> = tenants
            .map(|(id, domain)| json!({"tenantId": id, "tenantDomain": domain}))
            .collect();
        self.publish("tenant/CompleteTenantEvent", json!({"tenants": tenants}));
    }

    /// A broadcast about the member.
    fn event(&self) -> Value {
        self.event_with(json!({"groupId": null, "status": self.state.name(), "properties": {}}))
    }

    /// Who the member is, and these fields.
    fn event_with(&self, more: Value) -> Value {
        let mut event = json!({
            "serviceName": self.who.service,
            "clusterId": self.who.cluster,
            "clusterInstanceId": self.who.cluster_instance,
            "networkPartitionId": self.who.network_partition,
            "partitionId": self.who.partition,
            "memberId": self.who.member,
        });
        merge(&mut event, more);
        event
    }

    /// A broadcast with the member's addresses.
    fn event_of_addresses(&self) -> Value {
        self.event_with(json!({
            "instanceId": null,
            "memberPublicIPs": [self.who.address],
            "defaultPublicIP": self.who.address,
            "memberPrivateIPs": [self.who.address],
            "defaultPrivateIP": self.who.address,
            "properties": {},
        }))
    }
}

fn merge(event: &mut Value, more: Value) {
    if let (Value::Object(event), Value::Object(more)) = (event, more) {
        event.extend(more);
    }
}

#[cfg(test)]
mod tests;
