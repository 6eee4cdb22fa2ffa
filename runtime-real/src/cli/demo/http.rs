//! A small HTTP client for the demonstration's own supervisors.
//! It sends `GET` requests, and knows neither TLS nor redirects.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// An answer whose body is read piece by piece, and the task that moves its bytes.
pub(super) struct Streaming {
    pub(super) response: Response<Incoming>,
    connection: JoinHandle<()>,
}

impl Drop for Streaming {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// Sends a `GET` and returns as soon as the head of the answer has come.
pub(super) async fn open(
    addr: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<Streaming, String> {
    let opening = async {
        let stream = TcpStream::connect(addr).await.map_err(|e| e.to_string())?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
        let connection = tokio::spawn(async move {
            // A broken connection shows as the end of the answer's body.
            let _ = connection.await;
        });
        let mut request = Request::get(path).header("host", addr.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(|e| e.to_string())?;
        let response = sender.send_request(request).await.map_err(|e| e.to_string())?;
        Ok(Streaming { response, connection })
    };
    timeout(ANSWER_TIMEOUT, opening).await.unwrap_or_else(|_| Err("no answer within 2 seconds".to_owned()))
}

/// The body of a successful answer.
pub(super) async fn get(addr: SocketAddr, path: &str) -> Result<Bytes, String> {
    let mut answer = open(addr, path, &[]).await?;
    let status = answer.response.status();
    if !status.is_success() {
        return Err(format!("http://{addr}{path} answers {status}"));
    }
    let body = timeout(ANSWER_TIMEOUT, answer.response.body_mut().collect()).await;
    let body = body.map_err(|_| "no answer within 2 seconds".to_owned())?.map_err(|e| e.to_string())?;
    Ok(body.to_bytes())
}
