//! What a broker logged: who connected when, who published what how often.

use std::fs;
use std::path::Path;

/// The log of a mosquitto (`log_type all`), over all its runs.
pub struct Witness(String);

/// A PUBLISH that a broker took from a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    pub topic: String,
    pub qos: u8,
    /// The client says that it may have sent it before.
    pub is_duplicate: bool,
    pub is_retained: bool,
    /// Its number on the connection; 0 with QoS 0.
    pub number: u16,
}

impl Witness {
    pub(super) fn read(path: &Path) -> Witness {
        let bytes = fs::read(path).unwrap_or_default();
        Witness(String::from_utf8_lossy(&bytes).into_owned())
    }

    pub fn text(&self) -> &str {
        &self.0
    }

    /// How many lines contain `text`.
    pub fn count(&self, text: &str) -> usize {
        self.lines().filter(|line| line.contains(text)).count()
    }

    /// Connections that reached its door, whether or not they said anything.
    pub fn connections(&self) -> usize {
        self.count("New connection from")
    }

    /// How often it let in a client of this name.
    pub fn sessions(&self, client: &str) -> usize {
        let named = format!(" as {client} (");
        let lines = self.lines().filter(|line| line.contains("New client connected"));
        lines.filter(|line| line.contains(&named)).count()
    }

    /// Who was let in, each once, in order of first coming.
    pub fn clients(&self) -> Vec<String> {
        let mut clients: Vec<String> = Vec::new();
        for line in self.lines().filter(|line| line.contains("New client connected")) {
            let name = line.split_once(" as ").and_then(|(_, rest)| rest.split(" (").next());
            if let Some(name) = name.filter(|name| clients.iter().all(|known| known != name)) {
                clients.push(name.to_owned());
            }
        }
        clients
    }

    /// Whether nothing of a client is kept here: the session it was let in with last was a clean one.
    pub fn last_session_is_clean(&self, client: &str) -> bool {
        let named = format!(" as {client} (");
        let lines = self.lines().filter(|line| line.contains("New client connected"));
        let last = lines.filter(|line| line.contains(&named)).last();
        // `(p2, c1, k60, u'member')`: protocol, clean session, keep-alive, user.
        last.is_some_and(|line| line.contains(", c1, "))
    }

    /// What it took from a client, in order: every sending counts, also a repeated one.
    pub fn published(&self, client: &str) -> Vec<Published> {
        let start = format!("Received PUBLISH from {client} (");
        let told = self.lines().filter_map(|line| line.split_once(&start));
        told.filter_map(|(_, rest)| Published::parse(rest)).collect()
    }

    /// The filters that a client asked for, in order, each time it did.
    pub fn subscribed(&self, client: &str) -> Vec<String> {
        // Then for each filter a line with a tab before it, and one that repeats it: `TIME: CLIENT QOS FILTER`.
        let (start, repeated) = (format!(": Received SUBSCRIBE from {client}"), format!(": {client} "));
        let is_of_it = |line: &&str| line.contains(": \t") || line.contains(&repeated);
        let (mut filters, mut lines) = (Vec::new(), self.lines().peekable());
        while let Some(line) = lines.next() {
            if !line.ends_with(&start) {
                continue;
            }
            while let Some(line) = lines.next_if(is_of_it) {
                if let Some((_, filter)) = line.split_once('\t') {
                    filters.push(filter.split(" (QoS").next().unwrap_or(filter).to_owned());
                }
            }
        }
        filters
    }

    fn lines(&self) -> impl Iterator<Item = &str> {
        self.0.lines()
    }
}

impl Published {
    /// `d0, q2, r0, m1, 'TOPIC', ... (177 bytes))`
    fn parse(text: &str) -> Option<Published> {
        let mut parts = text.splitn(5, ", ");
        let mut number = |letter: char| parts.next()?.strip_prefix(letter)?.parse::<u16>().ok();
        let (duplicate, qos, retained, id) = (number('d')?, number('q')?, number('r')?, number('m')?);
        let topic = parts.next()?.strip_prefix('\'')?.split('\'').next()?;
        Some(Published {
            topic: topic.to_owned(),
            qos: qos as u8,
            is_duplicate: duplicate == 1,
            is_retained: retained == 1,
            number: id,
        })
    }
}
