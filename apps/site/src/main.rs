//! Serves the files of the folder `public` over HTTP: compiled into the image in a cartridge, read from the app's folder as
//! an ordinary program. An ordinary std server; nothing here knows which of the two it is. An artifact that the control plane
//! or the payload names takes the folder's place as soon as it is there.

mod answer;
mod connection;
mod content;
mod folder;
mod gate;
mod media;
mod paced;
mod range;
mod refusals;
mod request;
mod response;
#[cfg(test)]
mod scratch;
mod server;
mod status;
mod validator;

use crate::answer::Site;
use crate::content::Contents;
use crate::server::Server;
use cartridge_agent::log;
use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::thread;
use std::time::Instant;

/// Where to listen when no launch parameter says it, as under plain `cargo run`.
const DEFAULT_PORTS: &[u16] = &[8080];

fn main() -> io::Result<()> {
    let cartridge = cartridge_agent::start();
    let server = Server::new(Site::new(Contents::new(folder(), cartridge.artifacts())));
    let ports = if cartridge.ports().is_empty() {
        DEFAULT_PORTS
    } else {
        cartridge.ports()
    };
    for &port in ports {
        let (server, listener) = (server.clone(), listen(port)?);
        thread::spawn(move || server.accept_from(&listener));
    }
    let deadline = cartridge.shutdown().wait();
    if !server.stop(ports, deadline.saturating_duration_since(Instant::now())) {
        log!(Warn, "some answers were not finished by the drain deadline");
    }
    Ok(())
}

/// `public` in the folder the program runs in; started by cargo from somewhere else, in the folder of its sources.
fn folder() -> PathBuf {
    let here = PathBuf::from("public");
    match std::env::var_os("CARGO_MANIFEST_DIR") {
        Some(sources) if !here.is_dir() => PathBuf::from(sources).join(here),
        _ => here,
    }
}

fn listen(port: u16) -> io::Result<TcpListener> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("port {port} cannot be opened: {error}"));
    TcpListener::bind(("0.0.0.0", port)).map_err(named)
}
