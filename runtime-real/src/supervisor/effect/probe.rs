//! Asks a service without a hook as its plan says: a URL, a port, a socket. Sends only `GET` requests, and reads a
//! bounded part of an answer.

use std::time::Duration;

use annulus_core::Health;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::package::{Inflight, Probe};

/// An answer's body beyond this is not read.
const BODY_BYTES_MAX: usize = 8 * 1024;

/// The answer of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answered {
    pub(super) health: Health,
    /// For people, in one line.
    pub(super) note: String,
    /// The body of the answer.
    pub(super) body: String,
}

/// Asks a service for its health. A service that does not answer in time is critical.
pub(super) async fn health(probe: &Probe, limit: Duration) -> Answered {
    let asked = match probe {
        Probe::Http(url) => timeout(limit, http(url)).await.map(|answer| answer.map(of_http)),
        Probe::Tcp(address) => timeout(limit, TcpStream::connect(address.trim())).await.map(|connected| {
            let connected = connected.map_err(|e| e.to_string());
            connected.map(|_| (Health::Ok, format!("{} accepts connections", address.trim()), String::new()))
        }),
        Probe::Unix(path) => timeout(limit, UnixStream::connect(path.trim())).await.map(|connected| {
            let connected = connected.map_err(|e| e.to_string());
            connected.map(|_| (Health::Ok, format!("{} accepts connections", path.trim()), String::new()))
        }),
    };
    let what = match probe {
        Probe::Http(what) | Probe::Tcp(what) | Probe::Unix(what) => what.trim(),
    };
    match asked {
        Ok(Ok((health, note, body))) => Answered { health, note, body },
        Ok(Err(reason)) => {
            Answered { health: Health::Critical, note: format!("{what}: {reason}"), body: String::new() }
        }
        Err(_) => {
            let note = format!("{what}: no answer within {} ms", limit.as_millis());
            Answered { health: Health::Critical, note, body: String::new() }
        }
    }
}

fn of_http((status, body): (StatusCode, String)) -> (Health, String, String) {
    let health = match status {
        StatusCode::TOO_MANY_REQUESTS => Health::Warning,
        status if status.is_success() || status.is_redirection() => Health::Ok,
        _ => Health::Critical,
    };
    (health, format!("answers {status}"), body)
}

/// Asks how much work a service has in flight.
///
/// # Errors
/// Says why it cannot be told.
pub(super) async fn inflight(source: &Inflight, limit: Duration) -> Result<u64, String> {
    let counting = async {
        match source {
            Inflight::Http(url) => {
                let (status, body) = http(url).await.map_err(|reason| format!("{}: {reason}", url.trim()))?;
                let number = body.trim().parse().ok().filter(|_| status.is_success());
                number.ok_or_else(|| format!("{}: answers {status} and not with a number", url.trim()))
            }
            Inflight::Connections(port) => {
                let port: u16 =
                    port.trim().parse().map_err(|_| format!("{:?} is not a port", port.trim()))?;
                let counted = tokio::task::spawn_blocking(move || connections(port)).await;
                counted.map_err(|e| e.to_string())?
            }
        }
    };
    timeout(limit, counting)
        .await
        .unwrap_or_else(|_| Err(format!("no answer within {} ms", limit.as_millis())))
}

/// The answer to a `GET` request.
async fn http(url: &str) -> Result<(StatusCode, String), String> {
    let uri: Uri = url.trim().parse().map_err(|e| format!("is not a URL: {e}"))?;
    if uri.scheme_str() != Some("http") {
        return Err("only http:// can be asked; ask anything else with a health-check hook".to_owned());
    }
    let authority = uri.authority().ok_or("the URL names no host")?.clone();
    let stream =
        TcpStream::connect((authority.host().trim_matches(['[', ']']), authority.port_u16().unwrap_or(80)));
    let stream = stream.await.map_err(|e| e.to_string())?;
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|e| e.to_string())?;
    // Moves the connection's bytes and ends with this function. A broken connection shows in the answer.
    let mut moving = tokio::task::JoinSet::new();
    moving.spawn(connection);
    let path = uri.path_and_query().map_or("/", hyper::http::uri::PathAndQuery::as_str);
    let request = Request::get(path)
        .header("host", authority.as_str())
        .header("user-agent", concat!("annulus/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new())
        .map_err(|e| e.to_string())?;
    let response = sender.send_request(request).await.map_err(|e| e.to_string())?;
    let status = response.status();
    // A longer body says no more about the service than its status does.
    let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await;
    let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

/// Open connections to a local port, over IPv4 and IPv6.
fn connections(port: u16) -> Result<u64, String> {
    let mut count = 0;
    let mut readable = false;
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        if let Ok(text) = std::fs::read_to_string(table) {
            readable = true;
            count += count_connections(&text, port);
        }
    }
    if readable { Ok(count) } else { Err("this system does not list its connections".to_owned()) }
}

/// Counts the lines of `/proc/net/tcp` with this local port and a state in which the service may still owe an answer:
/// established (01), being accepted (03), or closed by the other side only (08).
fn count_connections(table: &str, port: u16) -> u64 {
    let wanted = format!(":{port:04X}");
    let is_open = |line: &&str| {
        let mut words = line.split_whitespace().skip(1);
        let local = words.next().is_some_and(|local| local.ends_with(&wanted));
        local && words.nth(1).is_some_and(|state| matches!(state, "01" | "03" | "08"))
    };
    table.lines().skip(1).filter(is_open).count() as u64
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, UnixListener};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    /// A server that sends these bytes on each connection; returns its address.
    async fn server(answer: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = listener.local_addr().expect("an address").to_string();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer).await;
            }
        });
        at
    }

    /// An address where no program listens: the port was free a moment ago.
    async fn unused_address() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        listener.local_addr().expect("an address").to_string()
    }

    #[tokio::test]
    async fn the_status_of_an_answer_is_the_health() {
        for (answer, expected) in [
            (&b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfine\n"[..], Health::Ok),
            (b"HTTP/1.1 204 No Content\r\n\r\n", Health::Ok),
            (b"HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n", Health::Ok),
            (b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n", Health::Warning),
            (b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", Health::Critical),
            (b"HTTP/1.0 503 Service Unavailable\r\n\r\nsorry", Health::Critical),
            (b"SSH-2.0-OpenSSH\r\n", Health::Critical),
            (b"", Health::Critical),
        ] {
            let at = server(answer).await;
            let answered = health(&Probe::Http(format!("http://{at}/health?full=1\n")), LIMIT).await;
            assert_eq!(answered.health, expected, "{} {}", String::from_utf8_lossy(answer), answered.note);
        }
        let at = server(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfine\n").await;
        let answered = health(&Probe::Http(format!("http://{at}")), LIMIT).await;
        assert_eq!((answered.note.as_str(), answered.body.as_str()), ("answers 200 OK", "fine\n"));
    }

    #[tokio::test]
    async fn who_does_not_answer_does_not_work() {
        let gone = unused_address().await;
        for probe in [
            Probe::Http(format!("http://{gone}/")),
            Probe::Http("https://127.0.0.1/".to_owned()),
            Probe::Http("what?".to_owned()),
            Probe::Tcp(gone),
            Probe::Tcp("no port".to_owned()),
            Probe::Unix("/no/such/socket".to_owned()),
        ] {
            let answered = health(&probe, LIMIT).await;
            assert_eq!(answered.health, Health::Critical, "{probe:?}");
            assert!(
                !answered.note.is_empty() && !answered.note.contains('\n'),
                "{probe:?}: {}",
                answered.note
            );
        }
        // A server that accepts and sends nothing.
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = listener.local_addr().expect("an address");
        let answered = health(&Probe::Http(format!("http://{at}/")), Duration::from_millis(200)).await;
        assert!(answered.note.contains("within 200 ms"), "{}", answered.note);
    }

    #[tokio::test]
    async fn a_port_and_a_socket_that_accept_are_healthy() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = listener.local_addr().expect("an address");
        assert_eq!(health(&Probe::Tcp(format!(" {at}\n")), LIMIT).await.health, Health::Ok);
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("s");
        let _listener = UnixListener::bind(&path).expect("a socket");
        assert_eq!(health(&Probe::Unix(path.display().to_string()), LIMIT).await.health, Health::Ok);
    }

    #[tokio::test]
    async fn what_is_in_flight_is_a_number_or_not_known() {
        for (answer, expected) in [
            (&b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n 12\n"[..], Ok(12)),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nmany", Err("not with a number")),
            (b"HTTP/1.1 500 Oops\r\ncontent-length: 1\r\n\r\n3", Err("500")),
        ] {
            let at = server(answer).await;
            let counted = inflight(&Inflight::Http(format!("http://{at}/inflight")), LIMIT).await;
            match (counted, expected) {
                (Ok(counted), Ok(expected)) => assert_eq!(counted, expected),
                (Err(reason), Err(part)) => assert!(reason.contains(part), "{reason}"),
                other => panic!("{other:?}"),
            }
        }
        assert!(inflight(&Inflight::Connections("http".to_owned()), LIMIT).await.is_err());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn connections_are_counted_on_the_side_of_the_service() {
        for bind in ["127.0.0.1:0", "[::1]:0"] {
            // A host may lack IPv6.
            let Ok(listener) = TcpListener::bind(bind).await else { continue };
            let at = listener.local_addr().expect("an address");
            let count = || async { inflight(&Inflight::Connections(at.port().to_string()), LIMIT).await };
            assert_eq!(count().await, Ok(0), "listening is not serving");
            let first = TcpStream::connect(at).await.expect("connected");
            let _second = TcpStream::connect(at).await.expect("connected");
            let (served, _) = listener.accept().await.expect("accepted");
            assert_eq!(count().await, Ok(2));
            drop((first, served));
            for _ in 0..2_000 {
                if count().await == Ok(1) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            assert_eq!(count().await, Ok(1));
        }
    }

    #[test]
    fn only_the_own_port_and_open_states_count() {
        let table = "  sl  local_address rem_address   st\n\
                       0: 0100007F:1F90 00000000:0000 0A 0\n\
                       1: 0100007F:1F90 0100007F:D431 01 0\n\
                       2: 0100007F:D431 0100007F:1F90 01 0\n\
                       3: 0100007F:1F90 0100007F:D432 08 0\n\
                       4: 0100007F:1F90 0100007F:D433 06 0\n\
                       5: 00000000000000000000000001000000:1F90 00000000000000000000000001000000:D434 01 0\n";
        assert_eq!(count_connections(table, 8080), 3);
        assert_eq!(count_connections(table, 80), 0);
        assert_eq!(count_connections("", 80), 0);
    }
}
