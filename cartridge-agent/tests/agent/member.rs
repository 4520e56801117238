//! A member that does what its payload says: the app of this crate's tests.
//!
//! `LISTEN=8080|8081` ports to accept connections on, `LISTEN_AFTER=MS` how long after the start, and `THEN=` one of `wait`
//! (for a stop, then return), `ignore` (stops), `compute` (on every thread, for ever), `hold` (work for `HOLD=MS` after a stop),
//! `return`, `fail`, `panic`, `stop`, `drop` (its handle on another thread), `crash` (the thread with its handle), `lock` (standard output, for ever), `detach` (from the cartridge), `close` (its
//! ports after a second), `events` (writes each of them to the log).

use cartridge_agent::Cartridge;
use std::io::{Error, Result};
use std::net::TcpListener;
use std::thread::{park, sleep, spawn};
use std::time::Duration;

fn main() -> Result<()> {
    let cartridge = cartridge_agent::start();
    let milliseconds = |key| Duration::from_millis(cartridge.parameters().number(key).ok().flatten().unwrap_or(0));
    sleep(milliseconds("LISTEN_AFTER"));
    let listeners = cartridge
        .parameters()
        .list("LISTEN")
        .map(|port| TcpListener::bind(("127.0.0.1", port.parse().unwrap_or(0))));
    let listeners = listeners.collect::<Result<Vec<_>>>()?;
    cartridge_agent::log!(Info, "listening on {} ports as {}", listeners.len(), cartridge.name());
    match cartridge.parameter("THEN").unwrap_or("wait") {
        "hold" => hold(&cartridge, milliseconds("HOLD")),
        "ignore" => ignore(),
        "compute" => compute(),
        "lock" => {
            let _lock = std::io::stdout().lock();
            ignore();
        }
        "close" => {
            sleep(Duration::from_secs(1));
            drop(listeners);
            cartridge.shutdown().wait();
        }
        "drop" => {
            spawn(move || drop(cartridge));
            ignore();
        }
        "crash" => {
            spawn(move || {
                let _cartridge = cartridge;
                panic!("on purpose")
            });
            ignore();
        }
        "detach" => {
            cartridge.detach();
            ignore();
        }
        "events" => {
            for event in cartridge.events() {
                cartridge_agent::log!(Info, "event {event:?}");
            }
        }
        "return" => {}
        "fail" => return Err(Error::other("on purpose")),
        "panic" => panic!("on purpose"),
        "stop" => cartridge.stop(7),
        _ => drop(cartridge.shutdown().wait()),
    }
    Ok(())
}

/// Has work in flight when a stop comes.
fn hold(cartridge: &Cartridge, work: Duration) {
    let (shutdown, hold) = (cartridge.shutdown(), cartridge.hold());
    spawn(move || {
        shutdown.wait();
        sleep(work);
        cartridge_agent::log!(Info, "work done");
        drop(hold);
    });
    shutdown.wait();
}

fn ignore() -> ! {
    loop {
        park();
    }
}

/// Computes on as many threads as there are processors, and on this one.
fn compute() -> ! {
    for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
        spawn(spin);
    }
    spin()
}

fn spin() -> ! {
    let mut value = 1u64;
    loop {
        value = std::hint::black_box(value.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    }
}
