//! Proxies, where the environment names one: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, as curl reads them. What is
//! at this host is never asked by way of another.

use std::io;
use std::net::IpAddr;

use hyper::Uri;
use hyper::header::HeaderValue;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::url::Url;

/// Longest answer of a proxy before it passes bytes on.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// A proxy that a request goes through.
#[derive(Clone, Debug)]
pub(super) struct Proxy(Intercept);

/// The proxy for a depot; none where it is asked directly.
pub(super) fn of(url: &Url) -> Option<Proxy> {
    by(&Matcher::from_env(), url)
}

fn by(matcher: &Matcher, url: &Url) -> Option<Proxy> {
    let is_own =
        url.host == "localhost" || url.host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback());
    if is_own {
        return None;
    }
    let scheme = if url.is_tls { "https" } else { "http" };
    let there: Uri = format!("{scheme}://{}", url.authority()).parse().ok()?;
    matcher.intercept(&there).map(Proxy)
}

impl Proxy {
    /// Connects to it.
    pub(super) async fn connect(&self) -> io::Result<TcpStream> {
        let uri = self.0.uri();
        if uri.scheme_str().is_some_and(|scheme| scheme != "http") {
            return Err(io::Error::other(format!(
                "the proxy {uri} is no http:// one; HTTPS_PROXY and HTTP_PROXY name it, and NO_PROXY what is asked without it"
            )));
        }
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let connected = TcpStream::connect((host, uri.port_u16().unwrap_or(80))).await;
        connected.map_err(|e| io::Error::new(e.kind(), format!("the proxy {uri}: {e}")))
    }

    /// What it is shown of who asks, where its address holds that.
    pub(super) fn authorization(&self) -> Option<&HeaderValue> {
        self.0.basic_auth()
    }

    /// Lets it pass on whatever is said to a host.
    pub(super) async fn tunnel(&self, stream: &mut TcpStream, host: &str, port: u16) -> io::Result<()> {
        let there = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let mut asked = format!("CONNECT {there} HTTP/1.1\r\nhost: {there}\r\n").into_bytes();
        if let Some(value) = self.authorization() {
            asked.extend([b"proxy-authorization: ", value.as_bytes(), b"\r\n"].concat());
        }
        asked.extend(b"\r\n");
        stream.write_all(&asked).await?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") && answer.len() < ANSWER_BYTES_MAX {
            answer.push(stream.read_u8().await?);
        }
        let line = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned();
        if line.starts_with("HTTP/1.") && line.split(' ').nth(1).is_some_and(|status| status.starts_with('2'))
        {
            return Ok(());
        }
        let said = super::transport::plain(&line);
        Err(io::Error::other(format!("the proxy {} does not let it through: {said:?}", self.0.uri())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_depot_is_asked_through_the_proxy_that_is_for_it() {
        let matcher = Matcher::builder()
            .http("http://in.example:3128")
            .https("http://me:secret@out.example")
            .no("10.0.0.0/8,inside.example")
            .build();
        for (url, proxy) in [
            ("https://bldr.habitat.sh", Some("out.example")),
            ("http://depot.example:9640", Some("in.example")),
            ("http://10.1.2.3:9640", None),
            ("https://a.inside.example", None),
            ("http://127.0.0.1:9640", None),
            ("http://[::1]:9640", None),
            ("http://localhost:9640", None),
        ] {
            let found = by(&matcher, &url.parse().expect(url));
            assert_eq!(found.as_ref().and_then(|proxy| proxy.0.uri().host()), proxy, "{url}");
            assert_eq!(
                found.is_some_and(|proxy| proxy.authorization().is_some()),
                proxy == Some("out.example")
            );
        }
    }
}
