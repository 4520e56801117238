//! Says what it knows of itself, a line each: its parameters, its instance, and whether the machine gives random bytes (the seed of a
//! hash map, in a thread that has none yet). Then it waits for a stop.

use std::hash::{BuildHasher, RandomState};
use std::thread;

fn main() {
    let cartridge = cartridge_agent::start();
    let instance = cartridge.instance();
    for (key, value) in cartridge.parameters().iter() {
        cartridge_agent::log!(Info, "parameter {key} is {value}");
    }
    cartridge_agent::log!(
        Info,
        "instance {} host {} zone {} keys {}",
        instance.id().unwrap_or("none"),
        instance.hostname().unwrap_or("none"),
        instance.availability_zone().unwrap_or("none"),
        instance.keys().join(";")
    );
    if cartridge.parameter("RANDOM").is_some() {
        let seed = thread::spawn(|| RandomState::new().hash_one(0)).join();
        cartridge_agent::log!(Info, "random bytes: {}", seed.is_ok());
    }
    cartridge_agent::log!(Info, "that is all");
    cartridge.shutdown().wait();
}
