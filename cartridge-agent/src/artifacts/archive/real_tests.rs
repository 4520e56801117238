//! Archives made by the programs that people make them with.

use super::tests::{Files, LIMITS, Place, files};
use super::*;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

/// A folder `site` with all that a web site may have.
fn site(place: &Place) -> Files {
    let root = place.0.join("site");
    fs::create_dir_all(root.join("assets/empty")).unwrap();
    let long = format!("assets/{}", "long-name-".repeat(15));
    let far = format!("{}/{}", "folder-".repeat(12), "name-".repeat(40));
    for (name, content) in [
        ("index.html", b"<h1>home</h1>".to_vec()),
        ("none.txt", Vec::new()),
        ("ä b.txt", b"umlaut".to_vec()),
        (
            "large.bin",
            (0..300_000u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect(),
        ),
        ("zeros.bin", vec![0; 1 << 20]),
        (&long, b"long".to_vec()),
        (&far, b"far".to_vec()),
    ] {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    files(&root)
}

/// Runs a command line in the place; what it prints.
fn run(place: &Path, line: &str) -> Vec<u8> {
    let output = Command::new("sh")
        .args(["-c", line])
        .current_dir(place)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "{line}: {}", output.status);
    output.stdout
}

#[track_caller]
fn check(place: &Place, wanted: &Files, line: &str) {
    let archive = run(&place.0, line);
    fs::create_dir_all(place.0.join("in")).unwrap();
    for piece in [509, 65_536] {
        let unpacked = place.unpack_in(&archive, piece, LIMITS);
        let unpacked = unpacked.unwrap_or_else(|problem| panic!("{line}: {problem}"));
        assert!(files(&unpacked.root) == *wanted, "{line} gives other files");
        assert_eq!(
            unpacked.bytes,
            wanted.values().map(|content| content.len() as u64).sum::<u64>(),
            "{line}"
        );
        folder::remove(&unpacked.folder);
    }
}

#[test]
fn archives_of_gnu_tar_are_unpacked() {
    let place = Place::new("gnu");
    let wanted = site(&place);
    for line in [
        "tar -c site",
        "tar -cz site",
        "tar -cz -C site .",
        "tar -c --format=pax site",
        "tar -c --format=gnu site",
        "tar -c --format=posix --pax-option=globexthdr.name=g,comment:=c site | gzip -9",
        "tar -c -b 100 site",
    ] {
        check(&place, &wanted, line);
    }
}

#[test]
fn archives_of_bsdtar_are_unpacked() {
    let place = Place::new("bsd");
    let wanted = site(&place);
    for line in [
        "bsdtar -c --format=pax -f - site",
        "bsdtar -c --format=gnutar -f - site",
        "bsdtar -cz -f - -C site .",
        // Written as a stream: sizes and check sums follow the content.
        "bsdtar -c --format=zip -f - site",
        "bsdtar -c --format=zip -f - -C site .",
    ] {
        check(&place, &wanted, line);
    }
}

#[test]
fn archives_of_zip_are_unpacked() {
    let place = Place::new("info-zip");
    let wanted = site(&place);
    for line in [
        "zip -qr a.zip site && cat a.zip",
        "zip -qr0 b.zip site && cat b.zip",
        "zip -qr -fz c.zip site && cat c.zip",
        "zip -qr -fd d.zip site && cat d.zip",
        "zip -qr - site | cat",
        "cd site && zip -qr ../e.zip . && cat ../e.zip",
        "zip -qr f.zip site && echo 'a comment' | zip -qz f.zip >/dev/null && cat f.zip",
    ] {
        check(&place, &wanted, line);
    }
}

#[test]
fn archives_of_pythons_zipfile_are_unpacked() {
    let place = Place::new("zipfile");
    let wanted = site(&place);
    // To a pipe it cannot go back and fill in sizes; force_zip64 makes records of 64 bits.
    let streamed = "import os, sys, zipfile
with zipfile.ZipFile(sys.stdout.buffer, 'w', zipfile.ZIP_DEFLATED) as archive:
    for folder, _, names in sorted(os.walk('site')):
        archive.write(folder)
        for name in names:
            path = os.path.join(folder, name)
            with archive.open(zipfile.ZipInfo.from_file(path), 'w', force_zip64=FORCE) as to, open(path, 'rb') as of:
                to.write(of.read())
";
    for (number, script) in [streamed.replace("FORCE", "False"), streamed.replace("FORCE", "True")]
        .iter()
        .enumerate()
    {
        let script = script.replace("from_file(path)", "from_file(path, path)");
        // The kind of compression is that of the entry.
        let script = script.replace(
            "with archive.open(",
            "info = zipfile.ZipInfo.from_file(path, path); info.compress_type = zipfile.ZIP_DEFLATED\n            with archive.open(",
        );
        let script = script.replace("open(zipfile.ZipInfo.from_file(path, path), 'w'", "open(info, 'w'");
        let name = format!("stream{number}.py");
        fs::write(place.0.join(&name), script).unwrap();
        check(&place, &wanted, &format!("python3 {name} | cat"));
    }
    check(&place, &wanted, "python3 -m zipfile -c g.zip site && cat g.zip");
    check(
        &place,
        &wanted,
        "python3 -c \"import shutil; shutil.make_archive('h', 'zip', '.', 'site')\" && cat h.zip",
    );
}

#[test]
fn links_in_real_archives_are_left_out() {
    let place = Place::new("real-links");
    let wanted = site(&place);
    symlink("/etc/passwd", place.0.join("site/link")).unwrap();
    symlink("assets", place.0.join("site/assets-link")).unwrap();
    for line in [
        "tar -cz site",
        "zip -qry a.zip site && cat a.zip",
        "bsdtar -c --format=zip -f - site",
        "bsdtar -c --format=pax -f - site",
    ] {
        let archive = run(&place.0, line);
        fs::create_dir_all(place.0.join("in")).unwrap();
        let unpacked = place.unpack_in(&archive, 4096, LIMITS).unwrap();
        assert!(files(&unpacked.root) == wanted, "{line}");
        assert_eq!(unpacked.skipped, 2, "{line}");
        folder::remove(&unpacked.folder);
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    let place = Place::new("unreadable");
    site(&place);
    fs::create_dir_all(place.0.join("in")).unwrap();
    let sparse = "truncate -s 2M site/holes && echo x >> site/holes && tar -c --sparse ";
    for (line, said) in [
        ("zip -qr -P secret a.zip site && cat a.zip", "encrypted"),
        ("zip -qr -Z bzip2 b.zip site && cat b.zip", "deflate"),
        (&format!("{sparse} --format=gnu site"), "holes"),
        (&format!("{sparse} --format=pax site"), "holes"),
        ("tar -cj site", "bzip2"),
        ("tar -cJ site", "xz"),
    ] {
        let problem = place.unpack_in(&run(&place.0, line), 4096, LIMITS).unwrap_err();
        assert!(problem.to_string().contains(said), "{line}: {problem}");
    }
}
