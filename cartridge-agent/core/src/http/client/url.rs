//! Where to ask: absolute `http` URLs (RFC 3986 section 3, RFC 9110 section 4.2.1), and redirects.

use super::Fault;

/// An `http` URL in its parts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Url<'a> {
    /// Name or address of the host, without the brackets of IPv6.
    pub host: &'a str,
    /// TCP port, 80 where none is given.
    pub port: u16,
    /// Path and query; empty stands for `/`.
    pub target: &'a str,
    /// `USER:PASSWORD` before the host, as written (percent-encoded). Never shown.
    pub user: Option<&'a str>,
}

impl<'a> Url<'a> {
    /// The parts of `http://[USER[:PASSWORD]@]HOST[:PORT][/PATH][?QUERY][#FRAGMENT]`; `None` for anything else, `https` too.
    #[inline(never)]
    pub fn parse(text: &'a str) -> Option<Self> {
        let (scheme, rest) = text.split_at_checked(7)?;
        if !scheme.eq_ignore_ascii_case("http://") {
            return None;
        }
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at_checked(end)?;
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, authority),
        };
        let (host, port) = Self::host_and_port(place)?;
        Some(Url {
            host,
            port,
            target,
            user,
        })
    }

    /// The parts of `HOST`, `HOST:PORT`, an IPv6 address, or `[ADDRESS]:PORT`.
    #[inline(never)]
    pub fn host_and_port(place: &'a str) -> Option<(&'a str, u16)> {
        let (host, port) = match place.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']')?;
                if !port.is_empty() && !port.starts_with(':') {
                    return None;
                }
                (host, port.strip_prefix(':').unwrap_or(port))
            }
            // More than one colon without brackets is an address of IPv6.
            None => match place.split_once(':') {
                Some((host, port)) if !port.contains(':') => (host, port),
                _ => (place, ""),
            },
        };
        let port = match port {
            "" => 80,
            digits => crate::parameters::decimal(digits).and_then(|port| u16::try_from(port).ok())?,
        };
        (!host.is_empty() && port != 0).then_some((host, port))
    }
}

/// True for the statuses that say where to ask instead (RFC 9110 section 15.4).
pub const fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// The target to ask for instead, when `location` is on the host of `url`.
///
/// # Errors
/// [`Fault::RedirectedAway`] for another host or port, a relative path, and any other scheme.
#[inline(never)]
pub fn redirected<'a>(location: &'a str, url: &Url<'_>) -> Result<&'a str, Fault> {
    let target = match Url::parse(location) {
        Some(new) if new.host.eq_ignore_ascii_case(url.host) && new.port == url.port => new.target,
        Some(_) => return Err(Fault::RedirectedAway),
        None => location.split('#').next().unwrap_or_default(),
    };
    // `//HOST/PATH` is another host's. An empty target is `/`, and a query alone belongs to it.
    if target.starts_with("//") || !(target.is_empty() || target.starts_with(['/', '?'])) {
        return Err(Fault::RedirectedAway);
    }
    Ok(target)
}
