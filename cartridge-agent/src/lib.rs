//! The in-guest agent of a cartridge, and the small interface an app has to it.
//!
//! ```no_run
//! fn main() -> std::io::Result<()> {
//!     let cartridge = cartridge_agent::start();
//!     let greeting = cartridge.parameter("GREETING").unwrap_or("hello").to_owned();
//!     let listener = std::net::TcpListener::bind("0.0.0.0:8080")?;
//!     std::thread::spawn(move || {
//!         for client in listener.incoming().flatten() {
//!             let _ = std::io::Write::write_all(&mut &client, greeting.as_bytes());
//!         }
//!     });
//!     cartridge.shutdown().wait();
//!     Ok(())
//! }
//! ```
//!
//! [`start`] reads the payload, configures the network, writes the life cycle to the log as JSON lines, watches the
//! ports, serves the management endpoint if the payload asks for one, and stops the cartridge in order when the platform,
//! the control plane, the endpoint or the app says so. The agent's threads run above the app's, so an app that computes
//! on every thread can neither silence the agent nor put off a stop past its deadline.
//!
//! # Parameters
//!
//! Launch-params text, `KEY=VALUE,KEY=VALUE` (see [`Parameters`]), or a JSON object. The agent's own keys, with what holds without
//! them:
//!
//! | key | meaning | default |
//! |---|---|---|
//! | `PORTS` | ports that must accept connections before the member is Active, separated by `\|` | none: Active at once |
//! | `LOG_LEVEL` | `error`, `warn`, `info`, `debug`, `trace` | `info` |
//! | `MANAGEMENT_PORT`, `MANAGEMENT_TOKEN` | management endpoint: its port, its bearer token (16 to 256 characters) | off |
//! | `DRAIN_SECONDS` | how long the app may finish its work after a stop was asked for, 0 to 3600 | 10 |
//! | `port.check.timeout` | milliseconds until a member that is not ready is reported as an error | 600000 |
//! | `ADDRESS`, `GATEWAY` | static IPv4 address with prefix, gateway | DHCP |
//! | `ADDRESS6`, `GATEWAY6` | static IPv6 address with prefix, gateway | as the network advertises |
//! | `DNS` | at most 3 DNS servers separated by `\|`, asked first | the network's |
//! | `MTU` | largest packet in bytes, 576 to 9000 | the network's |
//! | `thrift.receiver.urls` | receivers of health statistics (Stratos' CEP) as `HOST:PORT` or `tcp://HOST:PORT`, separated by `\|`; without TLS | `CEP_IP` and `CEP_PORT` |
//! | `CEP_IP`, `CEP_PORT` | the one receiver | none: no health statistics; port 7611 |
//! | `thrift.server.admin.username`, `thrift.server.admin.password` | whom to log in as there; also `CEP_USERNAME`, `CEP_PASSWORD` | `admin`, `admin` |
//! | `stats.notifier.interval` | seconds between health statistics, 1 to 3600 | 15 |
//! | `cep.stats.publisher.enabled` | `false`: no health statistics | `true` |
//! | `METADATA` | which metadata service to ask for the payload: `auto`, `openstack`, `ec2`, `off` | `auto` |
//! | `METADATA_ADDRESS` | its IP address, with a port or without | 169.254.169.254, then IPv6 |
//! | `METADATA_SECONDS` | how long to wait for it, 1 to 3600 | 120 |
//! | `CONTROL_PLANE` | `stratos`, `none`, or `auto`: `stratos` if there is a broker and the identifiers of a member | `auto` |
//! | `mb.urls` or `MB_URLS` | message brokers as `HOST:PORT`, separated by `\|`, at most 8; IPv6 as `[::1]:1883` | none |
//! | `mb.ip`, `mb.port` or `MB_IP`, `MB_PORT` | the message broker, if there is no list | none, 1883 |
//! | `mb.username`, `mb.password` or `MB_USERNAME`, `MB_PASSWORD` | who the member is to the broker | nobody |
//! | `MEMBER_ID`, `CLUSTER_ID` | who the member is to the platform; without them there is no control plane | none |
//! | `APPLICATION_ID`, `SERVICE_NAME`, `CLUSTER_INSTANCE_ID`, `INSTANCE_ID`, `NETWORK_PARTITION_ID`, `PARTITION_ID` | what its events say besides | `null` |
//! | `DEPENDENCY_CLUSTER_IDS` | clusters whose members the app is told of too, separated by `\|`, at most 15 | none |
//!
//! With the feature `artifacts` also:
//!
//! | key | meaning | default |
//! |---|---|---|
//! | `REPO_URL` | where the artifact is, without a control plane; the member is Active when it is in place | no artifact |
//! | `REPO_USERNAME`, `REPO_PASSWORD`, `REPO_DIGEST` | name, password, and `sha256:HEX` for it | none |
//! | `CARTRIDGE_KEY` | opens passwords of the control plane, 16 characters | none |
//! | `MULTITENANT`, `TENANT_ID` | whether tenants have artifacts of their own; whose the one at `REPO_URL` is | `false`, `-1234` |
//! | `artifact.clone.retries`, `artifact.clone.interval` | attempts after the first, seconds between them | 5, 10 |
//! | `artifact.limit.mib` | MiB of the archive, and of what is in it | 256 |
//!
//! A bad value is reported in the log and replaced by the default; it never stops the cartridge. Every other key is the
//! app's; one that is nearly a key of the agent's is reported too.
//!
//! # Payload
//!
//! The first of these that is there:
//!
//! 1. the file `payload` of the platform (below): nobody is asked;
//! 2. user-data of the metadata service (feature `metadata`). `METADATA=auto` asks one only in a machine that says it is in OpenStack
//!    (then at its own paths, else at EC2's) or in EC2; `openstack` and `ec2` ask that one anywhere, and a payload at hand then holds where
//!    the service's says nothing. The network is brought up by what is known so far, and configured anew if the payload
//!    says so;
//! 3. nothing: the defaults hold.
//!
//! A service is asked in a thread of its own: 3 s for a connection, 10 s for a request, again after faults that may pass, in pauses that
//! grow from 0.5 to 8 s, for METADATA_SECONDS. What it says, also that there is no user-data, is kept and not asked for again. At most
//! 65,535 bytes are read. [`Cartridge::instance`] has the rest of what it says; `INSTANCE_ID`, unless the payload has it, is the service's
//! identifier of the instance.
//!
//! # Platform
//!
//! The agent meets its platform only in the files of the folder that the environment variable `CARTRIDGE_DIR` names:
//! `payload`, `defaults`, `platform`, `entropy`, `log`, `stats`, `power`, `priority`, `network`. Each may be absent; under plain
//! `cargo run` all are.
//!
//! # Control plane
//!
//! Under Apache Stratos the member waits in state Created until the platform has initialized it, tells the message broker of its states, and
//! stops when the platform cleans it up. [`Cartridge::events`] is what the platform has for the app:
//!
//! ```no_run
//! let cartridge = cartridge_agent::start();
//! for event in cartridge.events() {
//!     match event {
//!         cartridge_agent::Event::Member(member) => println!("{} is {}", member.member, member.state),
//!         cartridge_agent::Event::ShutdownRequested(deadline) => println!("until {deadline:?}"),
//!         _ => {}
//!     }
//! }
//! ```
//!
//! The feature `stratos` (on by default) has it in the image.
//!
//! # Artifacts
//!
//! With the feature `artifacts` the agent fetches the content that the control plane or `REPO_URL` names, checks and unpacks it, and
//! makes it the current version in one step. `Cartridge::artifacts` gives that version; its folder stays as it is for as long as
//! the app keeps it. Each new one is also an event, `Event::ArtifactReady`. The details are in docs/artifacts.md.
//!
//! # Log
//!
//! One JSON object a line, with `ts`, `level`, `from` (`agent` or `app`) and `msg`; life-cycle lines also have
//! `"event":"lifecycle"` and `"state"`. An app writes its own lines with [`log!`]; with the feature `log`, lines of the `log`
//! crate join them. What an app prints by other means goes to the same console as it is.
//!
//! # Management endpoint
//!
//! HTTP/1.1 on `MANAGEMENT_PORT`; every request needs `Authorization: Bearer MANAGEMENT_TOKEN`.
//!
//! | request | answer |
//! |---|---|
//! | `GET /healthz` | 200: the agent is alive |
//! | `GET /readyz` | 200 if the member is Active and its ports accept connections now, else 503 with the reason |
//! | `GET /metrics` | figures in the Prometheus text format |
//! | `GET /logs` | the end of the log |
//! | `POST /stop` | 202 and an ordered stop; the body may say `STATUS=0,DRAIN_SECONDS=5` |
//!
//! # Exit status
//!
//! That of `main` if it returns; 0 after a stop from outside, also if the drain deadline cut the app off (a warning says
//! so); what [`Cartridge::stop`] or `POST /stop` ask for; 101 after a panic that unwinds.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod app;
#[cfg(feature = "artifacts")]
mod artifacts;
mod events;
#[cfg(feature = "log")]
mod facade;
#[cfg(any(feature = "artifacts", feature = "metadata"))]
mod fetch;
mod figures;
mod files;
#[cfg(feature = "fuzz")]
#[doc(hidden)]
pub mod fuzz;
mod instance;
mod links;
mod log;
mod management;
#[cfg(feature = "metadata")]
mod metadata;
mod plane;
mod runner;
mod shared;
mod stop_sources;
#[cfg(all(test, any(feature = "artifacts", feature = "metadata")))]
mod test_server;
#[cfg(unix)]
mod unix;

pub use app::{Cartridge, Hold, Shutdown, start};
#[cfg(feature = "artifacts")]
pub use artifacts::{ArtifactVersion, Artifacts};
pub use cartridge_agent_core::lifecycle::State;
pub use cartridge_agent_core::log::Level;
pub use cartridge_agent_core::parameters::Parameters;
pub use events::{Artifact, Event, Events, EventsIter, Member, Tenant};
pub use instance::Instance;
pub use log::log_line;

/// Writes a line to the cartridge's log: a [`Level`], then as in `format!`.
///
/// ```
/// cartridge_agent::log!(Warn, "{} of {} discs left", 1, 2);
/// ```
#[macro_export]
macro_rules! log {
    ($level:ident, $($message:tt)+) => {
        $crate::log_line($crate::Level::$level, ::core::format_args!($($message)+))
    };
}
