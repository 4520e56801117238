//! A generic cartridge, the site, under a platform that tells it which artifacts to fetch.

use crate::archives::{Archives, ENCRYPTED, PASSWORD, USER};
use crate::clients::client::{Answer, Client};
use crate::stratos::identity::{Brokers, CLUSTER, Payload, SECRETS};
use crate::stratos::mosquitto::{self, Broker};
use crate::stratos::platform::Platform;
use crate::stratos::server::{Known, State};
use crate::target::{App, Place, Target};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::thread;
use std::time::{Duration, Instant};

/// The member under test.
pub const MEMBER: &str = "shop.basket.cluster-1.basket-a1";
/// For one step with a server that is there.
pub const STEP: Duration = Duration::from_secs(30);

/// A member of a platform that has artifacts.
pub struct World {
    pub archives: Archives,
    pub platform: Platform,
    pub target: Target,
    place: Place,
    _broker: Broker,
}

impl World {
    pub fn begin(place: Place, parameters: &str) -> Result<World> {
        World::with(place, |_| Ok(parameters.to_owned()), |_, _| Ok(()))
    }

    /// `prepare` gives more launch parameters; `meanwhile` goes on beside the start.
    pub fn with(
        place: Place,
        prepare: impl FnOnce(&Archives) -> Result<String>,
        meanwhile: impl FnOnce(&Archives, &Platform) -> Result<()> + Send,
    ) -> Result<World> {
        let archives = Archives::start()?;
        let broker = Broker::start()?;
        let platform = Platform::start(&broker, vec![Known::own(MEMBER, State::Initialized)]);
        platform.wait_ready()?;
        let payload = Payload {
            member: MEMBER.into(),
            brokers: Brokers::One(place.loopback().into(), broker.port),
            password: mosquitto::PASSWORD.into(),
            is_bare: false,
        };
        let parameters = format!(",{}{}", payload.text(), prepare(&archives)?);
        let target = thread::scope(|scope| {
            let meanwhile = scope.spawn(|| meanwhile(&archives, &platform));
            let target = Target::start(App::Site, place, &parameters);
            meanwhile.join().expect("what goes on meanwhile does not panic")?;
            target
        })?;
        Ok(World {
            archives,
            platform,
            target,
            place,
            _broker: broker,
        })
    }

    /// Tells the member of an artifact, as the platform does.
    pub fn update(&self, path: &str, tenant: &str) -> Result<()> {
        update(&self.platform, &self.archives.url(self.place, path), tenant)
    }

    pub fn wait_for(&self, text: &str) -> Result<String> {
        self.target.wait_for(text, STEP).with_context(|| self.target.report())
    }

    /// Waits until so many console lines have `text` in them.
    pub fn wait_for_lines(&self, text: &str, count: usize) -> Result<()> {
        let end = Instant::now() + STEP;
        while self.target.console().iter().filter(|line| line.contains(text)).count() < count {
            ensure!(
                Instant::now() < end,
                "not {count} lines with {text:?}: {}",
                self.target.report()
            );
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// The answer to a GET on a connection of its own.
    pub fn get(&self, path: &str) -> Result<Answer> {
        get(&self.target, path, "")
    }

    pub fn ensure_serves(&self, path: &str, content: &[u8]) -> Result<()> {
        let answer = self.get(path)?;
        let text = String::from_utf8_lossy(&answer.body);
        ensure!(
            answer.status == 200 && answer.body == content,
            "{} {text:.200}",
            answer.status
        );
        Ok(())
    }

    pub fn ensure_no_secret(&self) -> Result<()> {
        let console = self.target.console().join("\n");
        for secret in SECRETS.iter().chain(&[PASSWORD, ENCRYPTED]) {
            ensure!(!console.contains(secret), "{secret} is on the console");
        }
        Ok(())
    }
}

/// Tells members of an artifact at this URL.
pub fn update(platform: &Platform, url: &str, tenant: &str) -> Result<()> {
    let event = json!({
        "clusterId": CLUSTER, "status": "SERVICE_NODE_SPAWNED", "repoUserName": USER, "repoPassword": ENCRYPTED,
        "repoURL": url, "tenantId": tenant, "commitEnabled": false,
    });
    platform.publish("instance/notifier/ArtifactUpdatedEvent", event.to_string())
}

/// The answer to a GET with these header fields, on a connection of its own.
pub fn get(target: &Target, path: &str, fields: &str) -> Result<Answer> {
    Client::connect(target.service.address)?.get(path, fields)
}
