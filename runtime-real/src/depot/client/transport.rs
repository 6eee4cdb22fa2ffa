//! One request, one connection, one answer: over TCP or TLS, with limits on time and on what comes. Follows a depot that points
//! elsewhere, and shows the token to no other host.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Empty, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::proxy;
use super::url::Url;
use crate::depot::Error;

/// A connection must be there within this.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The head of an answer must have come within this, where the depot was not asked to wait.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// The next piece of an answer must have come within this.
pub(super) const STALL_MAX: Duration = Duration::from_secs(30);
/// Longest answer that is kept in memory, in bytes.
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;
/// So often an answer may point elsewhere.
const REDIRECTS_MAX: usize = 5;
/// Longest complaint of a depot that is shown, in characters.
const COMPLAINT_CHARS_MAX: usize = 600;

/// The body of a request.
pub(super) type Body = BoxBody<Bytes, io::Error>;

pub(super) fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed()
}

pub(super) fn full(text: String) -> Body {
    Full::from(text).map_err(|never| match never {}).boxed()
}

/// An answer, and the task that moves its bytes.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) response: Response<Incoming>,
    connection: JoinHandle<()>,
    at: Url,
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Answer {
    pub(super) fn status(&self) -> StatusCode {
        self.response.status()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name).and_then(|value| value.to_str().ok())
    }

    /// The whole body, as text.
    pub(super) async fn text(mut self) -> Result<String, Error> {
        let body = Limited::new(self.response.body_mut(), ANSWER_BYTES_MAX);
        let collected = timeout(ANSWER_TIMEOUT, body.collect()).await;
        let broken = |reason: String| Error::Unreachable { url: self.at.to_string(), reason };
        let collected = collected.map_err(|_| broken("its answer does not end".to_owned()))?;
        let bytes = collected.map_err(|e| broken(e.to_string()))?.to_bytes();
        String::from_utf8(bytes.into())
            .map_err(|_| Error::Nonsense { url: self.at.to_string(), reason: "it is no text".to_owned() })
    }

    /// The answer, where it is what was asked for; else what the depot complains of.
    pub(super) async fn good(self) -> Result<Self, Error> {
        if self.status().is_success() {
            return Ok(self);
        }
        let (url, status) = (self.at.to_string(), self.status());
        if let Some(to) = self.header("location").filter(|_| status.is_redirection()) {
            // What changes a depot is sent to the one that was named, and to no other.
            let reason =
                format!("it points to {}: name that depot with --url, if it is the right one", plain(to));
            return Err(Error::Answer { url, status: status.as_u16(), reason });
        }
        let text = self.text().await.unwrap_or_default();
        Err(Error::Answer { url, status: status.as_u16(), reason: complaint(status, &text) })
    }
}

/// What a depot says is wrong. Builder answers `{code, msg}`, others problem details, proxies a page.
fn complaint(status: StatusCode, text: &str) -> String {
    let said = serde_json::from_str::<serde_json::Value>(text).ok().and_then(|value| {
        let of = |name: &str| value.get(name).and_then(|text| text.as_str()).map(str::to_owned);
        of("msg").or_else(|| of("detail")).or_else(|| of("message"))
    });
    let as_it_is = || {
        let is_short = text.lines().count() <= 3 && !text.contains('<');
        text.trim().is_empty().then(String::new).or_else(|| is_short.then(|| text.trim().to_owned()))
    };
    let said = said.or_else(as_it_is).filter(|said| !said.is_empty());
    let said = said.unwrap_or_else(|| match status {
        StatusCode::UNAUTHORIZED => {
            "it wants a token that it knows: give one with -z or HAB_AUTH_TOKEN".to_owned()
        }
        status => status.canonical_reason().unwrap_or("no reason is given").to_owned(),
    });
    plain(&said).chars().take(COMPLAINT_CHARS_MAX).collect()
}

/// A text that came from outside, in one line, and without what would steer a terminal or turn the direction of writing.
pub(super) fn plain(text: &str) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if steers(c) { ' ' } else { c }).collect()
}

/// What is asked.
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    /// Below the depot's prefix.
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) token: Option<&'a str>,
    /// Whether no proxy is asked.
    pub(super) is_direct: bool,
    /// The head of the answer must have come within this.
    pub(super) within: Duration,
}

/// Sends a request; one that reads and has no body follows where the answer points.
pub(super) async fn send(url: &Url, ask: &Ask<'_>, body: Body) -> Result<Answer, Error> {
    let (mut at, mut path) = (url.clone(), url.path(&ask.path));
    let mut body = Some(body);
    for _ in 0..=REDIRECTS_MAX {
        let is_home = at.authority() == url.authority() && at.is_tls == url.is_tls;
        let token = ask.token.filter(|_| is_home);
        let answer = send_once(&at, &path, ask, token, body.take().unwrap_or_else(empty)).await?;
        let to = answer.header("location").map(str::to_owned);
        match to {
            Some(to) if answer.status().is_redirection() && ask.method == Method::GET => {
                (at, path) = at.redirected(&to)?;
            }
            _ => return Ok(answer),
        }
    }
    Err(Error::Nonsense {
        url: url.to_string(),
        reason: format!("it points elsewhere more than {REDIRECTS_MAX} times"),
    })
}

async fn send_once(
    at: &Url,
    path: &str,
    ask: &Ask<'_>,
    token: Option<&str>,
    body: Body,
) -> Result<Answer, Error> {
    let unreachable = |reason: String| Error::Unreachable { url: at.to_string(), reason };
    let proxy = if ask.is_direct { None } else { proxy::of(at) };
    let mut request = Request::builder().method(&ask.method);
    match proxy.as_ref().filter(|_| !at.is_tls) {
        // A proxy for plain HTTP is told the whole address.
        Some(proxy) => {
            request = request.uri(format!("http://{}{path}", at.authority()));
            if let Some(value) = proxy.authorization() {
                request = request.header(header::PROXY_AUTHORIZATION, value);
            }
        }
        None => request = request.uri(path),
    }
    let agent = concat!("annulus/", env!("CARGO_PKG_VERSION"));
    let agent = format!("{agent} ({}; )", crate::package::host_target());
    request = request.header(header::HOST, at.authority()).header(header::USER_AGENT, agent);
    if let Some(token) = token {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim())).map_err(|_| {
            Error::BadRequest("the token holds characters that no header can carry".to_owned())
        })?;
        value.set_sensitive(true);
        request = request.header(header::AUTHORIZATION, value);
    }
    let mut request = request.body(body).map_err(|e| unreachable(e.to_string()))?;
    request.headers_mut().extend(ask.headers.clone());
    let connecting = async {
        let mut stream = match &proxy {
            Some(proxy) => proxy.connect().await?,
            None => TcpStream::connect((at.host.as_str(), at.port)).await?,
        };
        stream.set_nodelay(true)?;
        if let (Some(proxy), true) = (&proxy, at.is_tls) {
            proxy.tunnel(&mut stream, &at.host, at.port).await?;
        }
        let wire: Box<dyn Wire> = if at.is_tls { greet(stream, &at.host).await? } else { Box::new(stream) };
        io::Result::Ok(wire)
    };
    let connected = timeout(CONNECT_TIMEOUT, connecting).await;
    let connected = connected
        .map_err(|_| unreachable(format!("no connection within {} s", CONNECT_TIMEOUT.as_secs())))?;
    let stream = connected.map_err(|e| unreachable(e.to_string()))?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|e| unreachable(said(&e)))?;
    let connection = tokio::spawn(async move {
        // A connection that breaks shows as the end of the answer.
        let _ = connection.await;
    });
    match timeout(ask.within, sender.send_request(request)).await {
        Ok(Ok(response)) => Ok(Answer { response, connection, at: at.clone() }),
        Ok(Err(error)) => {
            connection.abort();
            Err(Error::Cut { url: at.to_string(), reason: said(&error) })
        }
        Err(_) => {
            connection.abort();
            Err(unreachable(format!("no answer within {} s", ask.within.as_secs())))
        }
    }
}

/// What went wrong, with what lies below it.
fn said(error: &hyper::Error) -> String {
    if error.is_parse() {
        return "what answers there speaks no HTTP; if it is TLS, write https://".to_owned();
    }
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Wire for S {}

/// Does the handshake of TLS; whom to trust, the host's own certificates say, or `SSL_CERT_FILE`.
async fn greet(stream: TcpStream, host: &str) -> io::Result<Box<dyn Wire>> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err(io::Error::other(
            "this host has no certificates of authorities to check it with: install ca-certificates, or name a file in SSL_CERT_FILE",
        ));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().map_err(io::Error::other)?;
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| io::Error::other(format!("{host:?} is no name of a server")))?;
    let greeted = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    Ok(Box::new(greeted.map_err(without_tls)?))
}

/// What keeps TLS from being spoken, with what can be done.
fn without_tls(error: io::Error) -> io::Error {
    let advice = match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(rustls::Error::InvalidMessage(_)) => {
            "what answers there speaks no TLS; if it is plain HTTP, write http://"
        }
        Some(rustls::Error::InvalidCertificate(_)) => {
            "if it is signed by an authority of your own, name a file with that one's certificate in SSL_CERT_FILE"
        }
        _ => return error,
    };
    io::Error::other(format!("{error}; {advice}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_steers_no_terminal() {
        let said =
            complaint(StatusCode::FORBIDDEN, r#"{"msg":"no\r\nannulus: all is well\u001b[31m\u202e"}"#);
        assert_eq!(said, "no  annulus: all is well [31m ");
        assert_eq!(complaint(StatusCode::BAD_GATEWAY, "<html>x</html>"), "Bad Gateway");
    }
}
