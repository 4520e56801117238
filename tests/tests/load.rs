//! A cartridge tells how busy it is: its load average, and the processor's time.

use std::thread;
use std::time::{Duration, Instant};

use cartridge_tests::guest::{GUEST_DEADLINE, launch, payload, start_ready, wait_for};
use cartridge_tests::image::image;
use cartridge_tests::prometheus;
use cartridge_tests::request::request;
use qemu::Guest;

const MANAGEMENT_PORT: u16 = 9000;
const TOKEN: &str = "a-token-of-24-characters";
/// For the guest's clock to come as far as is waited for; on a busy host it is late.
const LIMIT: Duration = Duration::from_secs(60);
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(500);
/// The threads of tests/cartridges/busy that compute.
const BUSY_THREADS: f64 = 24.0;
/// The average is taken on every 5 s.
const STEP: f64 = 5.0;

/// What a guest tells at one moment: the uptime in seconds, the load average, and the processor's seconds.
#[derive(Clone, Copy, Debug)]
struct Told {
    uptime: f64,
    load: f64,
    cpu: f64,
}

fn start(folder: &str) -> (Guest, tempfile::NamedTempFile) {
    let file = payload(format!("MANAGEMENT_PORT={MANAGEMENT_PORT},MANAGEMENT_TOKEN={TOKEN}").as_bytes());
    let mut launch = launch(&image(folder)).forward(0, MANAGEMENT_PORT);
    (launch.payload, launch.deadline) = (Some(file.path().to_owned()), Some(GUEST_DEADLINE));
    (start_ready(&launch), file)
}

fn ask(guest: &Guest) -> Told {
    let address = guest.address(MANAGEMENT_PORT).unwrap();
    let answer = request(address, "GET /metrics", Some(TOKEN), Duration::from_secs(10)).unwrap();
    let (_, page) = answer.text.split_once("\r\n\r\n").expect("a body");
    prometheus::check(page).unwrap();
    let figure = |name: &str| {
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in\n{page}")).parse().unwrap()
    };
    Told {
        uptime: figure("cartridge_uptime_seconds"),
        load: figure("cartridge_load1"),
        cpu: figure("cartridge_cpu_seconds_total"),
    }
}

/// Waits until the guest's clock says so, and gives what it tells then.
fn ask_at(guest: &Guest, uptime: f64) -> Told {
    let end = Instant::now() + LIMIT;
    loop {
        let told = ask(guest);
        if told.uptime >= uptime {
            return told;
        }
        assert!(Instant::now() < end, "{told:?} is all within {LIMIT:?}");
        thread::sleep(PAUSE);
    }
}

/// The load average after so many seconds of `threads` that compute, from what it was `before`: damped by e in a minute.
fn average(before: f64, threads: f64, seconds: f64) -> f64 {
    threads + (before - threads) * (-seconds / 60.0).exp()
}

#[test]
fn the_load_average_of_a_busy_cartridge_goes_to_the_number_of_its_busy_threads() {
    let (guest, _payload) = start("tests/cartridges/busy");
    wait_for(&guest, "busy: computing", Duration::from_secs(10));
    let first = ask(&guest);
    let last = ask_at(&guest, first.uptime + 20.0);
    println!("{first:?} {last:?}");
    let busy = last.uptime - first.uptime;
    // It computed before the first look as well, if the host was slow.
    let after = |seconds| average(first.load, BUSY_THREADS, seconds);
    let (least, most) = (after(busy - STEP), after(busy + STEP));
    assert!(
        (least * 0.9..=most * 1.1).contains(&last.load),
        "{last:?} is not from {least} to {most}"
    );
    assert!(last.cpu - first.cpu > busy * 0.95, "{first:?} {last:?}");
}

#[test]
fn the_load_average_of_an_idle_cartridge_is_near_zero() {
    let (guest, _payload) = start("apps/hello");
    let first = ask(&guest);
    let last = ask_at(&guest, first.uptime.max(STEP) + STEP + 1.0);
    println!("{first:?} {last:?}");
    assert!(last.load < 0.1, "{last:?}");
    assert!(
        last.cpu - first.cpu < (last.uptime - first.uptime) * 0.1,
        "{first:?} {last:?}"
    );
}
