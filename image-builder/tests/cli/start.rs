//! The script `./cartridge`: what it installs for which command, and what it leaves alone. Everything it could call is a stub here.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Programs of the system that the script is written with.
const TOOLS: [&str; 15] = [
    "awk", "cat", "cut", "dirname", "env", "find", "grep", "head", "id", "mkdir", "rm", "sed", "sh", "tr", "touch",
];

/// A checkout with a command that is up to date, and a PATH with a compiler for guests and nothing else that matters.
struct World(TempDir);

impl World {
    fn new() -> Self {
        let world = Self(tempfile::tempdir().expect("a folder"));
        for tool in TOOLS {
            let found = ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(tool));
            let found = found
                .iter()
                .find(|path| path.exists())
                .unwrap_or_else(|| panic!("no {tool}"));
            fs::create_dir_all(world.path("bin")).expect("a folder");
            symlink(found, world.path("bin").join(tool)).expect("a link");
        }
        for folder in ["top/image-builder", "top/qemu", "top/cartridge-agent/core"] {
            fs::create_dir_all(world.path(folder)).expect("a folder");
        }
        fs::copy(super::root().join("cartridge"), world.path("top/cartridge")).expect("the script");
        world.write("top/Cargo.toml", "");
        world.write("top/Cargo.lock", "");
        for tool in [
            "cc",
            "ld.lld",
            "wrk",
            "ab",
            "python3",
            "mosquitto",
            "zip",
            "bzip2",
            "xz",
            "bsdtar",
        ] {
            world.stub(tool, "");
        }
        world.stub("sudo", "exec \"$@\"");
        world.compiler("one");
        world.write("top/target/quick/cartridge", "#!/bin/sh\necho \"ran $*\"\n");
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
    }

    fn stub(&self, tool: &str, script: &str) {
        let log = self.path("log").display().to_string();
        self.write(
            &format!("bin/{tool}"),
            &format!("#!/bin/sh\necho \"{tool} $*\" >>'{log}'\n{script}\n"),
        );
    }

    /// Puts a complete toolchain with this name on the PATH.
    fn compiler(&self, name: &str) {
        let version = "echo 'rustc 1.96.0 (0000000 2026-01-01)'";
        self.write(&format!("{name}/lib/rustlib/src/rust/library/std/src/lib.rs"), "");
        self.write(&format!("{name}/bin/rustc"), &format!("#!/bin/sh\n{version}\n"));
        self.write(&format!("{name}/bin/cargo"), "#!/bin/sh\n");
        let sysroot = self.path(name);
        let script = format!(
            "case $1 in --print) echo '{}' ;; *) {version} ;; esac",
            sysroot.display()
        );
        self.write("bin/rustc", &format!("#!/bin/sh\n{script}\n"));
    }

    /// Runs the script; gives its exit status, all it said, and the stubs it called.
    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let _ = fs::remove_file(self.path("log"));
        let mut command = Command::new("/bin/sh");
        command.arg(self.path("top/cartridge")).args(arguments);
        let output = command.env("PATH", self.path("bin")).output().expect("sh starts");
        let text = [output.stdout, output.stderr].concat();
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        (
            output.status.code().unwrap_or(-1),
            String::from_utf8_lossy(&text).into_owned(),
            log,
        )
    }
}

/// apt-get that puts QEMU on the PATH.
const INSTALLS: &str = "case \"$*\" in *install*qemu*) touch \"${0%/*}/qemu-system-x86_64\" ;; esac
[ ! -e \"${0%/*}/qemu-system-x86_64\" ] || { echo '#!/bin/sh' >\"${0%/*}/qemu-system-x86_64\"; }";

#[test]
fn only_what_the_command_needs_is_installed() {
    let world = World::new();
    world.stub("apt-get", "exit 1");
    for line in [
        &["test", "--list"][..],
        &["test", "lint"],
        &["test", "unit", "builder", "helpers", "--", "qemu"],
        &["build", "apps/hello"],
        &["run", "--help"],
        &["inspect", "x"],
        &["dev", "apps/hello", "--", "--help"],
    ] {
        let (status, said, log) = world.run(line);
        assert_eq!((status, &*log), (0, ""), "{line:?}: {said}");
        assert_eq!(said, format!("ran {}\n", line.join(" ")));
    }
    for line in [
        &["test"][..],
        &["test", "lint", "boot"],
        &["bench", "boot"],
        &["run", "apps/hello"],
    ] {
        let (status, said, log) = world.run(line);
        assert!(status == 1 && log.contains("qemu-system-x86"), "{line:?}: {said} {log}");
    }
}

#[test]
fn a_cxx_compiler_is_installed_for_the_fuzzer_alone() {
    let world = World::new();
    world.stub("apt-get", "exit 1");
    let (status, said, log) = world.run(&["test", "fuzz"]);
    assert!(status == 1 && log.contains("g++"), "{said} {log}");
    world.stub("c++", "");
    let (status, said, log) = world.run(&["test", "fuzz", "--", "--executions", "1000", "mqtt"]);
    assert_eq!((status, &*log), (0, ""), "{said}");
}

#[test]
fn options_may_come_before_what_is_measured() {
    let world = World::new();
    world.stub("qemu-system-x86_64", "");
    world.stub("apt-get", "exit 1");
    fs::remove_file(world.path("bin/wrk")).expect("not installed");
    for (line, needs) in [
        (["bench", "--runs", "1", "http"], true),
        (["bench", "boot", "--runs", "1"], false),
    ] {
        let (_, said, log) = world.run(&line);
        assert_eq!(
            log.contains("install -y --no-remove --no-install-recommends wrk"),
            needs,
            "{line:?}: {said} {log}"
        );
    }
}

#[test]
fn an_image_is_booted_without_a_compiler_for_guests() {
    let world = World::new();
    world.stub("qemu-system-x86_64", "");
    world.write("hello.elf", "");
    world.write("payload", "");
    let file = |name: &str| world.path(name).display().to_string();
    let (image, payload) = (file("hello.elf"), file("payload"));
    let looked_for = world.path("top/target/cartridge/start/guest");
    for (words, needs) in [
        (&["--payload", &payload, &image][..], false),
        (&[&image, "--payload", &payload], false),
        (&["--payload", &payload, "apps/hello", "--", &image], true),
    ] {
        let _ = fs::remove_file(&looked_for);
        let (status, said, _) = world.run(&[&["run"], words].concat());
        assert_eq!((status, looked_for.exists()), (0, needs), "{words:?}: {said}");
    }
}

/// What Python needs goes into a folder of its own below target/, once.
#[test]
fn the_tests_thrift_server_is_installed_below_target() {
    let world = World::new();
    world.stub("apt-get", "exit 1");
    world.write("top/tests/peers/requirements.txt", "thriftpy2==1\n");
    let pip = format!("#!/bin/sh\necho \"pip $*\" >>'{}'\n", world.path("log").display());
    world.write("top/target/python/bin/pip", &pip);
    let (status, said, log) = world.run(&["test", "health"]);
    assert_eq!(status, 0, "{said}");
    let place = world.path("top/target/python").display().to_string();
    assert!(log.contains(&format!("python3 -m venv {place}\n")), "{log}");
    assert!(
        log.contains("pip --quiet --disable-pip-version-check install -r"),
        "{log}"
    );
    assert!(!log.contains("apt-get"), "{log}");
    let (status, said, log) = world.run(&["test", "health"]);
    assert_eq!((status, &*log), (0, ""), "{said}");
    world.write("top/tests/peers/requirements.txt", "thriftpy2==2\n");
    assert!(world.run(&["test", "health"]).2.contains("pip "), "another version");
}

/// What the tests talk to and are measured with is installed for the suites that use it, and all of it for all of them.
#[test]
fn each_suite_has_what_it_needs() {
    let world = World::new();
    world.stub("apt-get", "");
    world.write("top/tests/peers/requirements.txt", "thriftpy2==1\n");
    let pip = format!("#!/bin/sh\necho \"pip install\" >>'{}'\n", world.path("log").display());
    world.write("top/target/python/bin/pip", &pip);
    for tool in ["wrk", "ab", "zip", "xz", "bsdtar"] {
        fs::remove_file(world.path("bin").join(tool)).expect("not installed");
    }
    for (suites, wanted) in [
        (
            &[][..],
            &[
                "qemu-system-x86",
                "wrk",
                "apache2-utils",
                "zip",
                "libarchive-tools",
                "mosquitto-clients",
                "pip",
            ][..],
        ),
        (&["unit"], &["zip", "bzip2", "xz-utils", "libarchive-tools"]),
        (&["cli"], &["qemu-system-x86", "mosquitto-clients"]),
        (&["http"], &["qemu-system-x86", "wrk", "apache2-utils"]),
        (&["artifacts"], &["qemu-system-x86", "zip", "libarchive-tools"]),
        (&["tenants"], &["qemu-system-x86", "zip", "libarchive-tools"]),
        (&["stratos"], &["qemu-system-x86", "pip"]),
        (&["health"], &["pip"]),
        (&["lint", "health"], &["pip"]),
    ] {
        let _ = fs::remove_file(world.path("top/target/python/installed"));
        let (status, said, log) = world.run(&[&["test"], suites].concat());
        assert_eq!(status, 0, "{said}");
        let words: Vec<&str> = log.split_whitespace().collect();
        for package in wanted {
            assert!(words.contains(package), "{suites:?}: no {package}: {log}");
        }
    }
}

/// `--help` behind `--` is the app's: what the command needs is installed all the same.
#[test]
fn words_for_the_app_are_not_taken_for_the_commands() {
    let world = World::new();
    world.stub("apt-get", INSTALLS);
    let (status, said, log) = world.run(&["run", "apps/hello", "--", "--help"]);
    assert!(status == 0 && said.contains("ran run apps/hello -- --help\n"), "{said}");
    assert!(
        log.contains("install -y --no-remove --no-install-recommends qemu-system-x86"),
        "{log}"
    );
    assert!(!log.contains("update"), "{log}");
}

#[test]
fn nothing_of_the_users_is_removed() {
    let world = World::new();
    world.stub(
        "apt-get",
        "case $1 in -s) echo 'Remv rustup [1.27]'; echo 'Inst qemu-system-x86 (1)' ;; *) exit 100 ;; esac",
    );
    let (status, said, log) = world.run(&["run", "apps/hello"]);
    assert_eq!(status, 1, "{said}");
    assert!(
        said.contains("would remove: rustup") && said.contains("next: "),
        "{said}"
    );
    let installs: Vec<&str> = log
        .lines()
        .filter(|line| line.contains(" install ") && !line.contains("-s -y"))
        .collect();
    assert!(
        !installs.is_empty() && installs.iter().all(|line| line.contains(" --no-remove ")),
        "{log}"
    );
}

#[test]
fn stale_package_lists_are_fetched_anew() {
    let world = World::new();
    let fresh = world.path("fresh");
    let (fresh, works) = (fresh.display(), INSTALLS);
    world.stub("apt-get", &format!("case \"$*\" in *update*) touch '{fresh}' ;; *-s\\ -y*) exit 0 ;; esac\n[ -e '{fresh}' ] || exit 100\n{works}"));
    let (status, said, log) = world.run(&["run", "apps/hello"]);
    assert!(status == 0 && said.contains("fresh package lists"), "{said}");
    assert_eq!(log.matches("update").count(), 1, "{log}");
}

#[test]
fn another_toolchain_is_noticed() {
    let world = World::new();
    let found = || fs::read_to_string(world.path("top/target/cartridge/start/guest")).expect("a stamp");
    for name in ["one", "two"] {
        world.compiler(name);
        let (status, said, _) = world.run(&["build", "apps/hello"]);
        assert_eq!(status, 0, "{said}");
        let sysroot = world.path(name).display().to_string();
        assert_eq!(found().lines().collect::<Vec<_>>(), [&sysroot, &sysroot]);
    }
}

#[test]
fn an_old_rust_of_rustups_is_for_rustup_to_update() {
    let world = World::new();
    world.stub("apt-get", "");
    world.stub("rustup", "");
    world.write("bin/cargo", "#!/bin/sh\n");
    world.write("bin/rustc", "#!/bin/sh\necho 'rustc 1.80.0 (0000000 2024-01-01)'\n");
    fs::remove_file(world.path("top/target/quick/cartridge")).expect("to be built");
    let (status, said, log) = world.run(&["build", "apps/hello"]);
    assert!(
        status == 1 && said.contains("rustup update") && log.is_empty(),
        "{said} {log}"
    );
}

#[test]
fn where_there_is_no_apt_rust_comes_from_rustup() {
    let world = World::new();
    world.write("bin/cargo", "#!/bin/sh\n");
    world.write("bin/rustc", "#!/bin/sh\necho 'rustc 1.80.0 (0000000 2024-01-01)'\n");
    fs::remove_file(world.path("top/target/quick/cartridge")).expect("to be built");
    let (status, said, _) = world.run(&["build", "apps/hello"]);
    assert!(
        status == 1 && said.contains("next: install Rust with rustup") && !said.contains("rustc-web"),
        "{said}"
    );
}
