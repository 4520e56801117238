//! A ring of the last bytes written.

pub struct Ring<const SIZE: usize> {
    bytes: [u8; SIZE],
    /// Bytes ever written.
    end: u64,
}

impl<const SIZE: usize> Ring<SIZE> {
    pub const fn new() -> Self {
        Ring {
            bytes: [0; SIZE],
            end: 0,
        }
    }

    /// True when what comes next begins a line.
    pub fn at_line_start(&self) -> bool {
        self.end == 0 || self.bytes[(self.end - 1) as usize % SIZE] == b'\n'
    }

    pub fn push(&mut self, bytes: &[u8]) {
        // Of more than the ring holds only the end would be left.
        let skipped = bytes.len().saturating_sub(SIZE);
        let at = ((self.end + skipped as u64) % SIZE as u64) as usize;
        let bytes_kept = &bytes[skipped..];
        let first = bytes_kept.len().min(SIZE - at);
        self.bytes[at..at + first].copy_from_slice(&bytes_kept[..first]);
        self.bytes[..bytes_kept.len() - first].copy_from_slice(&bytes_kept[first..]);
        self.end += bytes.len() as u64;
    }

    /// Copies what there is from position `from` on; returns (position after the copied bytes, bytes copied). A position that was
    /// overwritten is moved forward to the oldest byte kept, one past the end back to the end.
    pub fn read(&self, from: u64, buffer: &mut [u8]) -> (u64, usize) {
        let from = from.clamp(self.end.saturating_sub(SIZE as u64), self.end);
        let count = buffer.len().min((self.end - from) as usize);
        let at = (from % SIZE as u64) as usize;
        let first = count.min(SIZE - at);
        buffer[..first].copy_from_slice(&self.bytes[at..at + first]);
        buffer[first..count].copy_from_slice(&self.bytes[..count - first]);
        (from + count as u64, count)
    }
}

impl<const SIZE: usize> Default for Ring<SIZE> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(ring: &Ring<8>, from: u64) -> (u64, std::string::String) {
        let mut buffer = [0; 32];
        let (next, count) = ring.read(from, &mut buffer);
        (next, std::string::String::from_utf8(buffer[..count].to_vec()).unwrap())
    }

    #[test]
    fn keeps_the_last_bytes_in_order() {
        let mut ring = Ring::<8>::new();
        assert_eq!(all(&ring, 0), (0, "".into()));
        ring.push(b"abc");
        assert_eq!(all(&ring, 0), (3, "abc".into()));
        ring.push(b"defghij");
        assert_eq!(all(&ring, 0), (10, "cdefghij".into()));
        assert_eq!(all(&ring, 5), (10, "fghij".into()));
        assert_eq!(all(&ring, 99), (10, "".into()));
    }

    #[test]
    fn knows_where_a_line_begins() {
        let mut ring = Ring::<8>::new();
        assert!(ring.at_line_start());
        for (bytes, at_start) in [
            (&b"1234567\n"[..], true),
            (b"x", false),
            (b"", false),
            (b"\n", true),
            (b"", true),
        ] {
            ring.push(bytes);
            assert_eq!(ring.at_line_start(), at_start, "{bytes:?}");
        }
    }

    #[test]
    fn more_than_its_size_at_once() {
        let mut ring = Ring::<8>::new();
        ring.push(b"x");
        ring.push(b"0123456789abcdef");
        assert_eq!(all(&ring, 0), (17, "89abcdef".into()));
    }

    #[test]
    fn a_small_buffer_reads_on_where_it_stopped() {
        let mut ring = Ring::<8>::new();
        ring.push(b"0123456789");
        let mut buffer = [0; 3];
        let mut seen = std::vec::Vec::new();
        let mut from = 0;
        loop {
            let (next, count) = ring.read(from, &mut buffer);
            if count == 0 {
                break;
            }
            seen.extend_from_slice(&buffer[..count]);
            from = next;
        }
        assert_eq!(seen, b"23456789");
    }
}
