//! The keys that `--json` promises in docs/CLI.md.

use super::{alone, cartridge};
use serde_json::Value;

/// The object that a command prints, which is one line.
fn object(arguments: &[&str]) -> Value {
    let (status, output, errors) = cartridge(arguments);
    assert_eq!(status, 0, "{arguments:?}: {errors}");
    assert_eq!(output.lines().count(), 1, "{output}");
    serde_json::from_str(&output).unwrap_or_else(|error| panic!("{error}: {output}"))
}

/// What was measured, and where: in the reports of both benches.
const MEASURED: [&str; 5] = ["name", "version", "machine", "firmware", "memory_mib"];

fn has(object: &Value, keys: &[&str]) {
    for key in keys {
        assert!(object.get(key).is_some(), "no {key} in {object}");
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn build_and_inspect_print_their_keys() {
    let _alone = alone();
    let built = object(&["build", "apps/hello", "--json"]);
    has(
        &built,
        &[
            "name",
            "version",
            "image",
            "debug_image",
            "bytes",
            "sha256",
            "kernel",
            "ports",
            "memory_mib",
            "toolchain",
            "seconds",
        ],
    );
    assert_eq!((&built["name"], &built["kernel"]), (&"hello".into(), &"glue".into()));
    assert_eq!(built["image"], "target/cartridge/hello/hello.elf");
    assert_eq!(built["ports"][0], 8080);
    assert_eq!(built["sha256"].as_str().map(str::len), Some(64));

    let image = object(&["inspect", "apps/hello", "--json"]);
    has(
        &image,
        &[
            "image",
            "bytes",
            "entry",
            "pvh_entry",
            "segments",
            "files",
            "defaults",
            "crates",
        ],
    );
    assert_eq!(image["bytes"], built["bytes"]);
    has(
        &image["segments"][0],
        &["type", "permissions", "address", "file_bytes", "memory_bytes"],
    );
    has(&image["files"][0], &["path", "bytes"]);
    assert_eq!(image["defaults"]["PORTS"], "8080");
    let crates = image["crates"].as_array().expect("a list");
    let sum: f64 = crates.iter().map(|share| number(&share["bytes"])).sum();
    assert_eq!(sum, number(&image["bytes"]), "crates add up to the image");
    // The app's name, its folder and the image itself are the same thing.
    let by_path = object(&["inspect", "target/cartridge/hello/hello.elf", "--json"]);
    assert_eq!(by_path["crates"], image["crates"]);
}

#[test]
fn bench_boot_prints_its_keys() {
    let _alone = alone();
    let report = object(&["bench", "boot", "--json", "--runs", "1", "--accel", "tcg"]);
    has(&report, &MEASURED);
    has(
        &report,
        &[
            "accel",
            "image_bytes",
            "min_ram_mib",
            "instructions_to_ready",
            "instructions_to_first_200",
            "instruction_runs",
            "firmware_instructions",
            "wall_ms",
            "wall_ms_to_ready",
            "wall_runs_ms",
        ],
    );
    assert_eq!(
        (&report["machine"], &report["firmware"]),
        (&"microvm".into(), &"qboot".into())
    );
    assert_eq!((&report["accel"], &report["memory_mib"]), (&"tcg".into(), &16.into()));
    assert!(number(&report["instructions_to_ready"]) < number(&report["instructions_to_first_200"]));
    assert_eq!(report["wall_runs_ms"].as_array().map(Vec::len), Some(1));
}

#[test]
fn bench_http_prints_its_keys_also_of_what_it_compares_with() {
    let _alone = alone();
    let built = object(&["build", "apps/hello", "--json"]);
    let image = built["image"].as_str().expect("a path");
    let line = [
        "bench",
        "http",
        "--json",
        "--clients",
        "2",
        "--seconds",
        "1",
        "--compare",
        image,
    ];
    let report = object(&line);
    has(&report, &MEASURED);
    has(&report, &["results", "compare"]);
    assert_eq!(report["compare"]["image"], image);
    assert_eq!(report["compare"]["image_bytes"], built["bytes"]);
    for results in [&report["results"], &report["compare"]["results"]] {
        assert_eq!(results.as_array().map(Vec::len), Some(1));
        let result = &results[0];
        has(
            result,
            &[
                "clients",
                "requests_per_second",
                "requests_per_cpu_second",
                "latency_p50_ms",
                "latency_p99_ms",
                "instructions_per_request",
                "errors",
                "accel",
            ],
        );
        assert_eq!(result["clients"], 2);
        assert!(number(&result["requests_per_second"]) > 0.0 && number(&result["instructions_per_request"]) > 0.0);
    }
}
