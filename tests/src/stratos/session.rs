//! An MQTT 3.1.1 session that outlives its connections, and so counts exactly: what a broker delivers with QoS 2 is handed on
//! once, whatever happens between (section 4.3.3). The packets are those of a kept client crate; its own client is not used,
//! for it forgets what it has received when its connection ends.

use super::mosquitto::{PASSWORD, USER};
use anyhow::{Context, Result, bail};
use bytes::BytesMut;
use rumqttc::mqttbytes::Error as Malformed;
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{Connect, ConnectReturnCode, Packet, PubAck, PubComp, PubRec, Publish, Subscribe};
use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// For a broker to take a connection or a packet.
const LIMIT: Duration = Duration::from_secs(20);
/// Longest packet; larger ones are a mistake of a test's.
const PACKET_LIMIT: usize = 16 << 20;
/// Between two attempts to reach the broker.
const PAUSE: Duration = Duration::from_millis(20);

/// Takes what happens; called by the session's own thread.
pub trait Listener: Send + 'static {
    /// Everything that is published from now on comes here.
    fn subscribed(&mut self, is: bool);
    /// A message that was not handed on before; `publish` says something to it, which waits for nobody.
    fn received(&mut self, message: Publish, publish: &dyn Fn(&str, Vec<u8>) -> Result<()>) -> Result<()>;
}

/// A session that is subscribed to everything, with QoS 2. It connects again as often as need be.
pub struct Session(Arc<Shared>);

struct Shared {
    name: &'static str,
    broker: SocketAddr,
    link: Mutex<Link>,
    number: AtomicU16,
}

#[derive(Default)]
struct Link {
    stream: Option<TcpStream>,
    is_over: bool,
}

impl Session {
    pub fn start(name: &'static str, port: u16, listener: impl Listener) -> Session {
        let shared = Arc::new(Shared {
            name,
            broker: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            link: Mutex::default(),
            number: AtomicU16::new(0),
        });
        let theirs = Arc::clone(&shared);
        thread::spawn(move || theirs.live(listener));
        Session(shared)
    }

    /// Publishes with QoS 1, once.
    ///
    /// # Errors
    /// Where there is no connection now.
    pub fn publish(&self, topic: &str, payload: impl Into<Vec<u8>>) -> Result<()> {
        self.0.publish(topic, payload.into())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut link = self.0.lock();
        link.is_over = true;
        if let Some(stream) = &link.stream {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn live(&self, mut listener: impl Listener) {
        // Numbers of messages that were handed on and not yet released by the broker: section 4.3.3, method A.
        let mut held = HashSet::new();
        while !self.lock().is_over {
            // It ends with the connection, for whatever reason: the next one is as good.
            let _ = self.connect_and_follow(&mut listener, &mut held);
            listener.subscribed(false);
            thread::sleep(PAUSE);
        }
    }

    fn connect_and_follow(&self, listener: &mut impl Listener, held: &mut HashSet<u16>) -> Result<()> {
        let mut stream = TcpStream::connect_timeout(&self.broker, LIMIT)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(LIMIT))?;
        let mut link = self.lock();
        if link.is_over {
            return Ok(());
        }
        link.stream = Some(stream.try_clone()?);
        drop(link);
        let mut connect = Connect::new(self.name);
        connect.set_login(USER, PASSWORD);
        connect.clean_session = false;
        // No keep-alive: a broker may be frozen for as long as a test likes.
        connect.keep_alive = 0;
        self.send(&Packet::Connect(connect))?;
        let (mut received, mut room) = (BytesMut::new(), vec![0; 1 << 16]);
        loop {
            match Packet::read(&mut received, PACKET_LIMIT) {
                Ok(packet) => self.take(packet, listener, held)?,
                Err(Malformed::InsufficientBytes(_)) => match stream.read(&mut room)? {
                    0 => bail!("the broker closed"),
                    count => received.extend_from_slice(&room[..count]),
                },
                Err(error) => bail!("{error}"),
            }
        }
    }

    fn take(&self, packet: Packet, listener: &mut impl Listener, held: &mut HashSet<u16>) -> Result<()> {
        match packet {
            Packet::ConnAck(answer) if answer.code == ConnectReturnCode::Success => {
                if !answer.session_present {
                    held.clear();
                }
                let mut subscribe = Subscribe::new("#", QoS::ExactlyOnce);
                subscribe.pkid = self.next();
                self.send(&Packet::Subscribe(subscribe))
            }
            Packet::ConnAck(answer) => bail!("the broker refuses: {:?}", answer.code),
            Packet::SubAck(_) => {
                listener.subscribed(true);
                Ok(())
            }
            Packet::Publish(message) => {
                let (number, qos) = (message.pkid, message.qos);
                if qos != QoS::ExactlyOnce || held.insert(number) {
                    listener.received(message, &|topic, payload| self.publish(topic, payload))?;
                }
                match qos {
                    QoS::AtMostOnce => Ok(()),
                    QoS::AtLeastOnce => self.send(&Packet::PubAck(PubAck::new(number))),
                    QoS::ExactlyOnce => self.send(&Packet::PubRec(PubRec::new(number))),
                }
            }
            Packet::PubRel(release) => {
                held.remove(&release.pkid);
                self.send(&Packet::PubComp(PubComp::new(release.pkid)))
            }
            _ => Ok(()),
        }
    }

    fn publish(&self, topic: &str, payload: Vec<u8>) -> Result<()> {
        let mut message = Publish::new(topic, QoS::AtLeastOnce, payload);
        message.pkid = self.next();
        self.send(&Packet::Publish(message))
    }

    /// The next packet number; never 0. The few that are open at a time are far younger than 65,535.
    fn next(&self) -> u16 {
        match self.number.fetch_add(1, Ordering::Relaxed).wrapping_add(1) {
            0 => self.next(),
            number => number,
        }
    }

    fn send(&self, packet: &Packet) -> Result<()> {
        let mut bytes = BytesMut::new();
        packet
            .write(&mut bytes, PACKET_LIMIT)
            .map_err(|error| anyhow::anyhow!("{error}"))?;
        let link = self.lock();
        let mut stream = link
            .stream
            .as_ref()
            .context("the platform has no connection to its broker")?;
        stream
            .write_all(&bytes)
            .context("the platform's connection to its broker")
    }
}
