//! Files that the program makes in the temporary directory.

use crate::report::{Check, Outcome};
use crate::{ensure, ensure_eq, tried};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub const CHECKS: &[Check] = &[
    ("write and read back", write_and_read),
    ("append, truncate and overwrite", modes),
    ("a gap reads as zeros", gap),
    ("a large file", large),
    ("directories", directories),
    ("an unlinked file lives while it is open", unlinked),
    ("time of modification", modified),
    ("errors", errors),
];

/// A directory of its own for each check, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Scratch, String> {
        let unique = tried!(SystemTime::now().duration_since(UNIX_EPOCH)).as_nanos();
        let path = std::env::temp_dir().join(format!("conformance-{unique}"));
        tried!(fs::create_dir(&path));
        Ok(Scratch(path))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        clear(&self.0);
    }
}

/// An empty directory cannot be told from an error by every std, so a failed listing counts as empty.
fn clear(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            clear(&entry.path());
        } else {
            let _ = fs::remove_file(entry.path());
        }
    }
    let _ = fs::remove_dir(directory);
}

fn write_and_read() -> Outcome {
    let scratch = Scratch::new()?;
    let path = scratch.path("file");
    tried!(fs::write(&path, "first\nsecond\n"));
    ensure_eq!(tried!(fs::read_to_string(&path)), "first\nsecond\n");
    tried!(fs::write(&path, "short"));
    ensure_eq!(tried!(fs::read_to_string(&path)), "short");
    ensure_eq!(tried!(fs::metadata(&path)).len(), 5);
    tried!(fs::remove_file(&path));
    ensure!(!path.exists(), "it is still there");
    Ok(())
}

fn modes() -> Outcome {
    let scratch = Scratch::new()?;
    let path = scratch.path("file");
    tried!(fs::write(&path, "0123456789"));
    let mut appended = tried!(OpenOptions::new().append(true).open(&path));
    tried!(appended.write_all(b"ab"));
    tried!(appended.seek(SeekFrom::Start(0)));
    tried!(appended.write_all(b"cd"));
    let mut both = tried!(OpenOptions::new().read(true).write(true).open(&path));
    tried!(both.seek(SeekFrom::Start(2)));
    tried!(both.write_all(b"XY"));
    tried!(both.rewind());
    let mut text = String::new();
    tried!(both.read_to_string(&mut text));
    ensure_eq!(text, "01XY456789abcd");
    drop(tried!(OpenOptions::new().write(true).truncate(true).open(&path)));
    ensure_eq!(tried!(fs::metadata(&path)).len(), 0);
    tried!(appended.write_all(b"again"));
    ensure_eq!(tried!(fs::read_to_string(&path)), "again");
    Ok(())
}

fn gap() -> Outcome {
    let scratch = Scratch::new()?;
    let mut file = tried!(File::create_new(scratch.path("file")));
    tried!(file.seek(SeekFrom::Start(10_000)));
    tried!(file.write_all(b"end"));
    let bytes = tried!(fs::read(scratch.path("file")));
    ensure!(
        bytes.len() == 10_003 && bytes[..10_000].iter().all(|byte| *byte == 0),
        "the gap is not zero"
    );
    ensure_eq!(&bytes[10_000..], b"end");
    Ok(())
}

fn large() -> Outcome {
    let scratch = Scratch::new()?;
    let path = scratch.path("file");
    let mut file = tried!(File::create(&path));
    for block in 0..256u32 {
        tried!(file.write_all(&[block as u8; 5_000]));
    }
    let bytes = tried!(fs::read(&path));
    ensure_eq!(bytes.len(), 256 * 5_000);
    ensure!(
        bytes
            .iter()
            .enumerate()
            .all(|(index, byte)| index / 5_000 == usize::from(*byte)),
        "a byte is wrong"
    );
    Ok(())
}

fn directories() -> Outcome {
    let scratch = Scratch::new()?;
    tried!(fs::create_dir_all(scratch.path("a/b/c")));
    tried!(fs::write(scratch.path("a/file"), "x"));
    tried!(fs::write(scratch.path("a/b-file"), "y"));
    let mut names: Vec<String> = tried!(fs::read_dir(scratch.path("a")))
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .collect();
    names.sort();
    ensure_eq!(names, ["b", "b-file", "file"]);
    ensure!(
        fs::remove_dir(scratch.path("a")).is_err(),
        "a full directory was removed"
    );
    tried!(fs::remove_dir(scratch.path("a/b/c")));
    tried!(fs::remove_dir(scratch.path("a/b")));
    tried!(fs::remove_file(scratch.path("a/file")));
    tried!(fs::remove_file(scratch.path("a/b-file")));
    tried!(fs::remove_dir(scratch.path("a")));
    ensure!(!scratch.path("a").exists(), "it is still there");
    Ok(())
}

fn unlinked() -> Outcome {
    let scratch = Scratch::new()?;
    let path = scratch.path("file");
    tried!(fs::write(&path, "still here"));
    let mut file = tried!(File::open(&path));
    tried!(fs::remove_file(&path));
    tried!(fs::write(&path, "another"));
    let mut text = String::new();
    tried!(file.read_to_string(&mut text));
    ensure_eq!(text, "still here");
    Ok(())
}

fn modified() -> Outcome {
    let scratch = Scratch::new()?;
    tried!(fs::write(scratch.path("file"), "x"));
    let modified = tried!(tried!(fs::metadata(scratch.path("file"))).modified());
    let now = SystemTime::now();
    let apart = now.duration_since(modified).unwrap_or_else(|early| early.duration());
    ensure!(
        apart < Duration::from_secs(3),
        "a file just written was modified {apart:?} ago"
    );
    Ok(())
}

fn errors() -> Outcome {
    let scratch = Scratch::new()?;
    let (file, folder) = (scratch.path("file"), scratch.path("folder"));
    tried!(fs::write(&file, "x"));
    tried!(fs::create_dir(&folder));
    let number = |result: std::io::Result<()>| result.err().and_then(|error| error.raw_os_error());
    let kind = |result: std::io::Result<()>| result.err().map(|error| error.kind());
    ensure_eq!(kind(File::create_new(&file).map(drop)), Some(ErrorKind::AlreadyExists));
    ensure_eq!(kind(fs::create_dir(&file)), Some(ErrorKind::AlreadyExists));
    ensure_eq!(kind(fs::create_dir(&folder)), Some(ErrorKind::AlreadyExists));
    ensure_eq!(kind(fs::create_dir(scratch.path("none/x"))), Some(ErrorKind::NotFound));
    ensure_eq!(kind(fs::write(scratch.path("none/x"), "")), Some(ErrorKind::NotFound));
    ensure_eq!(kind(fs::remove_file(scratch.path("none"))), Some(ErrorKind::NotFound));
    ensure_eq!(kind(fs::remove_dir(scratch.path("none"))), Some(ErrorKind::NotFound));
    let (not_a_directory, is_a_directory, bad_descriptor) = (20, 21, 9);
    ensure_eq!(number(fs::write(scratch.path("file/x"), "")), Some(not_a_directory));
    ensure_eq!(number(fs::remove_dir(&file)), Some(not_a_directory));
    ensure_eq!(number(fs::remove_file(&folder)), Some(is_a_directory));
    ensure_eq!(number(fs::write(&folder, "")), Some(is_a_directory));
    ensure_eq!(number(tried!(File::open(&file)).write_all(b"x")), Some(bad_descriptor));
    ensure_eq!(
        number(tried!(File::create(&file)).read(&mut [0; 4]).map(drop)),
        Some(bad_descriptor)
    );
    Ok(())
}
