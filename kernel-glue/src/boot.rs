//! From the PVH entry to the program's `main`: the order in which everything comes up.

mod start_info;

use crate::acpi::table::after;
use crate::arch::{apic, context, cpu, descriptors, image};
use crate::critical::{DEPTH, Guarded};
use crate::file::image::Image;
use crate::file::listing::{Found, find};
use crate::heap::{self, Vec};
use crate::memory::{self, reserve};
use crate::thread::{self, Priority};
use crate::{clock, console::raw, devices, entropy, net, power};
use core::sync::atomic::Ordering::Relaxed;

/// What the loader told us.
pub struct BootInfo {
    pub command_line: &'static str,
    /// First boot module: the payload.
    pub module: Option<&'static [u8]>,
    /// Physical address of ACPI's RSDP, if known.
    pub rsdp: Option<u64>,
}

static INFO: Guarded<BootInfo> = Guarded::new(BootInfo {
    command_line: "",
    module: None,
    rsdp: None,
});

pub fn info() -> &'static BootInfo {
    // SAFETY: written once, before there are threads.
    unsafe { INFO.get() }
}

/// Where a program whose image names nothing else finds the guest interface.
const GUEST_INTERFACE: &str = "CARTRIDGE_DIR=/run/cartridge";
/// The main thread's stack as on Linux, bytes; on a small machine this part of its RAM, so that runaway recursion is reported
/// as such and not as exhausted memory.
const MAIN_STACK: usize = 8 << 20;
const MAIN_STACK_SHARE: usize = 4;

/// Entered from arch/entry.rs with interrupts off, on the boot stack; `start_info` is the physical address the loader passed.
pub extern "C" fn start(start_info: u64) -> ! {
    // SAFETY: this is the boot, and it runs once.
    unsafe {
        descriptors::init();
        context::init();
    }
    reserve::init();
    match start_info::read(start_info) {
        // SAFETY: as above; nobody has asked for the information yet.
        Ok(info) => *unsafe { INFO.get() } = info,
        Err(problem) => {
            raw!("cartridge: {problem}\n");
            power::exit(power::ABORTED);
        }
    }
    clock::init();
    apic::init();
    cpu::enable_interrupts();
    let stack = MAIN_STACK.min(memory::statistics().total as usize / MAIN_STACK_SHARE);
    if thread::spawn(main_thread, 0, stack, Priority::Normal).is_err() {
        raw!("out of memory: the main thread, {}\n", memory::Room);
        power::exit(power::OUT_OF_MEMORY);
    }
    thread::start()
}

unsafe extern "C" {
    /// std's start: runs `main` and exits.
    fn runtime_entry(argc: i32, argv: *const *const u8, environment: *const *const u8) -> !;
}

/// The first thread: brings up what may wait, then becomes the program's main thread.
extern "C" fn main_thread(_: usize) {
    let critical = crate::critical::enter();
    let devices = devices::probe();
    // Before the network draws its secrets. A machine without a source says so when the program asks for one.
    let _ = entropy::fill(&mut []);
    net::init(devices.network);
    power::listen_for_stop();
    clock::settle();
    let start = ProgramStart::from_command_line(info().command_line);
    drop(critical);
    debug_assert_eq!(DEPTH.load(Relaxed), 0);
    // SAFETY: both arrays are null-terminated arrays of null-terminated strings that live for ever.
    unsafe { runtime_entry(start.argument_count as i32, start.arguments, start.environment) }
}

/// What std's runtime is started with.
struct ProgramStart {
    argument_count: usize,
    arguments: *const *const u8,
    environment: *const *const u8,
}

impl ProgramStart {
    /// `env=KEY=VALUE` words make the environment, words after `--` the arguments; the rest is the kernel's.
    fn from_command_line(command_line: &'static str) -> Self {
        let mut arguments = heap::vec();
        let mut environment = heap::vec();
        arguments.push(terminated(program_name()));
        environment.push(terminated(GUEST_INTERFACE));
        let mut rest = false;
        for word in command_line.split_ascii_whitespace() {
            match word.strip_prefix("env=") {
                // The machine (QEMU's microvm) puts its devices anywhere, behind the program's arguments too.
                _ if word.starts_with("virtio_mmio.device=") => {}
                _ if rest => arguments.push(terminated(word)),
                _ if word == "--" => rest = true,
                Some(pair) if pair.contains('=') => environment.push(terminated(pair)),
                _ => {}
            }
        }
        let argument_count = arguments.len();
        ProgramStart {
            argument_count,
            arguments: null_terminated(arguments),
            environment: null_terminated(environment),
        }
    }
}

fn terminated(text: &str) -> *const u8 {
    let mut bytes: Vec<u8> = heap::vec();
    bytes.extend_from_slice(text.as_bytes());
    bytes.push(0);
    bytes.leak().as_ptr()
}

fn null_terminated(mut pointers: Vec<*const u8>) -> *const *const u8 {
    pointers.push(core::ptr::null());
    pointers.leak().as_ptr()
}

/// CARTRIDGE_NAME of the manifest's defaults, a text of `KEY=VALUE,KEY=VALUE`.
fn program_name() -> &'static str {
    let files = Image::new(image::files());
    let defaults = match find(&files, b"run/cartridge/defaults") {
        Found::Listed(index) => files.data(index),
        _ => b"",
    };
    let value = after(defaults, b"CARTRIDGE_NAME=").unwrap_or_default();
    let length = value.iter().position(|byte| matches!(byte, b',' | b'\n' | b'\r'));
    match core::str::from_utf8(&value[..length.unwrap_or(value.len())]) {
        Ok(name) if !name.is_empty() => name,
        _ => "cartridge",
    }
}
