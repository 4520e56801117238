//! Inflating as it arrives: a bounded piece at a time, with check sum and length of what came out.

use super::Problem;
use flate2::{Crc, Decompress, FlushDecompress, Status};

/// Bytes handed on in one piece.
const PIECE: usize = 8 * 1024;

/// One deflated stream (RFC 1951). It holds 43 KiB: the window and the tables.
pub struct Inflate {
    engine: Decompress,
    crc: Crc,
}

impl Inflate {
    pub fn new() -> Self {
        Inflate {
            engine: Decompress::new(false),
            crc: Crc::new(),
        }
    }

    /// Hands what `input` becomes to `out`; gives how many of its bytes were used, and whether the stream has ended.
    pub fn take(
        &mut self,
        input: &[u8],
        out: &mut dyn FnMut(&[u8]) -> Result<(), Problem>,
    ) -> Result<(usize, bool), Problem> {
        const BAD: Problem = Problem::Damaged("what is compressed in it cannot be unpacked");
        let mut room = [0; PIECE];
        let mut used = 0;
        loop {
            let (before_in, before_out) = (self.engine.total_in(), self.engine.total_out());
            let status = self.engine.decompress(&input[used..], &mut room, FlushDecompress::None);
            let status = status.map_err(|_| BAD)?;
            let taken = (self.engine.total_in() - before_in) as usize;
            let made = (self.engine.total_out() - before_out) as usize;
            used += taken;
            if made > 0 {
                self.crc.update(&room[..made]);
                out(&room[..made])?;
            }
            if status == Status::StreamEnd {
                return Ok((used, true));
            }
            if used == input.len() && made < room.len() {
                return Ok((used, false));
            }
            if taken == 0 && made == 0 {
                return Err(BAD);
            }
        }
    }

    /// The CRC-32 of what came out.
    pub fn crc(&self) -> u32 {
        self.crc.sum()
    }

    /// Bytes that went in.
    pub fn taken(&self) -> u64 {
        self.engine.total_in()
    }

    /// Bytes that came out.
    pub fn made(&self) -> u64 {
        self.engine.total_out()
    }
}
