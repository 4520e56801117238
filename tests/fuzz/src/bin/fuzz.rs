//! All targets under libFuzzer: the environment variable `FUZZ_TARGET` says which. `./cartridge test fuzz` builds it with coverage,
//! and starts it with its options (those of libFuzzer) and corpus.
#![no_main]

use cartridge_fuzz::{Target, target, targets::ALL};
use std::sync::OnceLock;

fn wanted() -> &'static Target {
    static WANTED: OnceLock<&Target> = OnceLock::new();
    WANTED.get_or_init(|| {
        let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
        target(&name).unwrap_or_else(|| {
            let names: Vec<&str> = ALL.iter().map(|target| target.name).collect();
            eprintln!("FUZZ_TARGET={name} is none of {}", names.join(" "));
            std::process::exit(2)
        })
    })
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| (wanted().run)(data));
