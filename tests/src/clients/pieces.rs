//! Requests that do not arrive as one piece, or arrive as many at once.

use super::{REQUEST, Service};
use anyhow::{Context, Result};
use std::thread;
use std::time::Duration;

/// Pause that lets a piece travel on its own. The case is right without it too, only weaker.
const PAUSE: Duration = Duration::from_millis(3);

pub fn byte_by_byte(service: &Service) -> Result<String> {
    let mut client = service.connect()?;
    for _ in 0..3 {
        for byte in REQUEST {
            client.send(&[*byte])?;
            thread::sleep(PAUSE);
        }
        service.check(&client.answer()?)?;
    }
    Ok(format!("3 requests of {} pieces answered", REQUEST.len()))
}

pub fn split_everywhere(service: &Service) -> Result<String> {
    let mut client = service.connect()?;
    for position in 1..REQUEST.len() {
        let (first, second) = REQUEST.split_at(position);
        client.send(first)?;
        thread::sleep(PAUSE);
        client.send(second)?;
        service.check(
            &client
                .answer()
                .with_context(|| format!("split after {position} bytes"))?,
        )?;
    }
    Ok(format!("{} positions", REQUEST.len() - 1))
}

/// 50 requests in one write, then 50 and a half, so that the pieces do not end where requests end.
pub fn pipelined(service: &Service) -> Result<String> {
    let mut client = service.connect()?;
    client.send(&REQUEST.repeat(50))?;
    for i in 0..50 {
        service.check(&client.answer().with_context(|| format!("answer {i}"))?)?;
    }
    let half = REQUEST.len() / 2;
    client.send(&[&REQUEST.repeat(50), &REQUEST[..half]].concat())?;
    for i in 0..50 {
        service.check(
            &client
                .answer()
                .with_context(|| format!("answer {i} of the second batch"))?,
        )?;
    }
    client.send(&REQUEST[half..])?;
    service.check(&client.answer()?)?;
    Ok("101 answers in order".into())
}
