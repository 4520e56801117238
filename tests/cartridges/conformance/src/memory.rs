//! The heap and the collections on it.

use crate::report::{Check, Outcome};
use crate::{ensure, ensure_eq};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hint::black_box;
use std::process::ExitCode;
use std::thread;

pub const CHECKS: &[Check] = &[
    ("large allocations", large),
    ("growing keeps what was there", growing),
    ("zeroed memory is zero, even when it was used before", zeroed),
    ("alignments", alignments),
    ("small allocations from many threads", churn),
    ("freed memory is used again", reuse),
    ("an impossible reservation is refused, not fatal", impossible),
    ("hash maps", hash_maps),
    ("other collections", collections),
];

fn large() -> Outcome {
    for mebibytes in [1, 4, 16] {
        let block = black_box(vec![0xa5u8; mebibytes << 20]);
        ensure!(
            block.iter().step_by(4096).all(|byte| *byte == 0xa5),
            "{mebibytes} MiB came back changed"
        );
    }
    Ok(())
}

fn growing() -> Outcome {
    let mut numbers = Vec::new();
    for number in 0..500_000u64 {
        numbers.push(number);
    }
    ensure!(
        numbers
            .iter()
            .enumerate()
            .all(|(index, number)| index as u64 == *number),
        "a number changed"
    );
    numbers.truncate(10);
    numbers.shrink_to_fit();
    ensure_eq!(numbers, (0..10).collect::<Vec<_>>());
    Ok(())
}

fn zeroed() -> Outcome {
    for _ in 0..10 {
        drop(black_box(vec![0xffu8; 300_000]));
        let zeros = black_box(vec![0u8; 300_000]);
        ensure!(zeros.iter().all(|byte| *byte == 0), "a zeroed block is not zero");
    }
    Ok(())
}

fn alignments() -> Outcome {
    #[repr(align(16))]
    struct A16(#[expect(dead_code)] u8);
    #[repr(align(64))]
    struct A64(#[expect(dead_code)] u8);
    #[repr(align(4096))]
    struct A4096(#[expect(dead_code)] u8);
    let mut kept = Vec::new();
    for round in 0..50u8 {
        kept.push((
            Box::new(A16(round)),
            Box::new(A64(round)),
            Box::new(A4096(round)),
            vec![round; 33],
        ));
    }
    for (a, b, c, _) in &kept {
        let addresses = (
            &raw const **a as usize % 16,
            &raw const **b as usize % 64,
            &raw const **c as usize % 4096,
        );
        ensure_eq!(addresses, (0, 0, 0));
    }
    Ok(())
}

fn churn() -> Outcome {
    let handles: Vec<_> = (0..8usize)
        .map(|own| {
            thread::spawn(move || {
                let mut kept: VecDeque<Vec<u8>> = VecDeque::new();
                for turn in 0..3_000usize {
                    kept.push_back(vec![own as u8; 1 + (turn * 37 + own * 101) % 700]);
                    if kept.len() > 40 {
                        let oldest = kept.pop_front().unwrap_or_default();
                        if oldest.iter().any(|byte| *byte != own as u8) {
                            return false;
                        }
                    }
                }
                true
            })
        })
        .collect();
    for handle in handles {
        ensure_eq!(handle.join().ok(), Some(true));
    }
    Ok(())
}

/// Far more in sum than the machine has.
fn reuse() -> Outcome {
    for turn in 0..2_000usize {
        let block = black_box(vec![turn as u8; 100_000 + (turn * 7_919) % 200_000]);
        ensure_eq!(block[block.len() / 2], turn as u8);
    }
    Ok(())
}

fn impossible() -> Outcome {
    let mut bytes: Vec<u8> = Vec::new();
    ensure!(bytes.try_reserve_exact(1 << 46).is_err(), "64 TiB were given");
    bytes.push(1);
    ensure_eq!(bytes, [1]);
    Ok(())
}

fn hash_maps() -> Outcome {
    let mut map: HashMap<String, usize> = HashMap::new();
    for number in 0..20_000 {
        map.insert(format!("key {number}"), number);
    }
    ensure!(
        (0..20_000).all(|number| map.get(&format!("key {number}")) == Some(&number)),
        "a key is lost"
    );
    map.retain(|_, number| *number % 2 == 0);
    ensure_eq!(map.len(), 10_000);
    let set: HashSet<usize> = thread::spawn(|| (0..1_000).map(|n| n % 100).collect())
        .join()
        .map_err(|_| "it failed")?;
    ensure_eq!(set.len(), 100);
    Ok(())
}

fn collections() -> Outcome {
    let tree: BTreeMap<u32, u32> = (0..5_000).map(|n| ((n * 7_919) % 5_003, n)).collect();
    ensure!(
        tree.keys().zip(tree.keys().skip(1)).all(|(a, b)| a < b),
        "the tree is out of order"
    );
    let mut numbers: Vec<u32> = (0..50_000u32).map(|n| n.wrapping_mul(2_654_435_761)).collect();
    numbers.sort_unstable();
    ensure!(numbers.is_sorted(), "sorting failed");
    Ok(())
}

/// Takes so many MiB in blocks of 64, writes into the first page of each, and reads all back: blocks that shared their
/// memory would show it.
pub fn fill(mebibytes: usize) -> ExitCode {
    const BLOCK: usize = 64;
    let mut blocks: Vec<Vec<u64>> = Vec::new();
    for number in 0..mebibytes / BLOCK {
        let mut block = Vec::new();
        if let Err(error) = block.try_reserve_exact((BLOCK << 20) / size_of::<u64>()) {
            println!("fill: block {number}: {error}");
            return ExitCode::FAILURE;
        }
        block.extend((0..4096 / size_of::<u64>()).map(|word| pattern(number, word)));
        blocks.push(block);
    }
    let holds = |(number, block): (usize, &Vec<u64>)| {
        block
            .iter()
            .enumerate()
            .all(|(word, value)| *value == pattern(number, word))
    };
    let good = blocks.iter().enumerate().filter(|pair| holds(*pair)).count();
    let highest = blocks.iter().map(|block| block.as_ptr().addr()).max().unwrap_or(0);
    println!(
        "fill: {} MiB hold, {good} of {} blocks, up to {highest:#x}",
        good * BLOCK,
        blocks.len()
    );
    ExitCode::from(u8::from(good != blocks.len()))
}

fn pattern(block: usize, word: usize) -> u64 {
    ((block as u64) << 32 | word as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
