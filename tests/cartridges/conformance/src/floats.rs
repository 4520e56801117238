//! Floating point: threads that compute against each other, and the functions of mathematics.

use crate::report::{Check, Outcome};
use crate::{ensure, ensure_eq};
use std::hint::black_box;
use std::thread;

pub const CHECKS: &[Check] = &[
    ("threads do not disturb each other's registers", threads),
    ("vector sums beside system calls", vectors),
    ("functions of f64", double_functions),
    ("functions of f32", single_functions),
    ("remainders and fused multiply-add", remainders),
    ("rounding", rounding),
];

fn threads() -> Outcome {
    let expected: Vec<f64> = (0..6).map(|seed| series(f64::from(seed), false)).collect();
    let handles: Vec<_> = (0..6)
        .map(|seed| thread::spawn(move || series(f64::from(seed), true)))
        .collect();
    for (handle, expected) in handles.into_iter().zip(expected) {
        ensure_eq!(handle.join().ok().map(f64::to_bits), Some(expected.to_bits()));
    }
    Ok(())
}

/// Keeps eight running values alive at once, long enough to be interrupted many times.
fn series(seed: f64, yields: bool) -> f64 {
    let mut values = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8].map(|start: f64| start + seed);
    for turn in 0..200_000u32 {
        for (index, value) in values.iter_mut().enumerate() {
            *value = (*value * 1.000_001 + f64::from(turn % 7) * 0.001) / (1.0 + index as f64 * 1e-7);
        }
        if yields && turn % 20_000 == 0 {
            thread::yield_now();
        }
    }
    values.iter().sum()
}

fn vectors() -> Outcome {
    let handles: Vec<_> = (1..=4)
        .map(|own| {
            thread::spawn(move || {
                (0..200).all(|_| {
                    let numbers = black_box(vec![own as f32; 1_000]);
                    let scaled: Vec<f32> = numbers.iter().map(|number| number * 2.0 + 1.0).collect();
                    thread::yield_now();
                    scaled.iter().all(|number| *number == own as f32 * 2.0 + 1.0)
                })
            })
        })
        .collect();
    for handle in handles {
        ensure_eq!(handle.join().ok(), Some(true));
    }
    Ok(())
}

/// A few units in the last place of the values below: a result computed in the next smaller type is far off.
const DOUBLE: f64 = 1e-14;
const SINGLE: f64 = 1e-6;

fn near(name: &str, value: f64, expected: f64, allowed: f64) -> Outcome {
    let error = (value - expected).abs() / expected.abs().max(1.0);
    ensure!(error < allowed, "{name} is {value}, expected {expected}");
    Ok(())
}

fn double_functions() -> Outcome {
    let x = black_box(0.7f64);
    for (name, value, expected) in [
        ("sin", x.sin(), 0.644_217_687_237_691),
        ("cos", x.cos(), 0.764_842_187_284_488),
        ("tan", x.tan(), 0.842_288_380_463_079),
        ("asin", x.asin(), 0.775_397_496_610_753),
        ("acos", x.acos(), 0.795_398_830_184_144),
        ("atan", x.atan(), 0.610_725_964_389_209),
        ("atan2", x.atan2(-0.3), 1.975_688_113_079_98),
        ("sinh", x.sinh(), 0.758_583_701_839_534),
        ("cosh", x.cosh(), 1.255_169_005_630_943),
        ("tanh", x.tanh(), 0.604_367_777_117_164),
        ("exp", x.exp(), 2.013_752_707_470_477),
        ("exp2", x.exp2(), 1.624_504_792_712_471),
        ("exp_m1", x.exp_m1(), 1.013_752_707_470_477),
        ("ln", x.ln(), -0.356_674_943_938_732),
        ("ln_1p", x.ln_1p(), 0.530_628_251_062_170),
        ("log10", x.log10(), -0.154_901_959_985_743),
        ("log2", x.log2(), -0.514_573_172_829_758),
        ("powf", x.powf(3.3), 0.308_193_540_534_189),
        ("powi", x.powi(5), 0.168_07),
        ("sqrt", x.sqrt(), 0.836_660_026_534_076),
        ("cbrt", x.cbrt(), 0.887_904_001_742_601),
        ("hypot", x.hypot(2.4), 2.5),
    ] {
        near(name, value, expected, DOUBLE)?;
    }
    Ok(())
}

fn single_functions() -> Outcome {
    let x = black_box(0.7f32);
    for (name, value, expected) in [
        ("sin", x.sin(), 0.644_217_7),
        ("cos", x.cos(), 0.764_842_2),
        ("tan", x.tan(), 0.842_288_4),
        ("atan2", x.atan2(-0.3), 1.975_688_1),
        ("exp", x.exp(), 2.013_752_7),
        ("ln", x.ln(), -0.356_674_94),
        ("log10", x.log10(), -0.154_901_96),
        ("powf", x.powf(3.3), 0.308_193_540_534_189),
        ("sqrt", x.sqrt(), 0.836_660_03),
        ("cbrt", x.cbrt(), 0.887_904),
        ("hypot", x.hypot(2.4), 2.5),
        ("tanh", x.tanh(), 0.604_367_8),
    ] {
        near(name, f64::from(value), expected, SINGLE)?;
    }
    Ok(())
}

fn remainders() -> Outcome {
    ensure_eq!(black_box(7.5f64) % black_box(2.0), 1.5);
    ensure_eq!(black_box(-7.5f64) % black_box(2.0), -1.5);
    ensure_eq!(black_box(7.5f32) % black_box(2.0), 1.5);
    ensure_eq!(black_box(-7.5f64).rem_euclid(black_box(2.0)), 0.5);
    ensure_eq!(black_box(3.0f64).mul_add(black_box(4.0), black_box(5.0)), 17.0);
    ensure_eq!(black_box(3.0f32).mul_add(black_box(4.0), black_box(5.0)), 17.0);
    Ok(())
}

fn rounding() -> Outcome {
    let x = black_box(-2.5f64);
    ensure_eq!(
        (x.floor(), x.ceil(), x.round(), x.trunc(), x.round_ties_even()),
        (-3.0, -2.0, -3.0, -2.0, -2.0)
    );
    let x = black_box(2.75f32);
    ensure_eq!(
        (x.floor(), x.ceil(), x.round(), x.trunc(), x.fract()),
        (2.0, 3.0, 3.0, 2.0, 0.75)
    );
    ensure_eq!(
        (
            black_box(300.7f64) as u8,
            black_box(f64::NAN) as i32,
            black_box(1e20f64) as i64
        ),
        (255, 0, i64::MAX)
    );
    ensure_eq!(
        black_box(1u128 << 100) as f64,
        1_267_650_600_228_229_401_496_703_205_376.0
    );
    Ok(())
}
