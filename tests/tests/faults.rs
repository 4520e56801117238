//! A fault on purpose prints its report, with function and line, and ends with a non-zero status.

use std::process::Command;

use cartridge_tests::image::{cartridge, image, workspace};

/// The console of `cartridge run` and its exit status.
struct Report {
    text: String,
    status: i32,
}

/// Runs the fault program with the name of a fault.
fn provoke(fault: &str) -> Report {
    let image = image("kernel-glue/tests/faults");
    let mut command = Command::new(cartridge());
    command
        .args(["run", "--timeout", "60"])
        .arg(image)
        .args(["--", fault])
        .current_dir(workspace());
    let output = command.output().expect("cartridge starts");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    println!("{text}");
    Report {
        text: text.into_owned(),
        status: output.status.code().expect("cartridge was not killed"),
    }
}

impl Report {
    fn has(&self, part: &str) -> &Report {
        assert!(self.text.contains(part), "no {part:?} in:\n{}", self.text);
        self
    }

    fn ends_with(&self, status: i32) -> &Report {
        assert_eq!(self.status, status, "exit status of:\n{}", self.text);
        self.has(&format!("cartridge: exit status {status}"))
    }

    /// The report names the function that did it, and its line.
    fn names(&self, function: &str) -> &Report {
        let named = self
            .text
            .lines()
            .any(|line| line.contains(function) && line.contains("main.rs:"));
        assert!(named, "no line with {function} and main.rs: in:\n{}", self.text);
        self
    }
}

/// The status of a process killed by SIGSEGV, as shells give it.
const FAULT: i32 = 139;
/// Of one that called abort(3), as a panic does under panic=abort.
const ABORT: i32 = 134;
/// Of one that ran out of memory (SIGKILL).
const OUT_OF_MEMORY: i32 = 137;

#[test]
fn a_read_through_a_null_pointer_is_reported() {
    provoke("null-read")
        .has("fault: ")
        .has("page fault (vector 14)")
        .has("address 0x0")
        .names("null_read")
        .ends_with(FAULT);
}

#[test]
fn a_fault_in_a_thread_names_the_thread() {
    provoke("thread-null-read")
        .has("fault: ")
        .has(" in thread 2: null pointer")
        .names("null_read")
        .ends_with(FAULT);
}

#[test]
fn a_write_to_code_is_reported() {
    provoke("text-write")
        .has("fault: ")
        .has("page fault (vector 14)")
        .has(" in thread 1: write to read-only memory")
        .names("text_write")
        .ends_with(FAULT);
}

#[test]
fn execution_of_data_is_reported() {
    provoke("data-execute")
        .has("fault: ")
        .has("page fault (vector 14)")
        .has(" in thread 1: execution of data")
        .names("data_execute")
        .ends_with(FAULT);
}

#[test]
fn a_stack_overflow_is_reported() {
    provoke("stack-overflow")
        .has("fault: ")
        .has(" in thread 1: stack overflow")
        .names("stack_overflow")
        .ends_with(FAULT);
}

#[test]
fn a_panic_is_reported() {
    provoke("panic")
        .has("panicked at")
        .has("on purpose")
        .names("panic_on_purpose")
        .ends_with(ABORT);
}

#[test]
fn a_report_begins_on_a_line_of_its_own() {
    provoke("null-read-in-a-line")
        .has("half a line\nfault: ")
        .names("null_read")
        .ends_with(FAULT);
}

#[test]
fn memory_denied_to_one_thread_is_told_though_another_gets_some() {
    provoke("denied-beside-another")
        .has("out of memory: thread ")
        .ends_with(OUT_OF_MEMORY);
}

#[test]
fn a_preempted_thread_keeps_its_registers_and_lends_them_to_nobody() {
    provoke("registers").has("AVX kept, x87 empty").ends_with(0);
}

#[test]
fn an_exhausted_heap_is_reported_as_such() {
    provoke("heap-exhausted")
        .has("out of memory")
        .names("exhaust_heap")
        .ends_with(OUT_OF_MEMORY);
}
