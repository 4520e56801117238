//! The network: devices below, smoltcp in the middle, sockets as [`Object`](crate::object::Object)s above.

pub mod device;

#[cfg(target_os = "hermit")]
mod seam {
    use crate::errno::{Errno, Result};
    use crate::heap::{Rc, Vec};
    use crate::net::device::Counters;
    use crate::object::Object;
    use core::net::IpAddr;

    pub fn socket(_v6: bool, _stream: bool) -> Result<Rc<dyn Object>> {
        Err(Errno::ENETDOWN)
    }
    pub fn resolve(_name: &str, _v4: bool, _v6: bool) -> Result<Vec<IpAddr>> {
        Err(Errno::ENETDOWN)
    }
    pub fn configure(_text: &str) -> Result<()> {
        Err(Errno::ENETDOWN)
    }
    pub fn describe() -> Vec<u8> {
        crate::heap::vec()
    }
    pub fn counters() -> Counters {
        Counters::default()
    }
    pub fn connections() -> usize {
        0
    }
}
#[cfg(target_os = "hermit")]
pub use seam::*;
