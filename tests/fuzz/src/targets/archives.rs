//! Artifacts: archives, and the URLs and passwords they are fetched with.

use crate::bounds::{heap_at_most, uncounted};
use crate::script::{Script, pieces};
use cartridge_agent::fuzz::{self, Unpacked};
use std::fs;
use std::path::Path;

/// What an archive may hold here: little, so that it is soon too much.
const BYTES: u64 = 64 << 10;
const ENTRIES: u32 = 48;

/// What unpacking may take of the heap: `docs/artifacts.md` says about 300 KiB.
const HEAP: u64 = 320 << 10;

/// The first byte says how the rest is cut into pieces.
pub fn any(input: &[u8]) {
    let mut script = Script::new(input);
    let how = script.byte();
    unpack_twice(script.rest(), how);
}

/// As [`any`], with the check sums of tar headers made right: a fuzzer does not find them.
pub fn tar(input: &[u8]) {
    let mut script = Script::new(input);
    let how = script.byte();
    let mut archive = script.rest().to_vec();
    for block in archive.chunks_exact_mut(512) {
        if block[257..].starts_with(b"ustar") {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
    unpack_twice(&archive, how);
}

fn unpack_twice(archive: &[u8], how: u8) {
    let cut = unpack(pieces(archive, how));
    let whole = unpack(core::iter::once(archive));
    // Of what is wrong with an archive that is cut and too large, either may be found first.
    assert_eq!(whole.ok(), cut.ok(), "in pieces it is something else");
}

fn unpack<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Result<Unpacked, String> {
    let name = format!(
        "cartridge-fuzz-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    );
    let place = std::env::temp_dir().join(name);
    fs::create_dir_all(&place).expect("there is a place for temporary files");
    let result = heap_at_most(HEAP, || {
        fuzz::unpack(pieces, &place, (BYTES, ENTRIES), |folder| uncounted(|| look(folder)))
    });
    // Nothing is left, and nothing is where it should not be.
    fs::remove_dir(&place).expect("something is beside the folder, or was left in it");
    if let Ok(unpacked) = &result {
        assert!(unpacked.bytes <= BYTES && unpacked.entries <= ENTRIES && unpacked.skipped <= ENTRIES);
    }
    if let Err(line) = &result {
        assert!(line.len() <= 1024, "a line of {} bytes", line.len());
    }
    result
}

/// Looks at what was unpacked: files and folders only, within the limits. Gives a sum over names and contents.
fn look(folder: &Path) -> u64 {
    let (mut sum, mut bytes, mut entries) = (0, 0, 0);
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder can be listed") {
            let entry = entry.expect("a folder can be listed");
            let kind = entry.file_type().expect("an entry is of a kind");
            assert!(
                kind.is_dir() || kind.is_file(),
                "{:?} is neither file nor folder",
                entry.path()
            );
            entries += 1;
            let mut seen = entry.file_name().into_encoded_bytes();
            if kind.is_dir() {
                folders.push(entry.path());
            } else {
                let content = fs::read(entry.path()).expect("a file can be read");
                bytes += content.len() as u64;
                seen.extend(content);
            }
            // The order of a folder's entries does not count.
            sum ^= fnv(&seen);
        }
    }
    assert!(bytes <= BYTES, "{bytes} bytes in files");
    assert!(entries <= ENTRIES, "{entries} files and folders");
    sum
}

/// Fowler, Noll and Vo's hash (FNV-1a).
fn fnv(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// Texts: a password, a key, a URL, and where that redirects to, separated by line ends.
pub fn password(input: &[u8]) {
    let Ok(text) = core::str::from_utf8(input) else {
        return;
    };
    let mut lines = text.split('\n');
    let mut line = || lines.next().unwrap_or_default();
    let (encrypted, key, url, location) = (line(), line(), line(), line());
    // The text without blanks, its bytes, and the result.
    let limit = 64 + 8 * encrypted.len() as u64;
    let plain = heap_at_most(limit, || fuzz::password(encrypted, key));
    if let Some(plain) = plain {
        assert!(key.len() == 16 && plain.len() <= encrypted.len());
        assert!(!plain.contains(char::is_control));
    }
    for user in [None, Some("hush-user")] {
        let Some((fetched, shown)) = fuzz::location(url, user, user.map(|_| "hush-password")) else {
            continue;
        };
        assert!(fetched.bytes().all(|byte| byte.is_ascii_graphic()));
        assert!(!shown.contains("hush-password"), "a secret is shown: {shown}");
        let authority = fetched.split(['/', '?']).nth(2).unwrap_or_default();
        assert!(!authority.contains('@'), "a password stays in the URL: {fetched}");
        if let Some(led) = fuzz::redirected(&fetched, location) {
            assert!(
                led.get(..7)
                    .is_some_and(|scheme| scheme.eq_ignore_ascii_case("http://")),
                "{led}"
            );
        }
    }
}
