//! Connections that end: by either side, at any moment, politely or not.

use super::{LAST_REQUEST, REQUEST, Service};
use anyhow::{Context, Result};
use std::thread;
use std::time::Duration;

/// Pause between connections that wait for no answer: without it the host's own listening queue (1 in QEMU's user
/// networking, 128 on Linux) overflows, and the case only measures how long the host's connect() waits then.
pub const PAUSE: Duration = Duration::from_millis(2);

/// One after the other and on 8 threads: ask, read the answer, close.
pub fn after_the_answer(service: &Service) -> Result<String> {
    for i in 0..500 {
        let mut client = service.connect()?;
        service
            .exchange(&mut client)
            .with_context(|| format!("connection {i}"))?;
    }
    on_threads(8, |thread| {
        for i in 0..500usize.div_ceil(8) {
            let mut client = service.connect()?;
            service
                .exchange(&mut client)
                .with_context(|| format!("thread {thread}, connection {i}"))?;
        }
        Ok(())
    })?;
    service.serves()?;
    Ok("every answer came".into())
}

/// Half of them say nothing, the others ask and leave without reading.
pub fn before_the_answer(service: &Service) -> Result<String> {
    for i in 0..1000 {
        let mut client = service.connect()?;
        if i % 2 == 1 {
            client.send(REQUEST)?;
        }
        thread::sleep(PAUSE);
    }
    service.serves()?;
    Ok("served afterwards".into())
}

pub fn by_the_server(service: &Service) -> Result<String> {
    for i in 0..300 {
        let mut client = service.connect()?;
        client.send(LAST_REQUEST)?;
        service
            .check(&client.answer()?)
            .with_context(|| format!("connection {i}"))?;
        client.ends().with_context(|| format!("connection {i}"))?;
    }
    service.serves()?;
    Ok("every answer came, then the end".into())
}

/// Resets before a request, instead of reading the answer, and after the answer.
pub fn resets(service: &Service) -> Result<String> {
    for i in 0..600 {
        let mut client = service.connect()?;
        match i % 3 {
            0 => {}
            1 => client.send(REQUEST)?,
            _ => service
                .exchange(&mut client)
                .with_context(|| format!("connection {i}"))?,
        }
        client.reset()?;
        thread::sleep(PAUSE);
    }
    service.serves()?;
    Ok("served afterwards".into())
}

/// A client that has said all it will still gets every answer.
pub fn half_closed(service: &Service) -> Result<String> {
    for i in 0..50 {
        let mut client = service.connect()?;
        client.send(REQUEST)?;
        client.send(REQUEST)?;
        client.half_close()?;
        for _ in 0..2 {
            service
                .check(&client.answer()?)
                .with_context(|| format!("connection {i}"))?;
        }
        client.ends().with_context(|| format!("connection {i}"))?;
    }
    let mut silent = service.connect()?;
    silent.half_close()?;
    silent.ends().context("a connection half-closed without a request")?;
    service.serves()?;
    Ok("both answers and the end, 50 times".into())
}

/// Runs `work` on so many threads at once and gives the first error.
pub fn on_threads(count: usize, work: impl Fn(usize) -> Result<()> + Sync) -> Result<()> {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|i| (i, &work))
            .map(|(i, work)| scope.spawn(move || work(i)))
            .collect();
        threads
            .into_iter()
            .map(|t| t.join().expect("a client thread panicked"))
            .collect::<Result<Vec<()>>>()
    })?;
    Ok(())
}
