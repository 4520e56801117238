//! An app that needs random bytes: it prints a number from a hash map's seed, made in a thread that has none yet.

use std::hash::{BuildHasher, RandomState};
use std::thread;

fn main() {
    let seed = thread::spawn(|| RandomState::new().hash_one(0))
        .join()
        .expect("the thread does not panic");
    println!("secret: {seed:x}");
}
