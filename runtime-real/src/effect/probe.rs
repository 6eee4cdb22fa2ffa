//! What a plan lets the supervisor ask its service without a hook: a URL, a port, a socket.

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

/// What a service answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answered {
    pub(super) health: Health,
    /// For people, in one line.
    pub(super) note: String,
    /// What it said.
    pub(super) body: String,
}

/// Asks a service how it is. What has no answer in time does not work.
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

/// How much a service has in flight.
///
/// # Errors
/// Nobody can say, and why.
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

/// The answer to a `GET`.
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
    // Moves the bytes; ends with this function. The answer itself tells of a broken connection.
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

/// Lines of `/proc/net/tcp` whose local port this is and whose state is one in which the service may still owe an
/// answer: established (01), being accepted (03), or closed by the other side only (08).
fn count_connections(table: &str, port: u16) -> u64 {
    let wanted = format!(":{port:04X}");
    let is_open = |line: &&str| {
        let mut words = line.split_whitespace().skip(1);
        let local = words.next().is_some_and(|local| local.ends_with(&wanted));
        local && words.nth(1).is_some_and(|state| matches!(state, "01" | "03" | "08"))
    };
    table.lines().skip(1).filter(is_open).count() as u64
}
