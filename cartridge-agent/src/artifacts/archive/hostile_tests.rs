//! Archives that want to do harm, or are broken: each is refused with a reason, leaves nothing behind and costs no memory.

use super::tests::{LIMITS, Place, gzip, tar_of, zip_of};
use super::*;
use std::fs;

const HOSTILE_NAMES: &[&[u8]] = &[
    b"../escaped",
    b"a/../../escaped",
    b"/tmp/escaped",
    b"..",
    b"a\\..\\..\\escaped",
    b"C:/escaped",
    b"./../escaped",
    b"a/..",
    b"\xff\xfe",
];

#[test]
fn no_name_leads_out_of_the_folder() {
    let place = Place::new("slip");
    for name in HOSTILE_NAMES {
        let tar = tar_of(&[(b"good", b'0', b"x"), (name, b'0', b"evil")]);
        let zip = zip_of(&[(b"good", b"good", b"x"), (name, name, b"evil")]);
        let folder = tar_of(&[(b"good", b'0', b"x"), (name, b'5', b"")]);
        for archive in [tar.clone(), gzip(&tar), zip, folder] {
            let refused = place.unpack(&archive);
            assert!(matches!(refused, Err(Problem::BadName(..))), "{name:?}: {refused:?}");
        }
        // In a long header too.
        let long = tar_of(&[(b"././@LongLink", b'L', name), (b"good", b'0', b"evil")]);
        assert!(matches!(place.unpack(&long), Err(Problem::BadName(..))), "{name:?}");
        assert!(!place.0.join("escaped").exists() && !place.0.join("in/escaped").exists());
    }
}

#[test]
fn links_and_devices_are_left_out_and_nothing_is_written_through_them() {
    let place = Place::new("links");
    let outside = place.0.join("outside");
    fs::create_dir_all(&outside).unwrap();
    let target = outside.to_str().unwrap().as_bytes().to_vec();
    let mut link = super::tests::tar_entry(b"link", b'2', b"");
    link[157..157 + target.len()].copy_from_slice(&target);
    link[148..156].fill(b' ');
    let sum: u32 = link[..512].iter().map(|byte| u32::from(*byte)).sum();
    link[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let rest = tar_of(&[
        (b"link/file", b'0', b"evil"),
        (b"hard", b'1', b""),
        (b"character", b'3', b""),
        (b"block", b'4', b""),
        (b"pipe", b'6', b""),
        (b"strange", b'~', b"some content"),
    ]);
    let (files, skipped) = place.unpack(&[link, rest].concat()).unwrap();
    assert_eq!(skipped, 6);
    assert_eq!(
        files.keys().collect::<Vec<_>>(),
        ["file"],
        "link is a folder of the archive's own"
    );
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn bombs_stop_at_the_limit() {
    let place = Place::new("bombs");
    fs::create_dir_all(place.0.join("in")).unwrap();
    let limits = Limits {
        bytes: 100_000,
        entries: 50,
    };
    let large = vec![0; 10 << 20];
    let many: Vec<String> = (0..60).map(|number| format!("f{number}")).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_bytes(), b'0', &b""[..])).collect();
    let deep: Vec<u8> = b"d/".repeat(30);
    let files: Vec<Vec<u8>> = (0..40u8)
        .map(|n| [&deep[..], &[b'a' + n % 26, n / 26 + b'0', b'/', b'x']].concat())
        .collect();
    let deep: Vec<_> = files.iter().map(|name| (&name[..], b'0', &b""[..])).collect();
    let large_tar = tar_of(&[(b"a", b'0', &large)]);
    let (bytes, entries) = (Problem::TooLarge(limits.bytes), Problem::TooManyEntries(limits.entries));
    for (archive, refused) in [
        (gzip(&large_tar), bytes.clone()),
        (large_tar.clone(), bytes.clone()),
        (zip_of(&[(b"a", b"a", &large)]), bytes.clone()),
        // Content that is thrown away, and what follows the end, count as well.
        (gzip(&tar_of(&[(b"a", b'g', &large)])), bytes.clone()),
        (gzip(&vec![0; 10 << 20]), bytes.clone()),
        (tar_of(&many), entries.clone()),
        (tar_of(&deep), entries.clone()),
    ] {
        assert_eq!(place.unpack_in(&archive, 4096, limits), Err(refused));
        assert_eq!(fs::read_dir(place.0.join("in")).unwrap().count(), 0);
    }
}

#[test]
fn headers_of_any_stated_length_are_not_collected() {
    let place = Place::new("meta");
    for kind in [b'L', b'x', b'X'] {
        let tar = tar_of(&[(b"meta", kind, &vec![b'a'; 70_000]), (b"a", b'0', b"")]);
        assert!(matches!(place.unpack(&tar), Err(Problem::Damaged(_))), "{kind}");
    }
}

#[test]
fn an_archive_cut_anywhere_is_refused() {
    let place = Place::new("cut");
    fs::create_dir_all(place.0.join("in")).unwrap();
    let tar = tar_of(&[(b"a", b'0', &[1; 700]), (b"d/b", b'0', b"x")]);
    let zip = zip_of(&[(b"a", b"a", &[1; 300]), (b"d/b", b"d/b", b"x")]);
    let packed = gzip(&tar);
    // Of a tar, the second block of its end mark may be missing; of a zip, no byte.
    for (archive, needed) in [(&tar, tar.len() - 512), (&packed, packed.len()), (&zip, zip.len())] {
        for end in 0..needed {
            let cut = place.unpack_in(&archive[..end], 4096, LIMITS);
            assert!(cut.is_err(), "{end} of {} bytes", archive.len());
        }
        let whole = place.unpack_in(archive, 4096, LIMITS).unwrap();
        folder::remove(&whole.folder);
    }
    assert_eq!(fs::read_dir(place.0.join("in")).unwrap().count(), 0);
}

#[test]
fn a_changed_byte_of_content_is_noticed() {
    let place = Place::new("flipped");
    let tar = gzip(&tar_of(&[(b"a", b'0', &[1; 700])]));
    let zip = zip_of(&[(b"a", b"a", &[1; 300])]);
    let mut changed_tar = tar.clone();
    let middle = tar.len() - 6;
    changed_tar[middle] ^= 1;
    let mut changed_zip = zip.clone();
    changed_zip[100] ^= 1;
    for archive in [changed_tar, changed_zip] {
        assert!(matches!(place.unpack(&archive), Err(Problem::Damaged(_))));
    }
}

#[test]
fn a_zip_whose_list_tells_another_story_is_refused() {
    let place = Place::new("stories");
    for archive in [
        zip_of(&[(b"shown", b"hidden", b"x")]),
        // A file after the list, a list without files, and files without a list.
        [zip_of(&[(b"a", b"a", b"x")]), zip_of(&[(b"b", b"b", b"x")])].concat()[..].to_vec(),
    ] {
        let refused = place.unpack(&archive);
        // What follows the end record is a comment to every reader.
        assert!(
            matches!(refused, Err(Problem::Damaged(_))) || refused.unwrap().0.keys().eq(["a"]),
            "another story is believed"
        );
    }
    let zip = zip_of(&[(b"a", b"a", b"x"), (b"b", b"b", b"y")]);
    let list = zip.windows(4).position(|part| part == b"PK\x01\x02").unwrap();
    let end = zip.windows(4).position(|part| part == b"PK\x05\x06").unwrap();
    assert!(place.unpack(&[&zip[..list], &zip[end..]].concat()).is_err(), "no list");
    assert!(
        place
            .unpack(&[&zip[list..end], &zip[..list], &zip[end..]].concat())
            .is_err(),
        "list first"
    );
}

#[test]
fn a_file_and_a_folder_of_one_name_are_refused() {
    let place = Place::new("conflict");
    for entries in [
        [(&b"a"[..], b'0', &b"x"[..]), (b"a/b", b'0', b"y")],
        [(b"a/b", b'0', b"y"), (b"a", b'0', b"x")],
    ] {
        assert!(matches!(place.unpack(&tar_of(&entries)), Err(Problem::Conflict(_))));
    }
}

#[test]
fn random_changes_never_panic() {
    let place = Place::new("random");
    fs::create_dir_all(place.0.join("in")).unwrap();
    let tar = tar_of(&[
        (b"PaxHeader", b'x', b"12 path=abc\n"),
        (b"a", b'0', &[1; 700]),
        (b"d/b", b'5', b""),
    ]);
    let archives = [gzip(&tar), tar, zip_of(&[(b"a", b"a", &[1; 300]), (b"d/", b"d/", b"")])];
    let mut state = 1u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize
    };
    for round in 0..3000 {
        let mut archive = archives[round % archives.len()].clone();
        for _ in 0..1 + random() % 4 {
            let at = random() % archive.len();
            archive[at] = random() as u8;
        }
        if let Ok(unpacked) = place.unpack_in(&archive, 1 + random() % 700, LIMITS) {
            assert!(unpacked.folder.starts_with(place.0.join("in")));
            folder::remove(&unpacked.folder);
        }
    }
    assert_eq!(fs::read_dir(place.0.join("in")).unwrap().count(), 0);
}
