//! Every kept input of every target, replayed.

use cartridge_fuzz::targets::ALL;
use std::fs;
use std::path::Path;

/// More would be a corpus that nobody looks at.
const MOST_INPUTS: usize = 64;
const LARGEST_INPUT: u64 = 64 << 10;

#[test]
fn every_target_takes_its_corpus_and_hostile_commonplaces() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for target in ALL {
        let mut files: Vec<_> = fs::read_dir(folder.join(target.name))
            .unwrap_or_else(|error| panic!("corpus/{}: {error}", target.name))
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        assert!(
            !files.is_empty() && files.len() <= MOST_INPUTS,
            "corpus/{}",
            target.name
        );
        for file in files {
            let input = fs::read(&file).unwrap();
            assert!(input.len() as u64 <= LARGEST_INPUT, "{}", file.display());
            eprintln!("{}", file.display());
            (target.run)(&input);
        }
        eprintln!("{}: commonplaces", target.name);
        for byte in [0, b'\n', b'{', b'[', b'"', b',', 0x7f, 0x80, 0xff] {
            for length in [0, 1, 2, 3, 64, 4096] {
                (target.run)(&vec![byte; length]);
            }
        }
    }
}

#[test]
fn every_folder_of_the_corpus_has_a_target() {
    for kind in ["corpus", "dictionaries"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(kind);
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            assert!(cartridge_fuzz::target(&name).is_some(), "{}", path.display());
        }
    }
}
