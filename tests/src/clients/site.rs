//! What a file server must get right, checked against the folder it was built from.

use super::{Case, Service};
use anyhow::{Context, Result, ensure};

/// The files of the site under test; its own sources are the truth.
macro_rules! file {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../apps/site/public/", $name))
    };
}

pub const INDEX: &[u8] = file!("index.html");
const PRIMES: &[u8] = file!("data/primes.txt");

pub const CASES: &[Case] = &[
    Case {
        name: "files with their content types",
        run: types,
    },
    Case {
        name: "entity tags and 304",
        run: validators,
    },
    Case {
        name: "HEAD",
        run: head,
    },
    Case {
        name: "byte ranges",
        run: ranges,
    },
    Case {
        name: "404 page, redirect and refusals",
        run: refusals,
    },
    Case {
        name: "nothing outside the folder",
        run: traversal,
    },
];

fn types(service: &Service) -> Result<String> {
    let mut client = service.connect()?;
    let files: [(&str, &[u8], &str); 6] = [
        ("/", INDEX, "text/html; charset=utf-8"),
        ("/index.html", INDEX, "text/html; charset=utf-8"),
        ("/style.css?v=1", file!("style.css"), "text/css; charset=utf-8"),
        ("/cartridge.svg", file!("cartridge.svg"), "image/svg+xml"),
        ("/guide/", file!("guide/index.html"), "text/html; charset=utf-8"),
        ("/data/primes%2Etxt", PRIMES, "text/plain; charset=utf-8"),
    ];
    for (path, content, media) in files {
        let answer = client.get(path, "")?;
        ensure!(
            answer.status == 200 && answer.body == content,
            "{path}: {} {:?}",
            answer.status,
            answer.fields
        );
        ensure!(
            answer.need("content-type")? == media,
            "{path} is {}",
            answer.need("content-type")?
        );
    }
    Ok("6 files, byte for byte".into())
}

fn validators(service: &Service) -> Result<String> {
    let mut client = service.connect()?;
    let first = client.get("/style.css", "")?;
    let etag = first.need("etag")?;
    let again = client.get("/style.css", &format!("If-None-Match: \"other\", {etag}\r\n"))?;
    ensure!(again.status == 304 && again.need("etag")? == etag, "{again:?}");
    let changed = client.get("/style.css", "If-None-Match: \"other\"\r\n")?;
    ensure!(
        changed.status == 200 && changed.body == first.body,
        "{} to another tag",
        changed.status
    );
    if let Some(date) = first.field("last-modified") {
        let again = client.get("/style.css", &format!("If-Modified-Since: {date}\r\n"))?;
        ensure!(again.status == 304, "{} to If-Modified-Since", again.status);
    }
    Ok(format!("tag {etag}"))
}

fn head(service: &Service) -> Result<String> {
    let mut client = service.connect()?;
    client.send(b"HEAD /data/primes.txt HTTP/1.1\r\nHost: test\r\n\r\n")?;
    let head = client.head()?;
    ensure!(
        head.status == 200 && head.need("content-length")? == PRIMES.len().to_string(),
        "{head:?}"
    );
    service.exchange(&mut client).context("the request after HEAD")?;
    Ok("length without body".into())
}

fn ranges(service: &Service) -> Result<String> {
    let (mut client, size) = (service.connect()?, PRIMES.len());
    for (range, first, last) in [
        ("0-99", 0, 99),
        ("20000-40000", 20_000, 40_000),
        ("56000-", 56_000, size - 1),
        ("-500", size - 500, size - 1),
    ] {
        let part = client.get("/data/primes.txt", &format!("Range: bytes={range}\r\n"))?;
        ensure!(
            part.status == 206 && part.body == PRIMES[first..=last],
            "{range}: {} {:?}",
            part.status,
            part.fields
        );
        ensure!(
            part.need("content-range")? == format!("bytes {first}-{last}/{size}"),
            "{range}: {:?}",
            part.fields
        );
    }
    let outside = client.get("/data/primes.txt", &format!("Range: bytes={size}-\r\n"))?;
    ensure!(
        outside.status == 416 && outside.need("content-range")? == format!("bytes */{size}"),
        "{outside:?}"
    );
    let stale = client.get("/data/primes.txt", "Range: bytes=0-0\r\nIf-Range: \"old\"\r\n")?;
    ensure!(
        stale.status == 200 && stale.body == PRIMES,
        "{} to a stale If-Range",
        stale.status
    );
    Ok("4 ranges, 416, If-Range".into())
}

fn refusals(service: &Service) -> Result<String> {
    let mut client = service.connect()?;
    let missing = client.get("/nowhere", "")?;
    ensure!(
        missing.status == 404 && missing.body == file!("404.html"),
        "{missing:?}"
    );
    let moved = client.get("/guide", "")?;
    ensure!(moved.status == 301 && moved.need("location")? == "/guide/", "{moved:?}");
    client.send(b"DELETE / HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc")?;
    let refused = client.answer()?;
    ensure!(
        refused.status == 405 && refused.need("allow")? == "GET, HEAD",
        "{refused:?}"
    );
    service
        .exchange(&mut client)
        .context("the request after a refused one with a body")?;
    let long = "x".repeat(9000);
    for (request, status) in [
        ("GARBAGE\r\n\r\n".into(), 400),
        ("GET / HTTP/1.1\r\n\r\n".into(), 400),
        (format!("GET / HTTP/1.1\r\nHost: test\r\nX: {long}\r\n\r\n"), 431),
        (format!("GET /{long} HTTP/1.1\r\nHost: test\r\n\r\n"), 414),
        (
            "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 9999999\r\n\r\n".into(),
            413,
        ),
    ] {
        let mut client = service.connect()?;
        client.send(request.as_bytes())?;
        let answer = client
            .answer()
            .with_context(|| format!("the refusal of {request:.40?}"))?;
        ensure!(
            answer.status == status,
            "{} instead of {status} to {request:.40?}",
            answer.status
        );
        client.ends()?;
    }
    Ok("404, 301, 405, and 5 requests refused".into())
}

fn traversal(service: &Service) -> Result<String> {
    let mut client = service.connect()?;
    let paths = [
        "/../cartridge.toml",
        "/guide/../../cartridge.toml",
        "/%2e%2e/cartridge.toml",
        "/..%2fcartridge.toml",
        "/..%5ccartridge.toml",
        "//cartridge.toml",
        "/../run/cartridge/payload",
        "/%2e%2e/run/cartridge/log",
    ];
    for path in paths {
        let answer = client.get(path, "")?;
        ensure!(answer.status == 404, "{} for {path}", answer.status);
    }
    Ok(format!("{} ways out are closed", paths.len()))
}
