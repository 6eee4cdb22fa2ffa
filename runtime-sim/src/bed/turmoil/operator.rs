//! A host beside the ring from which an operator asks supervisors over HTTP and ctl.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use annulus::gateway::ctl::client::{Client, ClientError};
use annulus::gateway::ctl::message::SupDepart;
use annulus::net::Transport as _;
use annulus_core::MemberId;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::ring::ip;
use super::transport::SimTransport;
use super::{CTL_PORT, CTL_SECRET, HTTP_PORT};

/// No operator waits longer for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A request of the operator.
pub(super) type Job = Box<dyn FnOnce(SimTransport) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// Does jobs, all at the same time, for ever.
pub(super) async fn run(net: SimTransport, mut jobs: mpsc::UnboundedReceiver<Job>) -> turmoil::Result {
    while let Some(job) = jobs.recv().await {
        tokio::spawn(job(net.clone()));
    }
    Ok(())
}

/// An answer of an HTTP gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// Asks a supervisor's HTTP gateway.
pub(super) async fn get(net: SimTransport, host: u32, path: String) -> Result<Answer, String> {
    let asking = async {
        let at = SocketAddr::new(ip(host), HTTP_PORT);
        let mut stream = net.connect(at).await.map_err(|e| e.to_string())?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: {at}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.map_err(|e| e.to_string())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.map_err(|e| e.to_string())?;
        parse(&answer).ok_or_else(|| format!("no answer of HTTP: {answer:?}"))
    };
    timeout(ANSWER_TIMEOUT, asking).await.unwrap_or_else(|_| Err(String::from("no answer in time")))
}

fn parse(answer: &str) -> Option<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some(Answer { status, body: body.to_owned() })
}

/// Bans a member at a supervisor's ctl gateway, as `annulus sup depart` does.
pub(super) async fn depart(net: SimTransport, at: u32, member: MemberId) -> Result<(), ClientError> {
    let at = SocketAddr::new(ip(at), CTL_PORT);
    let addr = at.to_string();
    let connecting = timeout(ANSWER_TIMEOUT, net.connect(at)).await;
    let stream = connecting
        .map_err(|_| ClientError::Timeout { addr: addr.clone() })?
        .map_err(|source| ClientError::Io { addr: addr.clone(), source })?;
    let request = SupDepart { member_id: Some(member.to_string()) };
    Client::over(stream, &addr, CTL_SECRET).await?.request(&request, |_| {}).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_and_noise_is_not() {
        let answer = parse("HTTP/1.1 503 Service Unavailable\r\na: b\r\n\r\nbody\r\n\r\n");
        assert_eq!(answer, Some(Answer { status: 503, body: String::from("body\r\n\r\n") }));
        for noise in ["", "\r\n\r\n", "HTTP/1.1 ab\r\n\r\n", "SSH-2.0\r\n\r\n", "HTTP/1.1 200 OK\r\n"] {
            assert_eq!(parse(noise), None);
        }
    }
}
