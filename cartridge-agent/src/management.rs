//! The management endpoint: HTTP on a port of its own, one thread above the app's for each connection.
//!
//! A slow or silent client costs others nothing: when all places are taken, the connection that has waited longest for its
//! client is closed in favour of the new one. Whoever connects more often than others can send a request still keeps them out;
//! that is for the network around the port to prevent.

mod connection;
mod pages;
mod places;

use crate::log;
use crate::runner;
use crate::shared::Shared;
use places::Places;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

/// A pause after a failed accept, so that an error that stays does not take the processor from everyone.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves the endpoint if the payload asks for it.
pub fn start(shared: &'static Shared) {
    let Some(management) = shared.settings.management else {
        return;
    };
    match TcpListener::bind(SocketAddr::from(([0; 4], management.port))) {
        Ok(listener) => {
            runner::spawn("agent-management", shared, move || {
                accept(shared, &listener, management.token)
            });
        }
        Err(error) => {
            let port = management.port;
            log::failure(
                format_args!("no management endpoint, port {port} cannot be listened on"),
                &error,
            );
        }
    }
}

fn accept(shared: &'static Shared, listener: &TcpListener, token: &'static str) {
    // The endpoint is served for as long as the process lives.
    let places = Box::leak(Box::default());
    loop {
        match listener.accept() {
            Ok((stream, _)) => admit(shared, stream, places, token),
            Err(_) => thread::park_timeout(ACCEPT_PAUSE),
        }
    }
}

fn admit(shared: &'static Shared, stream: TcpStream, places: &'static Places, token: &'static str) {
    // A connection that cannot be given a place is closed by dropping it: everything is full of busy connections.
    let Some(place) = Places::take(places, &stream) else {
        return;
    };
    runner::spawn("agent-connection", shared, move || {
        connection::serve(shared, &stream, &place, token)
    });
}
