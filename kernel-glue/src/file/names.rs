//! The tree of names: the image's files, the special files, and /tmp.

use crate::errno::{Errno, Result};
use crate::file::budget::Budget;
use crate::file::image::Image;
use crate::file::listing::{self, Found};
use crate::file::path::{self, Resolved};
use crate::file::regular::{self, Access, Bytes, Directory, Fixed, Memory};
use crate::file::shared::Shared;
use crate::file::special::{self, SPECIALS, Special};
use crate::file::tree::{self, Tree};
use crate::file::{clock_seconds, dirent};
use crate::heap::{self, Rc};
use crate::memory;
use crate::object::{Object, Stat};
use core::cell::RefMut;
use hermit_abi::{DT_CHR, DT_DIR, DT_REG, O_APPEND, O_CREAT, O_DIRECTORY, O_EXCL, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY};

/// Files in /tmp may take one part in so many of the machine's memory.
const MEMORY_SHARE: usize = 4;
/// Inodes of /tmp count up from here, far from those of [`inode_of`] (which clear the top bit).
const FIRST_MEMORY_INODE: u64 = 1 << 63;

static MEMORY: Shared<Option<Tree>> = Shared::new(None);

enum Node {
    Directory(Stat),
    Image(usize),
    Special(Special),
    Memory(Rc<tree::File>),
}

/// Opens `path` with the `O_` flags of the ABI.
pub fn open(path: &[u8], flags: i32) -> Result<Rc<dyn Object>> {
    let Resolved {
        path,
        must_be_directory,
    } = resolve(path)?;
    let mode = flags & (O_RDONLY | O_WRONLY | O_RDWR);
    let append = flags & O_APPEND != 0;
    let access = Access {
        read: mode != O_WRONLY,
        write: mode != O_RDONLY,
        append,
    };
    let create = flags & O_CREAT != 0;
    match lookup(&path) {
        Err(Errno::ENOENT) if create => create_file(&path, must_be_directory, access),
        Err(errno) => Err(errno),
        Ok(_) if create && flags & O_EXCL != 0 => Err(Errno::EEXIST),
        Ok(Node::Directory(_)) if access.write || create => Err(Errno::EISDIR),
        Ok(Node::Directory(stat)) => object(Directory::new(path, stat)),
        Ok(_) if must_be_directory || flags & O_DIRECTORY != 0 => Err(Errno::ENOTDIR),
        Ok(Node::Image(_)) if access.write => Err(Errno::EROFS),
        Ok(Node::Image(index)) => object(Fixed::new(Bytes::Static(image().data(index)), inode_of(&path))),
        Ok(Node::Special(special)) => special.open(access),
        Ok(Node::Memory(file)) => {
            if access.write && flags & O_TRUNC != 0 {
                file.content.borrow_mut().truncate();
                file.modified.set(clock_seconds());
            }
            object(Memory::new(file, access))
        }
    }
}

pub fn stat(path: &[u8]) -> Result<Stat> {
    let Resolved {
        path,
        must_be_directory,
    } = resolve(path)?;
    match lookup(&path)? {
        Node::Directory(stat) => Ok(stat),
        _ if must_be_directory => Err(Errno::ENOTDIR),
        Node::Image(index) => Ok(regular::fixed_stat(image().data(index).len(), inode_of(&path))),
        Node::Special(special) => Ok(special.stat()),
        Node::Memory(file) => Ok(regular::memory_stat(&file)),
    }
}

pub fn make_directory(path: &[u8]) -> Result<()> {
    let Resolved { path, .. } = resolve(path)?;
    match lookup(&path) {
        Ok(_) => Err(Errno::EEXIST),
        Err(Errno::ENOENT) => memory_tree()?.make_directory(writable(&path)?, clock_seconds()),
        Err(errno) => Err(errno),
    }
}

pub fn unlink(path: &[u8]) -> Result<()> {
    let Resolved {
        path,
        must_be_directory,
    } = resolve(path)?;
    match lookup(&path)? {
        Node::Directory(_) => Err(Errno::EISDIR),
        _ if must_be_directory => Err(Errno::ENOTDIR),
        _ => memory_tree()?.unlink(writable(&path)?),
    }
}

pub fn remove_directory(path: &[u8]) -> Result<()> {
    let Resolved { path, .. } = resolve(path)?;
    match lookup(&path)? {
        Node::Directory(_) if matches!(&path[..], b"" | b"tmp") => Err(Errno::EBUSY),
        Node::Directory(_) => memory_tree()?.remove_directory(writable(&path)?),
        _ => Err(Errno::ENOTDIR),
    }
}

/// Writes the records of all entries of directory `path` into `buffer`; EINVAL when they do not fit.
pub fn list(path: &[u8], buffer: &mut [u8]) -> Result<usize> {
    let mut position = 0;
    let mut complete = true;
    let mut add = |kind: u8, name: &[u8]| {
        complete &= dirent::append(buffer, &mut position, inode_of(name), kind, name);
    };
    if let Some(relative) = in_memory(path) {
        let tree = memory_tree()?;
        listing::children(
            &*tree,
            relative,
            &mut |name, index| match index.map(|index| tree.node(index)) {
                Some(tree::Node::Directory { .. }) => add(DT_DIR, name),
                Some(tree::Node::File(_)) => add(DT_REG, name),
                None => {}
            },
        );
    } else {
        if path.is_empty() {
            add(DT_DIR, b"tmp");
        }
        listing::children(
            &SPECIALS,
            path,
            &mut |name, index| match index.map(|index| SPECIALS[index]) {
                None => add(DT_DIR, name),
                Some(special) if special.is_device() => add(DT_CHR, name),
                Some(special) if special.is_present() => add(DT_REG, name),
                Some(_) => {}
            },
        );
        listing::children(&image(), path, &mut |name, index| {
            if !(path.is_empty() && name == b"tmp" || special::has_child(path, name)) {
                add(if index.is_some() { DT_REG } else { DT_DIR }, name);
            }
        });
    }
    if complete { Ok(position) } else { Err(Errno::EINVAL) }
}

fn create_file(path: &[u8], must_be_directory: bool, access: Access) -> Result<Rc<dyn Object>> {
    if must_be_directory {
        return Err(Errno::EISDIR);
    }
    let file = memory_tree()?.create(writable(path)?, clock_seconds())?;
    object(Memory::new(file, access))
}

/// The path inside /tmp of something to make or remove; elsewhere EROFS if its directory exists, or why it does not.
fn writable(path: &[u8]) -> Result<&[u8]> {
    match in_memory(path) {
        Some(relative) => Ok(relative),
        None => directory(path::parent(path)).and(Err(Errno::EROFS)),
    }
}

fn resolve(path: &[u8]) -> Result<Resolved> {
    path::resolve(path, &mut |prefix| directory(prefix).map(drop))
}

fn directory(path: &[u8]) -> Result<Stat> {
    match lookup(path)? {
        Node::Directory(stat) => Ok(stat),
        _ => Err(Errno::ENOTDIR),
    }
}

fn lookup(path: &[u8]) -> Result<Node> {
    find(path).ok_or_else(|| why_absent(path))
}

fn find(path: &[u8]) -> Option<Node> {
    if let Some(relative) = in_memory(path) {
        return find_in_memory(path, relative);
    }
    let special = listing::find(&SPECIALS, path);
    if let Found::Listed(index) = special {
        return SPECIALS[index].is_present().then_some(Node::Special(SPECIALS[index]));
    }
    match listing::find(&image(), path) {
        Found::Listed(index) => Some(Node::Image(index)),
        Found::Absent if special == Found::Absent && !path.is_empty() => None,
        _ => Some(Node::Directory(regular::directory_stat(inode_of(path), 0, false))),
    }
}

fn find_in_memory(path: &[u8], relative: &[u8]) -> Option<Node> {
    if relative.is_empty() {
        return Some(Node::Directory(regular::directory_stat(inode_of(path), 0, true)));
    }
    Some(match memory_tree().ok()?.get(relative)? {
        tree::Node::Directory { inode, modified } => Node::Directory(regular::directory_stat(*inode, *modified, true)),
        tree::Node::File(file) => Node::Memory(file.clone()),
    })
}

/// ENOTDIR when the path steps through a file, else ENOENT.
fn why_absent(path: &[u8]) -> Errno {
    let mut ancestor = path::parent(path);
    while !ancestor.is_empty() {
        match find(ancestor) {
            Some(Node::Directory(_)) => return Errno::ENOENT,
            Some(_) => return Errno::ENOTDIR,
            None => ancestor = path::parent(ancestor),
        }
    }
    Errno::ENOENT
}

/// The path relative to /tmp, if it is there.
fn in_memory(path: &[u8]) -> Option<&[u8]> {
    match path.strip_prefix(b"tmp")? {
        b"" => Some(b""),
        rest => rest.strip_prefix(b"/"),
    }
}

/// The tree of /tmp, made at its first use.
#[inline(never)] // called in many places
fn memory_tree() -> Result<RefMut<'static, Tree>> {
    let mut memory = MEMORY.lock();
    if memory.is_none() {
        let limit = memory::statistics().total as usize / MEMORY_SHARE;
        let budget = heap::try_rc(Budget::new(limit)).ok_or(Errno::ENOSPC)?;
        *memory = Some(Tree::new(budget, FIRST_MEMORY_INODE));
    }
    RefMut::filter_map(memory, Option::as_mut).map_err(|_| Errno::ENOSPC)
}

/// An object behind a counted reference.
pub fn object(object: impl Object + 'static) -> Result<Rc<dyn Object>> {
    let object = heap::try_rc(object).ok_or(Errno::ENOMEM)?;
    Ok(object)
}

fn image() -> Image<'static> {
    Image::new(crate::arch::image::files())
}

/// A stable number for a name that has no other: FNV-1a (Fowler, Noll, Vo; 64 bits).
pub fn inode_of(path: &[u8]) -> u64 {
    let hash = path.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    });
    hash & !FIRST_MEMORY_INODE | 1
}
