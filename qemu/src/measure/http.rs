//! What a request costs: guest instructions, and requests a second.

use std::time::Duration;

use serde::Serialize;

use super::{Ready, first_200, wrk};
use crate::error::Error;
use crate::guest::Guest;
use crate::launch::Launch;
use crate::machine::Accel;

/// Load before the measured load: the guest's code is translated and its buffers are warm.
const WARM_UP_SECONDS: u32 = 2;

/// What to measure.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// The launch forwards a host port to it.
    pub guest_port: u16,
    pub path: String,
    /// Numbers of keep-alive connections, one report each.
    pub clients: Vec<u32>,
    /// Each number of clients costs twice this, and the warm-ups.
    pub seconds: u32,
    pub ready: Ready,
    /// For one boot.
    pub limit: Duration,
}

impl Default for HttpOptions {
    fn default() -> HttpOptions {
        HttpOptions {
            guest_port: 8080,
            path: "/".to_owned(),
            clients: vec![1, 32],
            seconds: 5,
            ready: Ready::agent(),
            limit: Duration::from_secs(30),
        }
    }
}

/// The figures of one number of clients.
#[derive(Clone, Debug, Serialize)]
pub struct HttpReport {
    pub clients: u32,
    /// Measured without the counting plugin.
    pub requests_per_second: f64,
    /// Requests for each second of CPU time QEMU used; moves less with the host's load.
    pub requests_per_cpu_second: f64,
    pub latency_p50_ms: f64,
    pub latency_p99_ms: f64,
    /// On all virtual CPUs, under TCG.
    pub instructions_per_request: f64,
    /// Failed connections and answers other than 2xx and 3xx, in both runs. Connections that the host's queue of one makes wait
    /// for more than 2 s are among them, so a few at tens of clients are usual.
    pub errors: u64,
    pub accel: Accel,
}

/// Boots the launch twice for each number of clients: to count, and to time.
pub fn http(launch: &Launch, options: &HttpOptions, progress: &mut dyn FnMut(&str)) -> Result<Vec<HttpReport>, Error> {
    options
        .clients
        .iter()
        .map(|clients| one(launch, options, *clients, progress))
        .collect()
}

fn one(
    launch: &Launch,
    options: &HttpOptions,
    clients: u32,
    progress: &mut dyn FnMut(&str),
) -> Result<HttpReport, Error> {
    progress(&format!("{clients} clients: counting instructions"));
    let mut counting = launch.clone();
    (counting.count_instructions, counting.accel) = (true, Accel::Tcg);
    let guest = warm(&counting, options, clients)?;
    let before = guest.instructions()?.total;
    let counted = load(&guest, options, clients)?;
    let instructions = guest.instructions()?.total.saturating_sub(before);
    guest.kill()?;

    progress(&format!("{clients} clients: requests a second"));
    let guest = warm(launch, options, clients)?;
    let cpu_before = guest.cpu_time()?;
    let timed = load(&guest, options, clients)?;
    let cpu = guest.cpu_time()?.saturating_sub(cpu_before);
    guest.kill()?;

    Ok(HttpReport {
        clients,
        requests_per_second: timed.requests_per_second,
        requests_per_cpu_second: (timed.requests as f64 / cpu.as_secs_f64().max(0.01)).round(),
        latency_p50_ms: timed.latency_p50_ms,
        latency_p99_ms: timed.latency_p99_ms,
        instructions_per_request: (instructions as f64 / counted.requests.max(1) as f64).round(),
        errors: counted.errors + timed.errors,
        accel: guest.accel(),
    })
}

fn warm(launch: &Launch, options: &HttpOptions, clients: u32) -> Result<Guest, Error> {
    let guest = launch.start()?;
    options.ready.wait(&guest, options.limit)?;
    first_200(&guest, options.guest_port, &options.path, options.limit)?;
    wrk::run(
        guest.address(options.guest_port)?,
        &options.path,
        clients,
        WARM_UP_SECONDS,
    )?;
    Ok(guest)
}

fn load(guest: &Guest, options: &HttpOptions, clients: u32) -> Result<wrk::Run, Error> {
    let address = guest.address(options.guest_port)?;
    wrk::run(address, &options.path, clients, options.seconds).map_err(|error| error.with_command(guest.command()))
}
