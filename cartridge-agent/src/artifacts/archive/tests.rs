//! What all tests of archives share, and those of archives made here byte by byte.

use super::*;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

pub const LIMITS: Limits = Limits {
    bytes: 16 << 20,
    entries: 1000,
};

/// A place for one test, removed with it.
pub struct Place(pub PathBuf);

impl Place {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("archive-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Place(path)
    }

    /// Unpacks, given the archive in pieces of this many bytes.
    pub fn unpack_in(&self, archive: &[u8], piece: usize, limits: Limits) -> Result<Unpacked, Problem> {
        let mut unpacker = Unpacker::new(Folder::new(&self.0.join("in"), limits)?);
        for piece in archive.chunks(piece) {
            unpacker.take(piece)?;
        }
        unpacker.finish()
    }

    /// Unpacks, in pieces of several sizes, which must all give the same.
    pub fn unpack(&self, archive: &[u8]) -> Result<(Files, u32), Problem> {
        fs::create_dir_all(self.0.join("in")).unwrap();
        let mut results = [1, 7, 512, 4096, usize::MAX].map(|piece| {
            let unpacked = self.unpack_in(archive, piece, LIMITS)?;
            let files = files(&unpacked.root);
            folder::remove(&unpacked.folder);
            Ok((files, unpacked.skipped))
        });
        for result in &results {
            assert_eq!(*result, results[0]);
        }
        // Nothing is left of what failed.
        assert_eq!(fs::read_dir(self.0.join("in")).unwrap().count(), 0);
        std::mem::replace(&mut results[0], Err(Problem::Empty))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Names below a folder with their content; folders end in `/`.
pub type Files = BTreeMap<String, Vec<u8>>;

pub fn files(root: &Path) -> Files {
    fn walk(folder: &Path, prefix: &str, into: &mut Files) {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
            let kind = entry.file_type().unwrap();
            assert!(kind.is_dir() || kind.is_file(), "{name} is neither file nor folder");
            if kind.is_dir() {
                walk(&entry.path(), &format!("{name}/"), into);
                into.insert(name + "/", Vec::new());
            } else {
                into.insert(name, fs::read(entry.path()).unwrap());
            }
        }
    }
    let mut all = Files::new();
    walk(root, "", &mut all);
    all
}

/// One entry of a tar.
pub fn tar_entry(name: &[u8], kind: u8, content: &[u8]) -> Vec<u8> {
    let mut block = vec![0; 512];
    block[..name.len()].copy_from_slice(name);
    block[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
    block[156] = kind;
    block[257..265].copy_from_slice(b"ustar\x0000");
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    block.extend_from_slice(content);
    block.resize(block.len().next_multiple_of(512), 0);
    block
}

/// A tar of these entries, with its end mark.
pub fn tar_of(entries: &[(&[u8], u8, &[u8])]) -> Vec<u8> {
    let mut tar: Vec<u8> = entries
        .iter()
        .flat_map(|(name, kind, content)| tar_entry(name, *kind, content))
        .collect();
    tar.resize(tar.len() + 1024, 0);
    tar
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A zip of stored files: the local name, the name in its list, and the content.
pub fn zip_of(entries: &[(&[u8], &[u8], &[u8])]) -> Vec<u8> {
    let mut zip = Vec::new();
    let mut list = Vec::new();
    for (name, listed, content) in entries {
        let mut crc = flate2::Crc::new();
        crc.update(content);
        let size = (content.len() as u32).to_le_bytes();
        let common = |name: &[u8]| {
            [
                &[20, 0, 0, 0, 0, 0, 0, 0, 0, 0][..],
                &crc.sum().to_le_bytes(),
                &size,
                &size,
                &(name.len() as u16).to_le_bytes(),
                &[0, 0],
            ]
            .concat()
        };
        let at = (zip.len() as u32).to_le_bytes();
        zip.extend([b"PK\x03\x04", &common(name)[..], name, content].concat());
        list.extend([b"PK\x01\x02\x14\x03", &common(listed)[..], &[0; 10], &at, listed].concat());
    }
    let count = (entries.len() as u16).to_le_bytes();
    let (at, size) = ((zip.len() as u32).to_le_bytes(), (list.len() as u32).to_le_bytes());
    zip.extend(list);
    zip.extend([b"PK\x05\x06\0\0\0\0", &count[..], &count, &size, &at, &[0, 0]].concat());
    zip
}

#[test]
fn the_format_is_told_by_content() {
    let place = Place::new("formats");
    let tar = tar_of(&[(b"a.txt", b'0', b"hello"), (b"d/b", b'0', b"")]);
    let zip = zip_of(&[(b"a.txt", b"a.txt", b"hello"), (b"d/b", b"d/b", b"")]);
    let wanted = Files::from([
        ("a.txt".into(), b"hello".to_vec()),
        ("d/".into(), Vec::new()),
        ("d/b".into(), Vec::new()),
    ]);
    for archive in [tar.clone(), gzip(&tar), zip] {
        assert_eq!(place.unpack(&archive), Ok((wanted.clone(), 0)));
    }
    for (bytes, said) in [
        (&b""[..], "empty"),
        (b"BZh91AY&SY", "bzip2"),
        (b"\xfd7zXZ\0\0", "xz"),
        (b"\x28\xb5\x2f\xfd\0", "zstd"),
        (b"\r\n<!DOCTYPE html><title>Sign in</title>", "login"),
        (b"{\"message\":\"Not Found\"}", "none of these"),
        (&gzip(b"only a text"), "no tar"),
        (&gzip(&[b'x'; 5000]), "no tar"),
    ] {
        let Err(problem @ Problem::NotAnArchive(_)) = place.unpack(bytes) else {
            panic!("{said}")
        };
        assert!(problem.to_string().contains(said), "{problem}");
    }
}

#[test]
fn an_archive_without_files_is_refused() {
    let place = Place::new("empty");
    for archive in [vec![0; 1024], gzip(&[0; 10240]), zip_of(&[])] {
        assert_eq!(place.unpack(&archive), Err(Problem::Empty));
    }
}

#[test]
fn one_leading_folder_that_all_share_is_left_out() {
    let place = Place::new("leading");
    let packed = tar_of(&[
        (
            b"pax_global_header",
            b'g',
            b"52 comment=0123456789012345678901234567890123456789\n",
        ),
        (b"repo-main/", b'5', b""),
        (b"repo-main/index.html", b'0', b"x"),
        (b"repo-main/css/a.css", b'0', b"y"),
    ]);
    let (files, _) = place.unpack(&packed).unwrap();
    assert_eq!(files.keys().collect::<Vec<_>>(), ["css/", "css/a.css", "index.html"]);
    let (files, _) = place
        .unpack(&tar_of(&[(b"css/a.css", b'0', b"y"), (b"index.html", b'0', b"x")]))
        .unwrap();
    assert_eq!(files.len(), 3);
}

#[test]
fn of_entries_with_one_name_the_last_wins() {
    let place = Place::new("twice");
    let tar = tar_of(&[
        (b"a", b'0', b"a longer first"),
        (b"b", b'0', b""),
        (b"a", b'0', b"last"),
    ]);
    let zip = zip_of(&[
        (b"a", b"a", b"a longer first"),
        (b"b", b"b", b""),
        (b"a", b"a", b"last"),
    ]);
    for archive in [tar, zip] {
        assert_eq!(place.unpack(&archive).unwrap().0["a"], b"last");
    }
}

#[test]
fn members_of_gzip_may_follow_each_other_and_be_padded() {
    let place = Place::new("members");
    let tar = tar_of(&[(b"a", b'0', &[7; 3000])]);
    let mut packed = [gzip(&tar[..700]), gzip(&tar[700..])].concat();
    assert!(place.unpack(&packed).is_ok());
    packed.resize(packed.len() + 600, 0);
    assert!(place.unpack(&packed).is_ok());
    packed.push(1);
    assert!(matches!(place.unpack(&packed), Err(Problem::Damaged(_))));
}

#[test]
fn names_may_be_in_long_headers_of_both_kinds() {
    let place = Place::new("long");
    let long = ["x".repeat(150), "y".repeat(150)].join("/");
    let record = |text: &str| {
        let length = text.len() + 5;
        format!("{length} {text}\n")
    };
    let tar = tar_of(&[
        (b"././@LongLink", b'L', format!("{long}\0").as_bytes()),
        (b"cut", b'0', b"gnu"),
        (b"PaxHeader", b'x', record(&format!("path={long}z")).as_bytes()),
        (b"cut", b'0', b"pax"),
        (b"plain", b'0', b"none"),
    ]);
    let (files, _) = place.unpack(&tar).unwrap();
    assert_eq!(
        (&files[&long][..], &files[&format!("{long}z")][..], &files["plain"][..]),
        (&b"gnu"[..], &b"pax"[..], &b"none"[..])
    );
}
