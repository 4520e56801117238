//! A tree of files in memory: /tmp. Paths are relative to its root, which is "". Every directory but the root has an
//! entry.

use crate::errno::{Errno, Result};
use crate::file::budget::Budget;
use crate::file::content::Content;
use crate::file::listing::{self, SortedPaths};
use crate::file::path::parent;
use crate::heap::{self, Rc, Vec};
use core::cell::{Cell, RefCell};

/// Most entries: making or removing one moves those behind it, while everything else waits.
const MOST_ENTRIES: usize = 1 << 16;
/// What an entry costs beyond its path, bytes: its place in the list and its node, rounded up.
const ENTRY_COST: usize = 256;

/// A file that may be open any number of times and outlives its unlinking.
pub struct File {
    pub content: RefCell<Content>,
    /// Seconds since the Unix epoch.
    pub modified: Cell<i64>,
    pub inode: u64,
}

#[derive(Clone)]
pub enum Node {
    Directory { inode: u64, modified: i64 },
    File(Rc<File>),
}

pub struct Tree {
    entries: Vec<(Vec<u8>, Node)>,
    budget: Rc<Budget>,
    next_inode: u64,
}

impl SortedPaths for Tree {
    fn len(&self) -> usize {
        self.entries.len()
    }

    fn path(&self, index: usize) -> &[u8] {
        &self.entries[index].0
    }
}

impl Tree {
    /// An empty tree whose root is inode `first_inode`.
    pub fn new(budget: Rc<Budget>, first_inode: u64) -> Tree {
        Tree {
            entries: heap::vec(),
            budget,
            next_inode: first_inode,
        }
    }

    pub fn get(&self, path: &[u8]) -> Option<&Node> {
        self.position(path).ok().map(|index| &self.entries[index].1)
    }

    pub fn node(&self, index: usize) -> &Node {
        &self.entries[index].1
    }

    /// Creates a file; its parent must be a directory and nothing may have its name.
    pub fn create(&mut self, path: &[u8], now: i64) -> Result<Rc<File>> {
        let content = RefCell::new(Content::new(self.budget.clone()));
        let file = File {
            content,
            modified: Cell::new(now),
            inode: self.next_inode,
        };
        let file = heap::try_rc(file).ok_or(Errno::ENOSPC)?;
        self.insert(path, Node::File(file.clone()))?;
        Ok(file)
    }

    pub fn make_directory(&mut self, path: &[u8], now: i64) -> Result<()> {
        self.insert(
            path,
            Node::Directory {
                inode: self.next_inode,
                modified: now,
            },
        )
    }

    pub fn unlink(&mut self, path: &[u8]) -> Result<()> {
        match self.position(path) {
            Err(_) => Err(self.why_absent(path)),
            Ok(index) if matches!(self.entries[index].1, Node::Directory { .. }) => Err(Errno::EISDIR),
            Ok(index) => {
                self.remove(index);
                Ok(())
            }
        }
    }

    pub fn remove_directory(&mut self, path: &[u8]) -> Result<()> {
        match self.position(path) {
            Err(_) => Err(self.why_absent(path)),
            Ok(index) if matches!(self.entries[index].1, Node::File(_)) => Err(Errno::ENOTDIR),
            Ok(_) if listing::below(self, path).next().is_some() => Err(Errno::ENOTEMPTY),
            Ok(index) => {
                self.remove(index);
                Ok(())
            }
        }
    }

    /// ENOTDIR when the path steps through a file, else ENOENT.
    pub fn why_absent(&self, path: &[u8]) -> Errno {
        let mut directory = parent(path);
        while !directory.is_empty() {
            if let Some(Node::File(_)) = self.get(directory) {
                return Errno::ENOTDIR;
            }
            directory = parent(directory);
        }
        Errno::ENOENT
    }

    fn insert(&mut self, path: &[u8], node: Node) -> Result<()> {
        let index = match self.position(path) {
            Ok(_) => return Err(Errno::EEXIST),
            Err(index) => index,
        };
        if path.is_empty() {
            return Err(Errno::EEXIST);
        }
        let in_root = parent(path).is_empty();
        if !in_root && !matches!(self.get(parent(path)), Some(Node::Directory { .. })) {
            return Err(self.why_absent(path));
        }
        let mut owned = heap::vec();
        owned.try_reserve_exact(path.len()).map_err(|_| Errno::ENOSPC)?;
        owned.extend_from_slice(path);
        self.entries.try_reserve(1).map_err(|_| Errno::ENOSPC)?;
        if self.entries.len() >= MOST_ENTRIES || !self.budget.take(ENTRY_COST + path.len()) {
            return Err(Errno::ENOSPC);
        }
        self.entries.insert(index, (owned, node));
        self.next_inode += 1;
        Ok(())
    }

    fn remove(&mut self, index: usize) {
        let (path, _) = self.entries.remove(index);
        self.budget.give_back(ENTRY_COST + path.len());
    }

    fn position(&self, path: &[u8]) -> core::result::Result<usize, usize> {
        let index = listing::first_at_least(self, path, b"");
        if index < self.entries.len() && self.entries[index].0 == path {
            Ok(index)
        } else {
            Err(index)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    fn tree(limit: usize) -> Tree {
        Tree::new(Rc::new(Budget::new(limit)), 1)
    }

    #[test]
    fn files_and_directories_come_and_go() {
        let mut tree = tree(1 << 20);
        tree.make_directory(b"d", 5).unwrap();
        let file = tree.create(b"d/f", 5).unwrap();
        file.content.borrow_mut().write(0, b"kept").unwrap();
        assert!(matches!(tree.get(b"d/f"), Some(Node::File(_))));
        assert_eq!(tree.remove_directory(b"d"), Err(Errno::ENOTEMPTY));
        assert_eq!(tree.unlink(b"d/f"), Ok(()));
        assert_eq!(tree.remove_directory(b"d"), Ok(()));
        assert_eq!(tree.len(), 0);
        let mut buffer = [0; 8];
        assert_eq!(file.content.borrow().read(0, &mut buffer), 4);
    }

    #[test]
    fn errors_are_those_of_linux() {
        let mut tree = tree(1 << 20);
        tree.create(b"f", 0).unwrap();
        tree.make_directory(b"d", 0).unwrap();
        assert_eq!(tree.create(b"f", 0).err(), Some(Errno::EEXIST));
        assert_eq!(tree.create(b"f/x", 0).err(), Some(Errno::ENOTDIR));
        assert_eq!(tree.create(b"none/x", 0).err(), Some(Errno::ENOENT));
        assert_eq!(tree.make_directory(b"", 0), Err(Errno::EEXIST));
        assert_eq!(tree.make_directory(b"d", 0), Err(Errno::EEXIST));
        assert_eq!(tree.unlink(b"d"), Err(Errno::EISDIR));
        assert_eq!(tree.unlink(b"f/x"), Err(Errno::ENOTDIR));
        assert_eq!(tree.unlink(b"none"), Err(Errno::ENOENT));
        assert_eq!(tree.remove_directory(b"f"), Err(Errno::ENOTDIR));
    }

    #[test]
    fn many_entries_end_in_no_space_and_leave_a_working_tree() {
        let mut tree = tree(100 * ENTRY_COST);
        let mut made = 0;
        while tree.make_directory(std::format!("d{made}").as_bytes(), 0) == Ok(()) {
            made += 1;
        }
        assert!(made > 90);
        assert_eq!(tree.create(b"x", 0).err(), Some(Errno::ENOSPC));
        tree.remove_directory(b"d1").unwrap();
        assert!(tree.create(b"x", 0).is_ok());
    }

    #[test]
    fn there_may_be_so_many_entries_and_no_more() {
        let mut tree = tree(usize::MAX);
        for number in 0..MOST_ENTRIES {
            tree.make_directory(std::format!("{number:05}").as_bytes(), 0).unwrap();
        }
        assert_eq!(tree.make_directory(b"x", 0), Err(Errno::ENOSPC));
        tree.remove_directory(b"65535").unwrap();
        assert_eq!(tree.make_directory(b"x", 0), Ok(()));
    }

    #[test]
    fn children_of_a_directory() {
        let mut tree = tree(1 << 20);
        for path in ["b", "b/c", "b-c", "a"] {
            tree.make_directory(path.as_bytes(), 0).unwrap();
        }
        let mut names = std::vec::Vec::new();
        listing::children(&tree, b"", &mut |name, index| {
            names.extend(index.map(|_| String::from_utf8(name.into()).unwrap()));
        });
        assert_eq!(names, ["a", "b", "b-c"]);
    }
}
