//! Files that come with the program (the folder `data`).

use crate::report::{Check, Outcome};
use crate::{ensure, ensure_eq, tried};
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::PathBuf;

pub const CHECKS: &[Check] = &[
    ("reading whole files", whole),
    ("reading lines", lines),
    ("seeking", seeking),
    ("metadata", metadata),
    ("listing directories", listing),
    ("dots in paths", dots),
    ("errors", errors),
    ("two openings have two positions", two_openings),
    ("devices", devices),
];

/// In a cartridge the files are at `/data`; under cargo they are in the package's folder.
fn data(path: &str) -> PathBuf {
    let package = std::env::var("CARGO_MANIFEST_DIR").map_or_else(|_| PathBuf::from("."), PathBuf::from);
    package.join("data").join(path)
}

fn whole() -> Outcome {
    ensure_eq!(tried!(fs::read_to_string(data("lines.txt"))), "one\ntwo\nthree\n");
    ensure_eq!(tried!(fs::read_to_string(data("folder/deep/deepest.txt"))), "deepest\n");
    ensure_eq!(tried!(fs::read(data("empty.txt"))).len(), 0);
    let bytes = tried!(fs::read(data("bytes.bin")));
    ensure_eq!(bytes.len(), 10_000);
    ensure!(
        (0..10_000).all(|n| usize::from(bytes[n]) == (n * 7 + n / 251) % 256),
        "the bytes are wrong"
    );
    Ok(())
}

fn lines() -> Outcome {
    let file = BufReader::new(tried!(File::open(data("lines.txt"))));
    let lines: Vec<String> = tried!(file.lines().collect::<Result<_, _>>());
    ensure_eq!(lines, ["one", "two", "three"]);
    Ok(())
}

fn seeking() -> Outcome {
    let mut file = tried!(File::open(data("bytes.bin")));
    let mut byte = [0; 1];
    for (to, position) in [
        (SeekFrom::Start(5_000), 5_000u64),
        (SeekFrom::End(-1), 9_999),
        (SeekFrom::Current(-10), 9_990),
        (SeekFrom::Start(0), 0),
    ] {
        ensure_eq!(tried!(file.seek(to)), position);
        tried!(file.read_exact(&mut byte));
        ensure_eq!(u64::from(byte[0]), (position * 7 + position / 251) % 256);
    }
    ensure_eq!(tried!(file.seek(SeekFrom::Start(20_000))), 20_000);
    ensure_eq!(tried!(file.read(&mut byte)), 0);
    ensure_eq!(
        file.seek(SeekFrom::End(-10_001)).map_err(|error| error.kind()),
        Err(ErrorKind::InvalidInput)
    );
    ensure_eq!(tried!(file.stream_position()), 20_000);
    Ok(())
}

fn metadata() -> Outcome {
    let file = tried!(fs::metadata(data("bytes.bin")));
    ensure_eq!(
        (file.len(), file.is_file(), file.is_dir(), file.is_symlink()),
        (10_000, true, false, false)
    );
    let folder = tried!(fs::metadata(data("folder")));
    ensure_eq!((folder.is_file(), folder.is_dir()), (false, true));
    ensure_eq!(tried!(fs::symlink_metadata(data("lines.txt"))).len(), 14);
    ensure_eq!(tried!(tried!(File::open(data("lines.txt"))).metadata()).len(), 14);
    ensure_eq!(
        (data("folder/deep").exists(), data("folder/none").exists()),
        (true, false)
    );
    Ok(())
}

fn listing() -> Outcome {
    let mut found: Vec<(String, bool)> = Vec::new();
    for entry in tried!(fs::read_dir(data(""))) {
        let entry = tried!(entry);
        found.push((
            entry.file_name().to_string_lossy().into_owned(),
            tried!(entry.file_type()).is_dir(),
        ));
        ensure!(entry.path().exists(), "{:?} is listed but not there", entry.path());
    }
    found.sort();
    let expected = [
        ("bytes.bin", false),
        ("empty.txt", false),
        ("folder", true),
        ("lines.txt", false),
    ];
    ensure_eq!(found, expected.map(|(name, directory)| (String::from(name), directory)));
    ensure!(tried!(fs::read_dir("/")).count() > 0, "the root is empty");
    Ok(())
}

fn dots() -> Outcome {
    for path in [
        "./lines.txt",
        "folder/../lines.txt",
        "folder/deep/.././../lines.txt",
        "folder//..//lines.txt",
    ] {
        ensure_eq!(tried!(fs::metadata(data(path))).len(), 14);
    }
    ensure!(
        tried!(fs::metadata("/../..")).is_dir(),
        "above the root is no directory"
    );
    Ok(())
}

/// Error numbers are the same on Linux and in the Hermit ABI; std knows fewer kinds there, so the numbers are compared.
fn errors() -> Outcome {
    let number = |result: std::io::Result<File>| result.err().and_then(|error| error.raw_os_error());
    let (not_found, not_a_directory, is_a_directory, name_too_long) = (2, 20, 21, 36);
    ensure_eq!(number(File::open(data("none"))), Some(not_found));
    ensure_eq!(number(File::open(data("none/none"))), Some(not_found));
    ensure_eq!(number(File::open("")), Some(not_found));
    ensure_eq!(number(File::open(data("lines.txt/x"))), Some(not_a_directory));
    ensure_eq!(number(File::open(data("lines.txt/"))), Some(not_a_directory));
    ensure_eq!(number(File::open(data("lines.txt/.."))), Some(not_a_directory));
    ensure_eq!(number(File::open(data("none/.."))), Some(not_found));
    ensure_eq!(
        number(OpenOptions::new().write(true).open(data("folder"))),
        Some(is_a_directory)
    );
    ensure_eq!(number(File::open(data(&"x".repeat(300)))), Some(name_too_long));
    let read = tried!(File::open(data("folder"))).read(&mut [0; 10]);
    ensure_eq!(read.err().and_then(|error| error.raw_os_error()), Some(is_a_directory));
    ensure!(fs::read_dir(data("lines.txt")).is_err(), "a file was listed");
    ensure_eq!(
        File::open("with\0zero").map_err(|error| error.kind()).err(),
        Some(ErrorKind::InvalidInput)
    );
    Ok(())
}

fn two_openings() -> Outcome {
    let (mut first, mut second) = (
        tried!(File::open(data("lines.txt"))),
        tried!(File::open(data("lines.txt"))),
    );
    let (mut a, mut b) = ([0; 4], [0; 4]);
    tried!(first.read_exact(&mut a));
    tried!(first.read_exact(&mut a));
    tried!(second.read_exact(&mut b));
    ensure_eq!((&a, &b), (b"two\n", b"one\n"));
    Ok(())
}

fn devices() -> Outcome {
    tried!(fs::write("/dev/null", b"gone"));
    ensure_eq!(tried!(fs::read("/dev/null")).len(), 0);
    let mut random = [0; 32];
    tried!(tried!(File::open("/dev/urandom")).read_exact(&mut random));
    ensure!(random != [0; 32], "random bytes are all zero");
    Ok(())
}
