//! The file blob "CFS1": the read-only files compiled into an image.
//!
//! Layout, all numbers little-endian u32: the magic `CFS1`, the number of entries, then per entry `path_offset`, `path_len`,
//! `data_offset`, `data_len` (offsets from the start of the blob), then the bytes. Paths are sorted bytewise, without a leading slash.

use crate::advice;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 4] = b"CFS1";
const HEADER: usize = 8;
const ENTRY: usize = 16;

/// Files by path inside the image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files(BTreeMap<String, Vec<u8>>);

#[derive(Debug)]
pub enum Error {
    Read(PathBuf, io::Error),
    NotText(PathBuf),
    /// A symbolic link to a folder that it lies in.
    Loop(PathBuf),
    /// A pipe, a socket, a device.
    NotAFile(PathBuf),
    TooLarge(u64),
    TooMany,
    Malformed(&'static str),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Read(path, error) => write!(f, "cannot read {}: {error}{}", path.display(), advice::next(error)),
            Error::Loop(path) => write!(
                f,
                "{} leads back to a folder that it lies in: there would be no end of files\n  next: remove that symbolic link",
                path.display()
            ),
            Error::NotAFile(path) => write!(
                f,
                "{} is neither a file nor a folder\n  next: move it out of the folder that `files` names",
                path.display()
            ),
            Error::NotText(path) => {
                write!(
                    f,
                    "the file name {} is not UTF-8\n  next: rename it; paths in an image are text",
                    path.display()
                )
            }
            Error::TooLarge(bytes) => {
                write!(
                    f,
                    "the files of the app add up to {bytes} bytes; an image holds at most 1 GiB of them\n  next: serve large files from elsewhere"
                )
            }
            Error::TooMany => write!(
                f,
                "the app has more than {MOST} files\n  next: look for symbolic links that multiply them, or pack them"
            ),
            Error::Malformed(what) => write!(
                f,
                "the image's file table is damaged: {what}\n  next: build the image again"
            ),
        }
    }
}

/// More than this would not leave room for offsets, nor fit the machines this is for.
const LARGEST: u64 = 1 << 30;
/// Symbolic links can multiply files without end; nobody compiles in so many on purpose.
const MOST: usize = 65_536;

impl Files {
    pub fn insert(&mut self, path: impl Into<String>, data: Vec<u8>) {
        self.0.insert(path.into(), data);
    }

    /// Adds every file below `folder` as `prefix/relative path`; symbolic links are followed.
    pub fn insert_folder(&mut self, prefix: &str, folder: &Path) -> Result<(), Error> {
        self.insert_below(prefix, folder, &mut Vec::new())
    }

    /// As [`Files::insert_folder`]; `above` has device and inode of each folder on the way here.
    fn insert_below(&mut self, prefix: &str, folder: &Path, above: &mut Vec<(u64, u64)>) -> Result<(), Error> {
        let unreadable = |path: &Path| {
            let path = path.to_path_buf();
            move |error| Error::Read(path, error)
        };
        let own = fs::metadata(folder).map_err(unreadable(folder))?;
        let own = (own.dev(), own.ino());
        if above.contains(&own) {
            return Err(Error::Loop(folder.into()));
        }
        above.push(own);
        for entry in fs::read_dir(folder).map_err(unreadable(folder))? {
            let entry = entry.map_err(unreadable(folder))?;
            let path = entry.path();
            let name = entry.file_name();
            let name = name.to_str().ok_or_else(|| Error::NotText(path.clone()))?;
            let inside = format!("{prefix}/{name}");
            let kind = fs::metadata(&path).map_err(unreadable(&path))?;
            if kind.is_dir() {
                self.insert_below(&inside, &path, above)?;
            } else if !kind.is_file() {
                // Reading a pipe would wait for a writer, for ever.
                return Err(Error::NotAFile(path));
            } else if kind.len() > LARGEST {
                return Err(Error::TooLarge(kind.len()));
            } else if self.0.len() >= MOST {
                return Err(Error::TooMany);
            } else {
                self.insert(inside, fs::read(&path).map_err(unreadable(&path))?);
            }
        }
        above.pop();
        Ok(())
    }

    pub fn get(&self, path: &str) -> Option<&[u8]> {
        self.0.get(path).map(Vec::as_slice)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(path, data)| (path.as_str(), data.as_slice()))
    }

    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let table = (HEADER + ENTRY * self.0.len()) as u64;
        let bytes: u64 = self
            .0
            .iter()
            .map(|(path, data)| path.len() as u64 + data.len() as u64)
            .sum();
        if table + bytes > LARGEST {
            return Err(Error::TooLarge(bytes));
        }
        let mut head = Vec::with_capacity(table as usize);
        let mut body: Vec<u8> = Vec::with_capacity(bytes as usize);
        head.extend(MAGIC);
        head.extend((self.0.len() as u32).to_le_bytes());
        for (path, data) in &self.0 {
            for part in [path.as_bytes(), data] {
                let offset = table as usize + body.len();
                head.extend((offset as u32).to_le_bytes());
                head.extend((part.len() as u32).to_le_bytes());
                body.extend(part);
            }
        }
        head.extend(body);
        Ok(head)
    }

    /// The inverse of [`Files::encode`]; checks every offset.
    pub fn decode(blob: &[u8]) -> Result<Self, Error> {
        if blob.get(..4) != Some(MAGIC) {
            return Err(Error::Malformed("no CFS1 magic"));
        }
        let word = |at: usize| -> Result<usize, Error> {
            let bytes = blob
                .get(at..at + 4)
                .ok_or(Error::Malformed("it ends within its table"))?;
            Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize)
        };
        let part = |at: usize| -> Result<&[u8], Error> {
            let (offset, len) = (word(at)?, word(at + 4)?);
            blob.get(offset..offset + len)
                .ok_or(Error::Malformed("an entry lies outside of it"))
        };
        let count = word(4)?;
        let mut files = Self::default();
        for index in 0..count {
            let at = HEADER + index * ENTRY;
            let path = std::str::from_utf8(part(at)?).map_err(|_| Error::Malformed("a path is not UTF-8"))?;
            files.insert(path, part(at + 8)?.to_vec());
        }
        Ok(files)
    }

    /// The first blob in `bytes` that holds the file `path`: how an image without its twin is asked for its files.
    pub fn find(bytes: &[u8], path: &str) -> Option<Self> {
        let starts = bytes
            .windows(MAGIC.len())
            .enumerate()
            .filter(|(_, window)| window == MAGIC);
        starts
            .filter_map(|(at, _)| Self::decode(&bytes[at..]).ok())
            .find(|files| files.get(path).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_is_the_documented_one() {
        let mut files = Files::default();
        files.insert("b", b"22".to_vec());
        files.insert("a/c", b"1".to_vec());
        let blob = files.encode().unwrap();
        let words: Vec<u32> = blob[4..40]
            .chunks(4)
            .map(|w| u32::from_le_bytes(w.try_into().unwrap()))
            .collect();
        assert_eq!(&blob[..4], b"CFS1");
        assert_eq!(words, [2, 40, 3, 43, 1, 44, 1, 45, 2]);
        assert_eq!(&blob[40..], b"a/c1b22");
        assert_eq!(Files::decode(&blob).unwrap(), files);
    }

    #[test]
    fn a_folder_keeps_its_name_and_tree() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("deep/er")).unwrap();
        fs::write(folder.path().join("index.html"), "x").unwrap();
        fs::write(folder.path().join("deep/er/y"), "").unwrap();
        let mut files = Files::default();
        files.insert_folder("public", folder.path()).unwrap();
        assert_eq!(
            files.iter().map(|(path, _)| path).collect::<Vec<_>>(),
            ["public/deep/er/y", "public/index.html"]
        );
        assert_eq!(files.get("public/index.html"), Some(&b"x"[..]));
    }

    #[test]
    fn links_that_lead_back_and_pipes_are_refused_and_other_links_followed() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("real")).unwrap();
        fs::write(root.join("real/x"), "x").unwrap();
        symlink("real", root.join("again")).unwrap();
        let insert = || {
            let mut files = Files::default();
            files.insert_folder("f", root).map(|()| files)
        };
        let files = insert().unwrap();
        assert_eq!(
            files.iter().map(|(path, _)| path).collect::<Vec<_>>(),
            ["f/again/x", "f/real/x"]
        );

        symlink("..", root.join("real/up")).unwrap();
        assert!(matches!(insert(), Err(Error::Loop(_))), "{:?}", insert());
        fs::remove_file(root.join("real/up")).unwrap();

        let pipe = root.join("pipe");
        let shell = xshell::Shell::new().unwrap();
        xshell::cmd!(shell, "mkfifo {pipe}").quiet().run().unwrap();
        assert!(matches!(insert(), Err(Error::NotAFile(path)) if path == pipe));
    }

    #[test]
    fn damage_is_an_error_and_never_a_panic() {
        let mut files = Files::default();
        files.insert("a", b"data".to_vec());
        let blob = files.encode().unwrap();
        for end in 0..blob.len() {
            assert!(Files::decode(&blob[..end]).is_err(), "cut at {end}");
        }
        let mut wild = blob.clone();
        wild[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(Files::decode(&wild).is_err());
    }
}
