//! Serves the files of the folder `public` over HTTP: compiled into the image in a cartridge, read from the app's folder as
//! an ordinary program. An ordinary std server; nothing here knows which of the two it is.

mod answer;
mod connection;
mod folder;
mod gate;
mod media;
mod range;
mod request;
mod response;
#[cfg(test)]
mod scratch;
mod server;
mod status;
mod validator;

use crate::answer::Site;
use crate::server::Server;
use std::net::TcpListener;

fn main() -> std::io::Result<()> {
    let server = Server::new(Site::new("public"));
    server.accept_from(&TcpListener::bind("0.0.0.0:8080")?);
    Ok(())
}
