//! Archives of web sites, made by the programs that people make them with, and a server that has them: tests/peers/archives.py.

use crate::clients::client::Client;
use crate::image::workspace;
use crate::target::Place;
use anyhow::{Context, Result, anyhow, ensure};
use qemu::guard;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Who may have what is private, as the server knows.
pub const USER: &str = "repo-user";
pub const PASSWORD: &str = "hunter2-of-the-archives";
/// The password as Stratos sends it under the CARTRIDGE_KEY of the tests' payload:
/// `printf %s PASSWORD | openssl enc -aes-128-ecb -K $(printf %s hunter2-of-repos | xxd -p) -base64 -A`
pub const ENCRYPTED: &str = "wYmihlFwaGQVviFgMkhHZ0Z9RiOnyeF1dL7SqeOBz2Q=";

/// Until the server listens, or was asked for something.
const LIMIT: Duration = Duration::from_secs(60);

pub struct Archives {
    folder: TempDir,
    port: u16,
    child: Child,
    requests: Mutex<Receiver<String>>,
}

impl Archives {
    pub fn start() -> Result<Archives> {
        let folder = TempDir::new()?;
        let failed = |error: qemu::Error| anyhow!("{error}");
        let mut command = guard::command("python3").map_err(failed)?;
        command
            .arg(workspace().join("tests/peers/archives.py"))
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut child = guard::spawn(command, "python3").map_err(failed)?;
        let output = child.stdout.take().context("no output of the server")?;
        let (sender, requests) = channel();
        // Ends with the server.
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut archives = Archives {
            folder,
            port: 0,
            child,
            requests: Mutex::new(requests),
        };
        archives.port = archives.next()?.parse().context("the port of the server")?;
        Ok(archives)
    }

    /// The URL of `path` as seen from a place.
    pub fn url(&self, place: Place, path: &str) -> String {
        format!("http://{}:{}/{path}", place.loopback(), self.port)
    }

    /// Packs these files as a forge does, into the folder `repo-main`, and gives the SHA-256 of the archive. `name` tells the
    /// format: `.tgz`, `.tar` or `.zip`.
    pub fn pack(&self, name: &str, files: &[(&str, &[u8])]) -> Result<String> {
        let made = TempDir::new()?;
        for (path, content) in files {
            let path = made.path().join("repo-main").join(path);
            fs::create_dir_all(path.parent().context("no folder")?)?;
            fs::write(path, content)?;
        }
        let target = self.folder.path().join(name);
        let to = target.to_str().context("a temporary folder that is not UTF-8")?;
        let words: &[&str] = match name.rsplit('.').next() {
            Some("tgz") => &["tar", "-czf", to, "repo-main"],
            Some("tar") => &["tar", "-cf", to, "repo-main"],
            _ => &["zip", "-qr", to, "repo-main"],
        };
        run(Command::new(words[0]).args(&words[1..]).current_dir(made.path()))?;
        let sum = run(Command::new("sha256sum").arg(&target))?;
        Ok(sum.split(' ').next().unwrap_or_default().to_owned())
    }

    /// Puts these bytes there as they are.
    pub fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        Ok(fs::write(self.folder.path().join(name), bytes)?)
    }

    /// Waits for a request of this path, and gives who made it.
    pub fn wait_for(&self, path: &str) -> Result<String> {
        let end = Instant::now() + LIMIT;
        loop {
            ensure!(Instant::now() < end, "no request of {path} within {LIMIT:?}");
            let line = self
                .next()
                .with_context(|| format!("waiting for a request of {path}"))?;
            if let Some(user) = line.strip_prefix(&format!("GET /{path} ")) {
                return Ok(user.to_owned());
            }
        }
    }

    /// Requests that came since this was asked last.
    pub fn requests(&self) -> Vec<String> {
        self.lock().try_iter().collect()
    }

    /// Has what is held sent.
    pub fn release(&self) -> Result<()> {
        let mut client = Client::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)))?;
        ensure!(client.get("/release", "")?.status == 204, "the server does not release");
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Receiver<String>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Result<String> {
        self.lock().recv_timeout(LIMIT).context("the server says nothing")
    }
}

impl Drop for Archives {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A tar with a name that leads out of its folder.
pub fn slip() -> Vec<u8> {
    let mut block = vec![0; 512];
    block[..9].copy_from_slice(b"../../etc");
    block[100..107].copy_from_slice(b"0000644");
    block[124..135].copy_from_slice(b"00000000000");
    block[156] = b'0';
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    block.resize(3 * 512, 0);
    block
}

fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {output:?}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
