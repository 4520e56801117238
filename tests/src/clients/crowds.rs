//! Many connections at the same time.

use super::client::Client;
use super::closing::{PAUSE, on_threads};
use super::{REQUEST, Service};
use anyhow::{Context, Result};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

/// Connections that say nothing hinder nobody, and are served when they speak at last.
pub fn idle(service: &Service) -> Result<String> {
    let mut silent = open(service, 64)?;
    for i in 0..200 {
        service
            .serves()
            .with_context(|| format!("client {i} beside the idle ones"))?;
    }
    for (i, client) in silent.iter_mut().enumerate() {
        service
            .exchange(client)
            .with_context(|| format!("idle connection {i}"))?;
    }
    Ok("200 others served meanwhile, then all 64".into())
}

/// All connections open before the first request; all requests sent before the first answer is read.
pub fn held(service: &Service) -> Result<String> {
    let mut clients = open(service, 200)?;
    for client in &mut clients {
        client.send(REQUEST)?;
    }
    for (i, client) in clients.iter_mut().enumerate() {
        service.check(&client.answer().with_context(|| format!("connection {i}"))?)?;
    }
    drop(clients);
    service.serves()?;
    Ok("all answered".into())
}

/// So many connections, one after the other.
fn open(service: &Service, count: usize) -> Result<Vec<Client>> {
    let paced = |_| service.connect().inspect(|_| thread::sleep(PAUSE));
    (0..count).map(paced).collect()
}

/// 200 threads connect in the same moment. How long that takes is the host's side of the network; the answer is ours.
pub fn burst(service: &Service) -> Result<String> {
    let slowest = Mutex::new((Duration::ZERO, Duration::ZERO));
    on_threads(200, |thread| {
        let begun = Instant::now();
        let mut client = service.connect().with_context(|| format!("client {thread}"))?;
        let connected = begun.elapsed();
        service
            .exchange(&mut client)
            .with_context(|| format!("client {thread}"))?;
        let mut slowest = slowest.lock().expect("no client panicked");
        *slowest = (slowest.0.max(connected), slowest.1.max(begun.elapsed() - connected));
        Ok(())
    })?;
    service.serves()?;
    let (connect, answer) = *slowest.lock().expect("no client panicked");
    Ok(format!(
        "all answered; slowest connect {connect:.2?}, slowest answer after it {answer:.2?}"
    ))
}
