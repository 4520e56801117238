use super::*;
use crate::test_server::serve;
use cartridge_agent_core::http::client::Url;
use std::net::TcpListener;

fn get(place: &str, end: Duration) -> (Result<u16, Fault>, Vec<u8>) {
    let url = format!("http://{place}/first");
    let request = Request {
        method: "GET",
        url: Url::parse(&url).unwrap(),
        fields: &[("X-Token", ["", "t"])],
    };
    let limits = Limits {
        connect: Duration::from_secs(3),
        silence: Duration::from_secs(10),
        end: Instant::now() + end,
        body: 1000,
    };
    let mut body = Vec::new();
    let result = fetch(&request, &[place.parse().unwrap()], &limits, &mut |piece| {
        body.extend_from_slice(piece);
        true
    });
    (result, body)
}

const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn an_answer_is_fetched_and_redirects_on_the_host_are_followed() {
    let (place, server) = serve(
        "127.0.0.1",
        vec![
            b"HTTP/1.1 302 Found\r\nLocation: /second\r\nContent-Length: 0\r\n\r\n".to_vec(),
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".to_vec(),
        ],
    );
    assert_eq!(get(&place, PATIENCE), (Ok(200), b"hello".to_vec()));
    let requests = server.join().unwrap();
    assert!(requests[0].starts_with("GET /first HTTP/1.1\r\n"));
    assert!(requests[1].starts_with("GET /second HTTP/1.1\r\n") && requests[1].contains("\r\nX-Token: t\r\n"));
}

#[test]
fn a_redirect_loop_and_a_redirect_away_end() {
    let to_itself = b"HTTP/1.1 307 X\r\nLocation: /first\r\n\r\n".to_vec();
    let (place, server) = serve("127.0.0.1", vec![to_itself; REDIRECT_LIMIT + 1]);
    assert_eq!(get(&place, PATIENCE).0, Err(Fault::RedirectLoop));
    assert_eq!(server.join().unwrap().len(), REDIRECT_LIMIT + 1);
    let (place, _server) = serve(
        "127.0.0.1",
        vec![b"HTTP/1.1 302 X\r\nLocation: http://127.0.0.2/\r\n\r\n".to_vec()],
    );
    assert_eq!(get(&place, PATIENCE).0, Err(Fault::RedirectedAway));
}

#[test]
fn a_server_that_is_not_there_silent_or_gone_is_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = listener.local_addr().unwrap().to_string();
    drop(listener);
    assert_eq!(get(&nobody, PATIENCE).0, Err(Fault::Refused));
    // Connected by the system, and never heard.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = silent.local_addr().unwrap().to_string();
    assert_eq!(get(&place, Duration::from_millis(100)).0, Err(Fault::TimedOut));
    let (place, _server) = serve(
        "127.0.0.1",
        vec![b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel".to_vec()],
    );
    assert_eq!(get(&place, PATIENCE).0, Err(Fault::CutOff));
}

#[test]
fn a_host_may_have_a_name() {
    let (place, server) = serve("127.0.0.1", vec![b"HTTP/1.1 302 X\r\nLocation: /y\r\n\r\n".to_vec()]);
    let url = place.replace("127.0.0.1", "http://localhost");
    let request = Request {
        method: "GET",
        url: Url::parse(&url).unwrap(),
        fields: &[],
    };
    let limits = Limits {
        connect: Duration::from_secs(3),
        silence: Duration::from_secs(10),
        end: Instant::now() + PATIENCE,
        body: 1000,
    };
    let exchange = ask(&request, &limits, &mut |_| true).unwrap();
    assert_eq!(
        (exchange.status(), exchange.location()),
        (302, Some("/y")),
        "not followed"
    );
    assert!(server.join().unwrap()[0].contains("\r\nHost: localhost:"));
    let nobody = Request {
        url: Url::parse("http://nobody.invalid/").unwrap(),
        ..request
    };
    assert!(matches!(ask(&nobody, &limits, &mut |_| true), Err(Fault::NoName)));
}
