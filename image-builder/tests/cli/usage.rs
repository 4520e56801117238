//! Help, suggestions, exit statuses, the first lines of errors.

use super::cartridge;
use std::fs;

#[test]
fn help_lists_every_command_and_each_has_its_own() {
    let (status, help, _) = cartridge(&["--help"]);
    assert_eq!(status, 0);
    for command in ["new", "build", "run", "dev", "inspect", "bench", "test"] {
        let summary = help
            .lines()
            .find(|line| line.trim_start().starts_with(command))
            .expect("listed");
        let (status, own, _) = cartridge(&[command, "--help"]);
        assert_eq!(status, 0);
        assert!(
            summary.ends_with(own.lines().next().expect("a summary")),
            "{command}: {own}"
        );
        assert!(
            own.contains(&format!("usage: ./cartridge {command}")),
            "{command}: {own}"
        );
    }
}

#[test]
fn typing_mistakes_get_a_suggestion_and_status_2() {
    for (arguments, hint) in [
        (&["biuld", "apps/hello"][..], "did you mean `build`?"),
        (&["run", "apps/hello", "--machin", "q35"], "did you mean --machine?"),
        (&["run", "apps/hello", "--machine", "q36"], "microvm, q35, pc"),
        (&["run", "apps/hello", "--port", "8080"], "--port 8080:8080"),
        (&["run", "apps/hello", "--memory", "lots"], "not a number of MiB"),
        (&["run", "apps/hello", "--timeout", "-1"], "not a time to wait"),
        (&["build"], "for example: ./cartridge build apps/hello"),
        (&["build", "a", "b"], "one app at a time"),
        (&["bench", "boat"], "the measurements are boot and http"),
        (&["bench", "http", "--clients", "1,x"], "--clients 1,32"),
        (&["test", "lnit"], "did you mean lint?"),
        (
            &["dev", "apps/hello", "--port", "9000:8080"],
            "`run`, which forwards ports",
        ),
        (&["new", "Bad Name"], "lower-case letters"),
    ] {
        let (status, _, errors) = cartridge(arguments);
        assert_eq!(status, 2, "{arguments:?}: {errors}");
        assert!(
            errors.starts_with("cartridge: ") && errors.contains(hint),
            "{arguments:?}: {errors}"
        );
    }
}

#[test]
fn a_missing_app_names_a_similar_one() {
    let (status, _, errors) = cartridge(&["build", "apps/helo"]);
    assert_eq!(status, 1);
    assert!(
        errors.contains("there is no app at apps/helo") && errors.contains("did you mean apps/hello?"),
        "{errors}"
    );
}

#[test]
fn mistakes_in_a_manifest_are_reported_with_file_line_and_hint() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("src")).expect("src");
    fs::write(folder.path().join("src/main.rs"), "fn main() {}").expect("main.rs");
    let package = "[package]\nname = \"x\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n";
    fs::write(folder.path().join("Cargo.toml"), package).expect("Cargo.toml");
    let manifest = folder.path().join("cartridge.toml");
    let given = folder.path().to_string_lossy().into_owned();

    let (status, _, errors) = cartridge(&["build", &given]);
    assert!(
        status == 1 && errors.contains("cartridge.toml does not exist"),
        "{errors}"
    );

    fs::write(&manifest, "name = \"x\"\nports = [80\n").expect("cartridge.toml");
    let (status, _, errors) = cartridge(&["build", &given]);
    assert!(status == 1 && errors.contains("this is not TOML"), "{errors}");
    assert!(errors.contains("hint: write lines like"), "{errors}");

    fs::write(&manifest, "prots = [8080]\nkernel = \"hermit\"\nfiles = \"none\"\n").expect("cartridge.toml");
    let (status, _, errors) = cartridge(&["build", &given]);
    assert_eq!(status, 1);
    for expected in [
        "cartridge.toml:1: unknown key `prots`\n    hint: did you mean `ports`?",
        "cartridge.toml:2: kernel = \"hermit\" is not supported yet",
        "cartridge.toml:3: the folder `none` does not exist",
    ] {
        assert!(errors.contains(expected), "{expected}\nis not in\n{errors}");
    }
}

#[test]
fn something_that_is_no_image_is_refused() {
    let (status, _, errors) = cartridge(&["inspect", "Cargo.toml"]);
    assert!(
        status == 1 && errors.contains("Cargo.toml: not an ELF file"),
        "{errors}"
    );
    let (status, _, errors) = cartridge(&["run", "Cargo.toml"]);
    assert!(
        status == 1 && errors.contains("Cargo.toml: not an ELF file"),
        "{errors}"
    );
    let own = env!("CARGO_BIN_EXE_cartridge");
    let (status, _, errors) = cartridge(&["inspect", own]);
    assert!(status == 1 && errors.contains("this is not a cartridge"), "{errors}");
}

#[test]
fn an_error_says_what_next() {
    let _alone = super::alone();
    for (arguments, what) in [
        (&["build", "apps/helo"][..], "there is no app"),
        (&["inspect", "Cargo.toml"], "not an ELF file"),
        (&["inspect", env!("CARGO_BIN_EXE_cartridge")], "this is not a cartridge"),
        (&["inspect", "tests/cartridges/secret"], "has no image yet"),
        (&["run", "Cargo.toml"], "not an ELF file"),
        (
            &["dev", "apps/hello", "--payload", "no/such/file"],
            "cannot read the payload no/such/file",
        ),
        (&["new", "hello"], "exists already"),
    ] {
        if arguments[0] == "inspect" && super::root().join("target/cartridge/secret/secret.elf").exists() {
            continue;
        }
        let (status, _, errors) = cartridge(arguments);
        assert_eq!(status, 1, "{arguments:?}: {errors}");
        let next = errors.contains("next: ") || errors.contains("did you mean");
        assert!(errors.contains(what) && next, "{arguments:?}: {errors}");
    }
}

#[test]
fn the_suites_are_listed_with_what_they_are_about() {
    let (status, list, _) = cartridge(&["test", "--list"]);
    assert_eq!(status, 0);
    assert!(list.lines().all(|line| line.split_whitespace().count() > 3), "{list}");
    assert!(
        list.contains("lint") && list.contains("unit") && list.contains("boot"),
        "{list}"
    );
}
