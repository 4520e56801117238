//! The files compiled into the image: a reader of the builder's blob.
//!
//! Format "CFS1" (image-builder writes it), all numbers little-endian u32: magic `CFS1`, count, then `count` entries
//! {path offset, path length, data offset, data length} in ascending byte order of their paths, offsets from the start
//! of the blob, then the bytes they point at. Paths have no leading slash.

use crate::file::listing::SortedPaths;

const MAGIC: &[u8] = b"CFS1";
const HEADER: usize = 8;
const ENTRY: usize = 16;

/// A blob. Whatever its bytes are, reading it neither panics nor leaves it: what points outside reads as empty.
#[derive(Clone, Copy)]
pub struct Image<'a> {
    blob: &'a [u8],
    count: usize,
}

impl<'a> Image<'a> {
    /// A blob without the magic number (an absent one, too) holds no files; a count beyond its size is cut to what
    /// fits.
    pub fn new(blob: &'a [u8]) -> Image<'a> {
        let magic = blob.get(..MAGIC.len()) == Some(MAGIC);
        let claimed = if magic {
            number(blob, MAGIC.len()).unwrap_or(0)
        } else {
            0
        };
        let room = blob.len().saturating_sub(HEADER) / ENTRY;
        Image {
            blob,
            count: claimed.min(room),
        }
    }

    pub fn data(&self, index: usize) -> &'a [u8] {
        self.span(index, 8)
    }

    fn span(&self, index: usize, field: usize) -> &'a [u8] {
        let entry = HEADER + index * ENTRY + field;
        let (Some(offset), Some(length)) = (number(self.blob, entry), number(self.blob, entry + 4)) else {
            return b"";
        };
        offset
            .checked_add(length)
            .and_then(|end| self.blob.get(offset..end))
            .unwrap_or(b"")
    }
}

impl SortedPaths for Image<'_> {
    fn len(&self) -> usize {
        self.count
    }

    fn path(&self, index: usize) -> &[u8] {
        self.span(index, 0)
    }
}

fn number(blob: &[u8], offset: usize) -> Option<usize> {
    let bytes = blob.get(offset..offset + 4)?;
    Some(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::listing::{Found, children, find};
    use std::vec::Vec;

    fn blob(files: &[(&str, &str)]) -> Vec<u8> {
        let mut blob = Vec::from(MAGIC);
        let mut bytes: Vec<u8> = Vec::new();
        let start = HEADER + files.len() * ENTRY;
        blob.extend((files.len() as u32).to_le_bytes());
        for text in files.iter().map(|(path, data)| [path, data]) {
            for part in text {
                blob.extend(((start + bytes.len()) as u32).to_le_bytes());
                blob.extend((part.len() as u32).to_le_bytes());
                bytes.extend(part.as_bytes());
            }
        }
        blob.extend(bytes);
        blob
    }

    #[test]
    fn reads_files_and_directories() {
        let blob = blob(&[
            ("public/guide/a.txt", "A"),
            ("public/index.html", "<p>"),
            ("run/cartridge/defaults", "PORTS=1"),
        ]);
        let image = Image::new(&blob);
        assert_eq!(find(&image, b"public/index.html"), Found::Listed(1));
        assert_eq!(image.data(1), b"<p>");
        assert_eq!(find(&image, b"public/guide"), Found::Implied);
        assert_eq!(find(&image, b"public/none"), Found::Absent);
    }

    #[test]
    fn hostile_bytes_read_as_nothing() {
        let good = blob(&[("a", "1"), ("b/c", "2")]);
        for length in 0..good.len() {
            read_everything(&good[..length]);
        }
        let mut state = 1u32;
        for _ in 0..20_000 {
            let mut bad = good.clone();
            for _ in 0..3 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let position = state as usize % bad.len();
                bad[position] = (state >> 24) as u8;
            }
            read_everything(&bad);
        }
        assert_eq!(Image::new(b"CFS1\xff\xff\xff\xff").len(), 0);
        assert_eq!(Image::new(b"").len(), 0);
    }

    fn read_everything(blob: &[u8]) {
        let image = Image::new(blob);
        for index in 0..image.len() {
            let _ = (image.path(index), image.data(index));
        }
        find(&image, b"b");
        children(&image, b"", &mut |_, _| {});
        children(&image, b"b", &mut |_, _| {});
    }
}
