//! Socket options, as the Hermit ABI numbers and lays them out.

use super::ports::Families;
use crate::errno::{Errno, Result};
use hermit_abi as abi;

/// Idle time before a keep-alive probe, seconds. Linux's two hours outlive every NAT entry.
pub const KEEP_ALIVE_SECONDS: u64 = 75;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    pub nodelay: bool,
    pub keep_alive: bool,
    pub broadcast: bool,
    pub v6_only: bool,
    /// Close with a reset, discarding what was not sent (SO_LINGER with zero seconds).
    pub abort_on_close: bool,
    pub linger: Option<i32>,
    /// Nanoseconds, 0: none.
    pub receive_timeout: u64,
    pub send_timeout: u64,
    pub hop_limit: u8,
}

impl Options {
    pub fn new() -> Options {
        Options {
            nodelay: false,
            keep_alive: false,
            broadcast: false,
            v6_only: false,
            abort_on_close: false,
            linger: None,
            receive_timeout: 0,
            send_timeout: 0,
            hop_limit: 64,
        }
    }

    /// What an IPv4, or IPv6, socket without an address is for.
    pub fn families(&self, v6: bool) -> Families {
        match v6 {
            false => Families::V4,
            true if self.v6_only => Families::V6,
            true => Families::Both,
        }
    }

    /// ENOPROTOOPT for what this stack does not know, EINVAL for a value that is too short or out of range.
    pub fn set(&mut self, level: i32, name: i32, value: &[u8]) -> Result<()> {
        let flag = match (level, name) {
            (abi::SOL_SOCKET, abi::SO_RCVTIMEO) => return read_timeval(value, &mut self.receive_timeout),
            (abi::SOL_SOCKET, abi::SO_SNDTIMEO) => return read_timeval(value, &mut self.send_timeout),
            (abi::SOL_SOCKET, abi::SO_LINGER) => {
                let (on, seconds) = (read_i32(value)?, read_i32(value.get(4..).unwrap_or_default())?);
                self.linger = (on != 0).then_some(seconds);
                self.abort_on_close = self.linger == Some(0);
                return Ok(());
            }
            (abi::IPPROTO_IP, abi::IP_TTL) => {
                self.hop_limit = match read_i32(value)? {
                    ttl @ 1..=255 => ttl as u8,
                    _ => return Err(Errno::EINVAL),
                };
                return Ok(());
            }
            (abi::SOL_SOCKET, abi::SO_KEEPALIVE) => &mut self.keep_alive,
            (abi::SOL_SOCKET, abi::SO_BROADCAST) => &mut self.broadcast,
            (abi::IPPROTO_TCP, abi::TCP_NODELAY) => &mut self.nodelay,
            (abi::IPPROTO_IPV6, abi::IPV6_V6ONLY) => &mut self.v6_only,
            // Names are free again as soon as their socket is closed; buffers have the size memory allows.
            (abi::SOL_SOCKET, abi::SO_REUSEADDR | abi::SO_SNDBUF | abi::SO_RCVBUF) => &mut false,
            _ => return Err(Errno::ENOPROTOOPT),
        };
        *flag = read_i32(value)? != 0;
        Ok(())
    }

    /// Writes the option's value and returns its length. SO_ERROR is the socket's own business.
    pub fn get(&self, level: i32, name: i32, value: &mut [u8]) -> Result<usize> {
        let number = match (level, name) {
            (abi::SOL_SOCKET, abi::SO_RCVTIMEO) => return write_timeval(value, self.receive_timeout),
            (abi::SOL_SOCKET, abi::SO_SNDTIMEO) => return write_timeval(value, self.send_timeout),
            (abi::SOL_SOCKET, abi::SO_LINGER) => {
                let (on, seconds) = (self.linger.is_some() as i32, self.linger.unwrap_or(0));
                write(value, &on.to_ne_bytes())?;
                return Ok(4 + write(value.get_mut(4..).unwrap_or_default(), &seconds.to_ne_bytes())?);
            }
            (abi::SOL_SOCKET, abi::SO_KEEPALIVE) => self.keep_alive as i32,
            (abi::SOL_SOCKET, abi::SO_BROADCAST) => self.broadcast as i32,
            (abi::SOL_SOCKET, abi::SO_REUSEADDR) => 1,
            (abi::IPPROTO_TCP, abi::TCP_NODELAY) => self.nodelay as i32,
            (abi::IPPROTO_IPV6, abi::IPV6_V6ONLY) => self.v6_only as i32,
            (abi::IPPROTO_IP, abi::IP_TTL) => self.hop_limit as i32,
            _ => return Err(Errno::ENOPROTOOPT),
        };
        write_i32(value, number)
    }
}

pub fn write_i32(value: &mut [u8], number: i32) -> Result<usize> {
    write(value, &number.to_ne_bytes())
}

fn write(value: &mut [u8], bytes: &[u8]) -> Result<usize> {
    value
        .get_mut(..bytes.len())
        .ok_or(Errno::EINVAL)?
        .copy_from_slice(bytes);
    Ok(bytes.len())
}

fn read_i32(value: &[u8]) -> Result<i32> {
    value
        .first_chunk()
        .map(|bytes| i32::from_ne_bytes(*bytes))
        .ok_or(Errno::EINVAL)
}

/// `struct timeval`: i64 seconds, i32 microseconds, padded to 16 bytes. Sets nanoseconds.
#[inline(never)]
fn read_timeval(value: &[u8], nanoseconds: &mut u64) -> Result<()> {
    let seconds = value
        .first_chunk()
        .map(|bytes| i64::from_ne_bytes(*bytes))
        .ok_or(Errno::EINVAL)?;
    let microseconds = read_i32(value.get(8..).unwrap_or_default())?;
    if seconds < 0 || !(0..1_000_000).contains(&microseconds) {
        return Err(Errno::EINVAL);
    }
    *nanoseconds = (seconds as u64)
        .saturating_mul(1_000_000_000)
        .saturating_add(microseconds as u64 * 1000);
    Ok(())
}

fn write_timeval(value: &mut [u8], nanoseconds: u64) -> Result<usize> {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&((nanoseconds / 1_000_000_000) as i64).to_ne_bytes());
    bytes[8..12].copy_from_slice(&((nanoseconds / 1000 % 1_000_000) as i32).to_ne_bytes());
    write(value, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_read_back() {
        let mut options = Options::new();
        let mut timeval = [0; 16];
        timeval[0] = 3;
        timeval[8..12].copy_from_slice(&250_000i32.to_ne_bytes());
        options.set(abi::SOL_SOCKET, abi::SO_RCVTIMEO, &timeval).unwrap();
        assert_eq!(options.receive_timeout, 3_250_000_000);
        let mut read = [0xff; 16];
        assert_eq!(options.get(abi::SOL_SOCKET, abi::SO_RCVTIMEO, &mut read), Ok(16));
        assert_eq!(read, timeval);
        options
            .set(abi::SOL_SOCKET, abi::SO_LINGER, &[1, 0, 0, 0, 0, 0, 0, 0])
            .unwrap();
        assert!(options.abort_on_close);
        assert_eq!(
            options.set(abi::SOL_SOCKET, abi::SO_LINGER, &[1, 0, 0, 0]),
            Err(Errno::EINVAL)
        );
        assert_eq!(options.set(abi::IPPROTO_IP, abi::IP_TTL, &[0; 4]), Err(Errno::EINVAL));
        assert_eq!(
            options.set(abi::IPPROTO_IP, abi::IP_ADD_MEMBERSHIP, &[0; 8]),
            Err(Errno::ENOPROTOOPT)
        );
    }
}
