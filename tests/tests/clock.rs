//! Time in a machine passes as it does outside, whatever else its host has to do.

use anyhow::ensure;
use cartridge_tests::signal;
use cartridge_tests::wire::dhcp;
use cartridge_tests::wire::world::{LIMIT, ensure_answer, ensure_network, on_dhcp};
use qemu::Guest;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Each gives the kernel many occasions to measure its clock while it is stalled.
const BOOTS: u32 = 3;
const PINGS: u32 = 12;
/// For a second. A round of the interval timer that was missed makes it 2 to 6 s; a busy host makes us look late.
const TOO_SLOW: Duration = Duration::from_millis(1900);

/// Stops and continues QEMU until dropped, as a host does that has other work.
struct Stalls {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Stalls {
    /// Longer than the interval timer takes for a round, 55 ms, by which the kernel measures its clock.
    const STOPPED: Duration = Duration::from_millis(60);
    const RUNNING: Duration = Duration::from_millis(2);

    fn of(guest: &Guest) -> Stalls {
        let (stop, stopped) = mpsc::channel();
        let pid = guest.pid();
        let signal = move |name: &str| signal::send(name, pid);
        let thread = thread::spawn(move || {
            loop {
                let _ = signal("STOP");
                let _ = stopped.recv_timeout(Stalls::STOPPED);
                let _ = signal("CONT");
                if stopped.recv_timeout(Stalls::RUNNING) != Err(mpsc::RecvTimeoutError::Timeout) {
                    break;
                }
            }
        });
        Stalls {
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for Stalls {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().map(thread::JoinHandle::join);
    }
}

#[test]
fn a_host_that_stalls_the_machine_does_not_mislead_its_clock() {
    for boot in 1..=BOOTS {
        on_dhcp(dhcp::Server::default()).tell(|lan, guest| {
            {
                let _stalls = Stalls::of(guest);
                ensure_network(lan, dhcp::CLIENT, &["state up"])?;
                for _ in 0..PINGS {
                    lan.ping(dhcp::CLIENT.into(), 56, LIMIT)?;
                }
            }
            let begun = Instant::now();
            ensure_answer(lan, dhcp::CLIENT, "sleep 1000", "slept")?;
            let took = begun.elapsed();
            println!("boot {boot}: a second took {took:.2?}");
            ensure!(
                took > Duration::from_millis(950) && took < TOO_SLOW,
                "boot {boot}: a second took {took:?}"
            );
            Ok(())
        });
    }
}
