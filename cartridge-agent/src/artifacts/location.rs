//! Where an artifact is: its URL as it is written in a payload or an event, made of parts that can be used and shown.

use super::digest::Digest;
use base64ct::{Base64, Encoding};
use cartridge_agent_core::http::client::Url;

/// Longest URL taken, in bytes.
const LONGEST: usize = 2048;

/// Where to fetch, with whose name, and what has to come.
#[derive(Clone, PartialEq, Eq)]
pub struct Location {
    /// The URL without user, password and fragment.
    pub url: String,
    /// What follows `Basic ` in an Authorization field.
    pub credentials: Option<String>,
    /// What the archive must have.
    pub digest: Option<Digest>,
}

impl Location {
    /// From a URL, and user and password given beside it, which count before those in it.
    ///
    /// # Errors
    /// What is wrong with it, without showing it.
    pub fn new(url: &str, user: Option<&str>, password: Option<&str>) -> Result<Self, &'static str> {
        let url = url.trim();
        check_scheme(url)?;
        let (plain, fragment) = url.split_once('#').unwrap_or((url, ""));
        if plain.len() > LONGEST {
            return Err("it is longer than 2048 bytes");
        }
        let parts = Url::parse(plain).ok_or("it is not of the form http://HOST[:PORT]/PATH")?;
        if plain.bytes().any(|byte| !byte.is_ascii_graphic()) {
            return Err("it has a blank or a byte that is not ASCII; write it percent-encoded");
        }
        let path = parts.target.split('?').next().unwrap_or_default();
        if path.trim_end_matches('/').ends_with(".git") {
            return Err(
                "it is a git repository's; give the URL of an archive of it (docs/artifacts.md names those of common forges)",
            );
        }
        let (own_user, own_password) = match parts.user {
            Some(both) => both
                .split_once(':')
                .map_or((Some(both), None), |(user, password)| (Some(user), Some(password))),
            None => (None, None),
        };
        let own = |text: Option<&str>| text.map(percent_decoded);
        let (user, password) = match user {
            Some(user) => (
                Some(user.as_bytes().to_vec()),
                password.map(|text| text.as_bytes().to_vec()),
            ),
            None => (
                own(own_user),
                password.map(|text| text.as_bytes().to_vec()).or(own(own_password)),
            ),
        };
        Ok(Location {
            url: without_user(plain),
            credentials: credentials(user, password),
            digest: digest(fragment)?,
        })
    }

    /// The URL for a message: without the query, which may hold a secret.
    pub fn shown(&self) -> &str {
        self.url.split('?').next().unwrap_or_default()
    }
}

fn check_scheme(url: &str) -> Result<(), &'static str> {
    let begins = |scheme: &str| {
        url.get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    if begins("https://") {
        return Err("https is not supported yet; use http, where the network can be trusted, and state the digest");
    }
    if ["git@", "git://", "ssh://", "git+"].into_iter().any(begins) {
        return Err(
            "git is not spoken here; give the http URL of an archive (docs/artifacts.md names those of common forges)",
        );
    }
    Ok(())
}

/// A user without a password counts, as tokens are often given so; a password without a user too.
fn credentials(user: Option<Vec<u8>>, password: Option<Vec<u8>>) -> Option<String> {
    if user.is_none() && password.is_none() {
        return None;
    }
    let both = [user.unwrap_or_default(), password.unwrap_or_default()].join(&b':');
    Some(Base64::encode_string(&both))
}

/// `sha256=HEX` in the fragment; any other fragment means nothing.
fn digest(fragment: &str) -> Result<Option<Digest>, &'static str> {
    let value = fragment.split('&').find_map(|part| part.strip_prefix("sha256="));
    match value {
        None => Ok(None),
        Some(hex) => Digest::parse(hex)
            .map(Some)
            .ok_or("its fragment #sha256= is not followed by 64 hexadecimal digits"),
    }
}

fn without_user(url: &str) -> String {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url[start..].find(['/', '?']).map_or(url.len(), |at| start + at);
    match url[start..end].rfind('@') {
        Some(at) => [&url[..start], &url[start + at + 1..]].concat(),
        None => url.to_owned(),
    }
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match (byte, digit(bytes.get(at + 1)), digit(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                at += 3;
            }
            _ => {
                decoded.push(*byte);
                at += 1;
            }
        }
    }
    decoded
}

/// Where a redirect from `url` leads.
///
/// # Errors
/// What is wrong with it.
pub fn redirected(url: &Url<'_>, location: &str) -> Result<String, &'static str> {
    let location = location.split('#').next().unwrap_or_default();
    let begins = |scheme: &str| {
        location
            .get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    if begins("http://") {
        return Ok(without_user(location));
    }
    let (before, after) = if url.host.contains(':') { ("[", "]") } else { ("", "") };
    let base = format!("http://{before}{}{after}:{}", url.host, url.port);
    if let Some(place) = location.strip_prefix("//") {
        return Ok(without_user(&format!("http://{place}")));
    }
    if location.starts_with('/') {
        return Ok(base + location);
    }
    let path = url.target.split('?').next().unwrap_or_default();
    // What names a scheme has its colon before any slash.
    if location.split('/').next().unwrap_or_default().contains(':') {
        return Err("it is redirected to https or another scheme, which is not followed");
    }
    let folder = path.rfind('/').map_or("/", |end| &path[..=end]);
    match location.starts_with('?') {
        true => Ok(base + path + location),
        false => Ok(base + folder + location),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let digest = "ab".repeat(32);
        let given = format!("http://me:p%40ss@host:8080/a/b.tgz?token=t#sha256={digest}");
        let location = Location::new(&given, None, None).ok().unwrap();
        assert_eq!(location.url, "http://host:8080/a/b.tgz?token=t");
        assert_eq!(location.shown(), "http://host:8080/a/b.tgz");
        assert_eq!(location.credentials, Some(Base64::encode_string(b"me:p@ss")));
        assert!(location.digest.is_some());
        let location = Location::new(&given, Some("you"), Some("x:y")).ok().unwrap();
        assert_eq!(location.credentials, Some(Base64::encode_string(b"you:x:y")));
        let location = Location::new(" http://host/a#readme ", None, None).ok().unwrap();
        assert!(location.credentials.is_none() && location.digest.is_none());
    }

    #[test]
    fn what_cannot_be_fetched_is_refused_in_clear_words() {
        for (url, said) in [
            ("https://host/a.tgz", "https is not supported yet"),
            ("HTTPS://host/a.tgz", "https is not supported yet"),
            ("git@github.com:a/b.git", "git is not spoken"),
            ("ssh://host/a", "git is not spoken"),
            ("http://host/a.git", "a git repository"),
            ("http://host/a.git/", "a git repository"),
            ("file:///etc/passwd", "not of the form"),
            ("http://", "not of the form"),
            ("host/a.tgz", "not of the form"),
            ("http://host/a b", "blank"),
            ("http://host/a\r\nX: y", "blank"),
            ("http://host/a#sha256=12", "64 hexadecimal"),
        ] {
            let refused = Location::new(url, None, None).err();
            assert!(refused.is_some_and(|why| why.contains(said)), "{url}: {refused:?}");
        }
    }

    #[test]
    fn redirects_lead_to_http_only() {
        let url = Url::parse("http://host:81/a/b?c").unwrap();
        for (location, leads) in [
            ("http://other/x", Some("http://other/x")),
            ("http://evil:pw@other/x", Some("http://other/x")),
            ("//other/x#y", Some("http://other/x")),
            ("/x", Some("http://host:81/x")),
            ("x", Some("http://host:81/a/x")),
            ("?x", Some("http://host:81/a/b?x")),
            ("https://host/x", None),
            ("ftp://host/x", None),
            ("file:///etc/passwd", None),
        ] {
            assert_eq!(redirected(&url, location).ok().as_deref(), leads, "{location}");
        }
    }
}
