//! `new`: a cartridge to start from.

use super::arguments::{Arguments, Next};
use super::{Command, Error, shell};
use crate::manifest;
use crate::workspace::Workspace;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use xshell::cmd;

pub const COMMAND: Command = Command {
    name: "new",
    help: HELP,
    run,
};

const HELP: &str = "\
start a new cartridge in apps/NAME

usage: ./cartridge new NAME

Makes Cargo.toml, cartridge.toml and src/main.rs: a small server that builds, runs and answers as it is.
";

const TEMPLATE: [(&str, &str); 3] = [
    ("Cargo.toml", include_str!("../../template/Cargo.toml.in")),
    ("cartridge.toml", include_str!("../../template/cartridge.toml.in")),
    ("src/main.rs", include_str!("../../template/main.rs")),
];

fn run(mut arguments: Arguments) -> Result<ExitCode, Error> {
    let mut name = None;
    while let Some(next) = arguments.next()? {
        match next {
            Next::Value(value) => arguments.only(&mut name, value, "name")?,
            Next::Option(option) => return Err(arguments.unknown_option(&option, &["--help"])),
            Next::Rest(_) => return Err(arguments.unknown_option("--", &[])),
        }
    }
    let name = arguments.required(name, "name", "my-app")?;
    let name = name.to_string_lossy();
    let name = name.strip_prefix("apps/").unwrap_or(&name);
    if !manifest::is_name(name) {
        let hint = "use 1 to 63 lower-case letters, digits, `-` and `_`, starting with a letter";
        return Err(arguments.usage(format!("`{name}` cannot name a cartridge"), hint));
    }
    create(&Workspace::find()?.root, name)?;
    println!("apps/{name} is ready; its program is apps/{name}/src/main.rs");
    println!("  ./cartridge run apps/{name}    boots it in a virtual machine");
    println!("  ./cartridge dev apps/{name}    runs it as a Linux process");
    Ok(ExitCode::SUCCESS)
}

fn create(root: &Path, name: &str) -> Result<(), Error> {
    let folder = root.join("apps").join(name);
    if folder.exists() {
        return Err(Error::Exists(folder));
    }
    let shell = shell()?;
    shell.change_dir(root);
    // Cargo knows which names cannot be a package's, and says so.
    cmd!(shell, "cargo new --quiet --vcs none --bin apps/{name}")
        .quiet()
        .run()
        .map_err(|_| Error::Failed("cargo new"))?;
    for (file, text) in TEMPLATE {
        let path = folder.join(file);
        fs::write(&path, text.replace("NAME", name)).map_err(Error::io("write", &path))?;
    }
    // Cargo.lock lists every package of the workspace; now this one, too.
    let update = cmd!(shell, "cargo update --quiet --offline --workspace").quiet().run();
    update.map_err(|_| Error::Failed("cargo update --workspace"))
}
