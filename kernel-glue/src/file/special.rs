//! Files that are no files: devices, and the guest interface of the cartridge under /run/cartridge.

use crate::errno::{Errno, Result};
use crate::file::console as file_console;
use crate::file::listing::{self, SortedPaths};
use crate::file::names::{inode_of, object};
use crate::file::regular::{Access, Bytes, Fixed, copy, fixed_stat};
use crate::file::statistics;
use crate::heap::{Rc, Vec};
use crate::object::{Events, Object, Stat};
use crate::thread::{self, Channel, Priority};
use crate::{boot, console, entropy, net, power, smbios};
use core::cell::Cell;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Special {
    Null,
    Random,
    UnlimitedRandom,
    Entropy,
    Log,
    Network,
    Payload,
    Platform,
    Power,
    Priority,
    Statistics,
}

/// In ascending order of their paths.
pub const SPECIALS: &[Special] = &[
    Special::Null,
    Special::Random,
    Special::UnlimitedRandom,
    Special::Entropy,
    Special::Log,
    Special::Network,
    Special::Payload,
    Special::Platform,
    Special::Power,
    Special::Priority,
    Special::Statistics,
];

impl SortedPaths for &[Special] {
    fn len(&self) -> usize {
        <[Special]>::len(self)
    }

    fn path(&self, index: usize) -> &[u8] {
        self[index].path()
    }
}

/// Whether `directory` has a child of that name that is or leads to a special file.
pub fn has_child(directory: &[u8], name: &[u8]) -> bool {
    let mut found = false;
    listing::children(&SPECIALS, directory, &mut |child, _| found |= child == name);
    found
}

impl Special {
    fn path(self) -> &'static [u8] {
        match self {
            Special::Null => b"dev/null",
            Special::Random => b"dev/random",
            Special::UnlimitedRandom => b"dev/urandom",
            Special::Entropy => b"run/cartridge/entropy",
            Special::Log => b"run/cartridge/log",
            Special::Network => b"run/cartridge/network",
            Special::Payload => b"run/cartridge/payload",
            Special::Platform => b"run/cartridge/platform",
            Special::Power => b"run/cartridge/power",
            Special::Priority => b"run/cartridge/priority",
            Special::Statistics => b"run/cartridge/stats",
        }
    }

    pub fn is_device(self) -> bool {
        matches!(self, Special::Null | Special::Random | Special::UnlimitedRandom)
    }

    /// All but the payload, which is there if the loader brought one.
    pub fn is_present(self) -> bool {
        self != Special::Payload || boot::info().module.is_some()
    }

    fn is_writable(self) -> bool {
        self.is_device()
            || matches!(
                self,
                Special::Entropy | Special::Log | Special::Network | Special::Priority
            )
    }

    pub fn stat(self) -> Stat {
        let size = if self == Special::Payload {
            boot::info().module.unwrap_or(b"").len()
        } else {
            0
        };
        let stat = fixed_stat(size, inode_of(self.path()));
        match self {
            _ if self.is_device() => Stat {
                mode: hermit_abi::S_IFCHR | 0o666,
                ..stat
            },
            _ if self.is_writable() => Stat {
                mode: stat.mode | 0o200,
                ..stat
            },
            _ => stat,
        }
    }

    /// Texts are made here, once for each opening.
    pub fn open(self, access: Access) -> Result<Rc<dyn Object>> {
        if access.write && !self.is_writable() {
            return Err(Errno::EACCES);
        }
        let bytes = match self {
            Special::Payload => Bytes::Static(boot::info().module.unwrap_or(b"")),
            Special::Platform => Bytes::Made(smbios::text()),
            Special::Statistics => Bytes::Made(statistics::text()?),
            Special::Network if access.read => Bytes::Made(net::describe()),
            Special::Network => Bytes::Static(b""),
            _ => {
                let position = Cell::new(0);
                return object(Device {
                    special: self,
                    position,
                });
            }
        };
        let file = Fixed::new(bytes, inode_of(self.path()));
        if self == Special::Network {
            object(Network(file))
        } else {
            object(file)
        }
    }
}

/// An open special file that answers each read or write anew.
struct Device {
    special: Special,
    /// Of the log: the absolute position of its next byte. Of `power`: how much of its answer was read.
    position: Cell<u64>,
}

const STOP_ANSWER: &[u8] = b"stop\n";

impl Device {
    fn read_log(&self, buffer: &mut [u8]) -> usize {
        let (position, count) = console::read_log(self.position.get(), buffer);
        self.position.set(position);
        count
    }

    /// Waits for a request to stop, however long that takes: the agent's stop thread lives here.
    fn read_power(&self, buffer: &mut [u8]) -> usize {
        while !power::stop_requested() {
            thread::wait(&[power::STOP], u64::MAX);
        }
        let rest = STOP_ANSWER.get(self.position.get() as usize..).unwrap_or_default();
        let count = copy(rest, buffer);
        self.position.set(self.position.get() + count as u64);
        count
    }
}

impl Object for Device {
    fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        match self.special {
            Special::Null => Ok(0),
            Special::Random | Special::UnlimitedRandom => match entropy::fill(buffer) {
                Ok(()) => Ok(buffer.len()),
                Err(entropy::NoEntropy) => Err(Errno::EIO),
            },
            Special::Log => Ok(self.read_log(buffer)),
            Special::Power => Ok(self.read_power(buffer)),
            _ => Err(Errno::EINVAL),
        }
    }

    fn write(&self, bytes: &[u8]) -> Result<usize> {
        match (self.special, bytes.trim_ascii()) {
            (Special::Log, _) => {
                console::begin_line();
                file_console::print(bytes);
            }
            (Special::Entropy, seed) => entropy::add(seed).map_err(|entropy::NoEntropy| Errno::EINVAL)?,
            (Special::Priority, b"high") => thread::set_priority(Priority::High),
            (Special::Priority, b"normal") => thread::set_priority(Priority::Normal),
            (Special::Null | Special::Random | Special::UnlimitedRandom, _) => {}
            _ => return Err(Errno::EINVAL),
        }
        Ok(bytes.len())
    }

    fn stat(&self) -> Result<Stat> {
        Ok(self.special.stat())
    }

    fn ready(&self, interest: Events) -> Events {
        let waiting = self.special == Special::Power && !power::stop_requested();
        interest & if waiting { Events::OUT } else { Events::IN | Events::OUT }
    }

    fn subscribe(&self, _interest: Events, channels: &mut Vec<Channel>) -> Result<()> {
        if self.special == Special::Power {
            channels.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
            channels.push(power::STOP);
        }
        Ok(())
    }
}

/// `network`: reading tells how it is (as of the opening), writing configures it.
struct Network(Fixed);

impl Object for Network {
    fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        self.0.read(buffer)
    }

    fn write(&self, bytes: &[u8]) -> Result<usize> {
        net::configure(core::str::from_utf8(bytes).map_err(|_| Errno::EINVAL)?)?;
        Ok(bytes.len())
    }

    fn seek(&self, offset: i64, whence: i32) -> Result<u64> {
        self.0.seek(offset, whence)
    }

    fn stat(&self) -> Result<Stat> {
        Ok(Special::Network.stat())
    }

    fn ready(&self, interest: Events) -> Events {
        self.0.ready(interest)
    }
}
