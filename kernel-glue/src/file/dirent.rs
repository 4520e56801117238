//! Directory records as `getdents64` writes them: d_ino u64, d_off i64, d_reclen u16, d_type u8, the name and a zero
//! byte, padded to 8 (`hermit_abi::dirent64`, whose name field is merely the longest one allowed).

use core::mem::offset_of;
use hermit_abi::dirent64;

const NAME: usize = offset_of!(dirent64, d_name);

/// Appends a record to `buffer` at `*position`; false when there is no room for it.
pub fn append(buffer: &mut [u8], position: &mut usize, inode: u64, kind: u8, name: &[u8]) -> bool {
    let length = (NAME + name.len() + 1).next_multiple_of(8);
    let Some(record) = buffer.get_mut(*position..).and_then(|rest| rest.get_mut(..length)) else {
        return false;
    };
    record.fill(0);
    let end = (*position + length) as i64;
    record[..8].copy_from_slice(&inode.to_ne_bytes());
    record[offset_of!(dirent64, d_off)..][..8].copy_from_slice(&end.to_ne_bytes());
    record[offset_of!(dirent64, d_reclen)..][..2].copy_from_slice(&(length as u16).to_ne_bytes());
    record[offset_of!(dirent64, d_type)] = kind;
    record[NAME..][..name.len()].copy_from_slice(name);
    *position += length;
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_follow_each_other_and_stop_at_the_end_of_the_buffer() {
        let mut buffer = [0xff; 64];
        let mut position = 0;
        assert!(append(&mut buffer, &mut position, 7, hermit_abi::DT_REG, b"ab"));
        assert_eq!(position, 24);
        assert_eq!(buffer[16..24], [24, 0, hermit_abi::DT_REG, b'a', b'b', 0, 0, 0]);
        assert!(append(
            &mut buffer,
            &mut position,
            8,
            hermit_abi::DT_DIR,
            b"a-longer-name"
        ));
        assert_eq!(position, 64);
        assert!(!append(&mut buffer, &mut position, 9, hermit_abi::DT_DIR, b"x"));
        assert_eq!(position, 64);
    }
}
