//! A well-behaved client that asks all the time while another one misbehaves.

use super::Service;
use anyhow::{Context, Result, anyhow, ensure};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Time between two requests.
const PACE: Duration = Duration::from_millis(20);
/// Longest an answer may take while others keep the server busy.
const PATIENCE: Duration = Duration::from_secs(5);

pub struct Bystander {
    stop: Sender<()>,
    thread: JoinHandle<Result<(u32, Duration)>>,
}

impl Bystander {
    /// Connects, then asks until told to stop.
    pub fn start(service: &Service) -> Result<Bystander> {
        let (stop, stopped) = mpsc::channel();
        let (service, mut client) = (service.clone(), service.connect().context("the bystander")?);
        let thread = thread::spawn(move || {
            let (mut answers, mut slowest) = (0, Duration::ZERO);
            while stopped.recv_timeout(PACE) == Err(RecvTimeoutError::Timeout) {
                let asked = Instant::now();
                service
                    .exchange(&mut client)
                    .with_context(|| format!("the bystander, after {answers} answers"))?;
                (answers, slowest) = (answers + 1, slowest.max(asked.elapsed()));
            }
            Ok((answers, slowest))
        });
        Ok(Bystander { stop, thread })
    }

    /// Ends the bystander and says how it fared.
    pub fn finish(self) -> Result<String> {
        drop(self.stop);
        let (answers, slowest) = self.thread.join().map_err(|_| anyhow!("the bystander panicked"))??;
        ensure!(slowest < PATIENCE, "another client waited {slowest:.1?} for an answer");
        Ok(format!(
            "another client got {answers} answers, the slowest in {slowest:.1?}"
        ))
    }
}
