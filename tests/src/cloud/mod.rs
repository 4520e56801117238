//! A cloud's metadata service, as strict as the real ones, which cannot be had outside a cloud: what they refuse, it refuses.
//!
//! What it knows of them: Nova's metadata API (nova/api/metadata) and EC2's instance metadata service (the EC2 user guide): paths,
//! methods, tokens, statuses. [`Cloud`] answers requests, without a connection of its own; [`server`] puts it on a port of the host,
//! `wire` on an Ethernet.

pub mod server;

use std::time::{Duration, Instant};

/// What the instance is given, by both kinds.
pub const ID: &str = "d8e02d56-2648-49a3-bf97-6be8f1204f38";
pub const EC2_ID: &str = "i-0123456789abcdef0";
pub const HOSTNAME: &str = "member-1.novalocal";
pub const ZONE: &str = "zone-a";
pub const KEYS: [&str; 2] = ["ssh-ed25519 AAAA= one", "ssh-rsa BBBB== two"];
/// 96 base64 characters: a seed to look for in logs.
pub const SEED: &str =
    "c2VlZHNlZWRzZWVkc2VlZHNlZWRzZWVkc2VlZHNlZWRzZWVkc2VlZHNlZWRzZWVkc2VlZHNlZWRzZWVkc2VlZHNlZWRzZWVk";
/// EC2's session token: what it says here is not to be seen anywhere else.
const TOKEN: &str = "AQAEAtokentokentokentokentoken==";

/// What a client asks of each kind, in this order.
pub const OPENSTACK: [&str; 2] = [
    "GET /openstack/latest/meta_data.json",
    "GET /openstack/latest/user_data",
];
pub const EC2: [&str; 8] = [
    "PUT /latest/api/token",
    "GET /latest/user-data",
    "GET /latest/meta-data/instance-id",
    "GET /latest/meta-data/local-hostname",
    "GET /latest/meta-data/placement/availability-zone",
    "GET /latest/meta-data/public-keys/",
    "GET /latest/meta-data/public-keys/0/openssh-key",
    "GET /latest/meta-data/public-keys/1/openssh-key",
];

/// What `tests/cartridges/instance` says of the instance with this identifier.
pub fn instance(id: &str) -> String {
    format!("instance {id} host {HOSTNAME} zone {ZONE} keys {}", KEYS.join(";"))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nova: its own paths, and EC2's without tokens.
    OpenStack,
    /// EC2 with `HttpTokens=required`.
    Ec2,
    /// EC2's paths in a cloud that has no tokens.
    OldEc2,
    /// EC2 where the instance may not use the service (`HttpEndpoint=disabled`).
    Forbidden,
}

/// What the service does instead of answering well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Status(u16),
    /// Takes the request and says nothing.
    Silent,
    /// Ends the connection in the middle of the answer.
    Truncated,
    /// 10 MB.
    Huge,
    RedirectLoop,
    RedirectAway,
    /// Another protocol.
    Garbage,
}

/// An answer, and what becomes of the connection.
pub enum Reply {
    /// To be sent before the connection is closed.
    Send(Vec<u8>),
    Nothing,
}

pub struct Cloud {
    pub kind: Kind,
    /// None: 404.
    pub user_data: Option<Vec<u8>>,
    /// For so many requests to paths with this text in it.
    pub fault: Option<(&'static str, Fault, usize)>,
    /// Method and path of each request, and when it came.
    pub asked: Vec<(String, Instant)>,
    /// What no client may do.
    pub wrong: Vec<String>,
}

/// A request, as far as it counts.
struct Request<'a> {
    method: &'a str,
    path: &'a str,
    fields: Vec<(String, &'a str)>,
}

impl Request<'_> {
    fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| *value)
    }
}

impl Cloud {
    pub fn new(kind: Kind, user_data: &str) -> Cloud {
        Cloud {
            kind,
            user_data: Some(user_data.as_bytes().to_vec()),
            fault: None,
            asked: Vec::new(),
            wrong: Vec::new(),
        }
    }

    /// Does `fault` for ever where the path has `part` in it.
    pub fn with(mut self, part: &'static str, fault: Fault) -> Cloud {
        self.fault = Some((part, fault, usize::MAX));
        self
    }

    /// Every `METHOD PATH` so far.
    pub fn requests(&self) -> Vec<&str> {
        self.asked.iter().map(|(asked, _)| asked.as_str()).collect()
    }

    /// How long ago the last request was.
    pub fn quiet_for(&self) -> Duration {
        self.asked.last().map_or(Duration::ZERO, |(_, at)| at.elapsed())
    }

    /// The answer to the request whose head `bytes` holds to its empty line.
    pub fn answer(&mut self, bytes: &[u8]) -> Reply {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let Some(request) = self.checked(&text) else {
            return status(400);
        };
        self.asked
            .push((format!("{} {}", request.method, request.path), Instant::now()));
        if let Some((part, fault, times)) = &mut self.fault
            && request.path.contains(*part)
            && *times > 0
        {
            *times -= 1;
            return fail(*fault, request.path);
        }
        self.serve(&request)
    }

    fn checked<'a>(&mut self, text: &'a str) -> Option<Request<'a>> {
        let parsed = parse(text);
        if parsed.is_none() {
            self.wrong.push(format!("no request: {text:?}"));
        }
        let request = parsed?;
        let hosts = request.fields.iter().filter(|(name, _)| name == "host").count();
        if hosts != 1 || request.field("x-forwarded-for").is_some() {
            self.wrong.push(format!("{text:?}"));
            return None;
        }
        // Some servers wait for a body, or answer 411, otherwise.
        if request.method == "PUT" && request.field("content-length") != Some("0") {
            self.wrong.push(format!("no length: {text:?}"));
        }
        Some(request)
    }

    fn serve(&self, request: &Request) -> Reply {
        const TOKEN_PATH: &str = "/latest/api/token";
        match (self.kind, request.method, request.path) {
            (Kind::Forbidden, ..) => status(403),
            (Kind::Ec2, "PUT", TOKEN_PATH) => {
                let seconds = request.field("x-aws-ec2-metadata-token-ttl-seconds");
                let seconds = seconds.and_then(|seconds| seconds.parse().ok());
                match seconds {
                    Some(1..=21600) => ok(TOKEN.as_bytes()),
                    _ => status(400),
                }
            }
            (Kind::Ec2, "GET", TOKEN_PATH) => status(405),
            (Kind::OldEc2, "PUT", _) => status(405),
            (_, "GET", _) if self.kind == Kind::Ec2 && request.field("x-aws-ec2-metadata-token") != Some(TOKEN) => {
                status(401)
            }
            (_, "GET" | "PUT", path) => self.page(path).map_or_else(|| status(404), |page| ok(&page)),
            _ => status(405),
        }
    }

    fn page(&self, path: &str) -> Option<Vec<u8>> {
        let openstack = self.kind == Kind::OpenStack;
        let text = |text: &str| Some(text.as_bytes().to_vec());
        match path {
            "/openstack/latest/meta_data.json" if openstack => text(&meta_data()),
            "/openstack/latest/user_data" if openstack => self.user_data.clone(),
            "/latest/user-data" => self.user_data.clone(),
            "/latest/meta-data/instance-id" => text(EC2_ID),
            "/latest/meta-data/local-hostname" => text(HOSTNAME),
            "/latest/meta-data/placement/availability-zone" => text(ZONE),
            "/latest/meta-data/public-keys/" => text("0=one\n1=two"),
            "/latest/meta-data/public-keys/0/openssh-key" => text(KEYS[0]),
            "/latest/meta-data/public-keys/1/openssh-key" => text(&format!("{}\n", KEYS[1])),
            _ => None,
        }
    }
}

fn meta_data() -> String {
    serde_json::json!({
        "random_seed": SEED, "uuid": ID, "availability_zone": ZONE, "hostname": HOSTNAME, "name": "member-1",
        "launch_index": 0, "project_id": "f7ac731cc11f40efbc03a9f9e1d1d21f", "devices": [], "dedicated_cpus": [],
        "meta": {"priority": "low"},
        "keys": [{"data": KEYS[0], "type": "ssh", "name": "one"}],
        "public_keys": {"one": KEYS[0], "two": format!("{}\n", KEYS[1])},
        "files": [{"path": "/etc/a", "content_path": "/content/0000"}],
    })
    .to_string()
}

fn parse(text: &str) -> Option<Request<'_>> {
    let mut lines = text.strip_suffix("\r\n\r\n")?.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (method, path, version) = (words.next()?, words.next()?, words.next()?);
    if version != "HTTP/1.1" || words.next().is_some() || !path.starts_with('/') {
        return None;
    }
    let fields = lines.map(|line| {
        let (name, value) = line.split_once(": ")?;
        Some((name.to_ascii_lowercase(), value))
    });
    Some(Request {
        method,
        path,
        fields: fields.collect::<Option<_>>()?,
    })
}

fn ok(body: &[u8]) -> Reply {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    Reply::Send([head.as_bytes(), body].concat())
}

fn status(status: u16) -> Reply {
    let body = format!("<h1>{status}</h1>");
    let length = body.len();
    Reply::Send(format!("HTTP/1.1 {status} Status\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes())
}

fn fail(fault: Fault, path: &str) -> Reply {
    let redirect = |to: &str| Reply::Send(format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\n\r\n").into_bytes());
    match fault {
        Fault::Status(number) => status(number),
        Fault::Silent => Reply::Nothing,
        Fault::Truncated => Reply::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nA=1,B=".to_vec()),
        Fault::Huge => ok(&b"A=1,".repeat(10_000_000 / 4)),
        Fault::RedirectLoop => redirect(path),
        Fault::RedirectAway => redirect("http://192.0.2.1/"),
        Fault::Garbage => Reply::Send(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()),
    }
}
