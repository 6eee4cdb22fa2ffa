//! The client's end of the ctl gateway: one connection, one request, its replies. Decides nothing about what an
//! operator wants, and never asks twice.

use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

use prost::Message;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::frame::{Frame, FrameError, Txn};
use super::message::{ConsoleLine, CtlMessage, ErrCode, Handshake, NetErr, NetOk};
use super::sealed::Sealed;
use crate::gateway::tls::{self, ClientFiles, Names};
use crate::host::socket;
use crate::keys::RingKey;
use crate::launcher::identity;

/// Longest wait for a connection or for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// The port of a ctl gateway when an address names none.
pub const CTL_PORT: u16 = 9632;

/// Why a request was not carried out.
#[derive(Debug, Error)]
pub enum ClientError {
    /// No program listens at the address.
    #[error(
        "no supervisor answers at {addr}; start one with `annulus sup run`, or name another with --remote-sup"
    )]
    NotRunning {
        /// The address.
        addr: String,
    },
    /// The connection could not be made or broke off.
    #[error(
        "talking to the supervisor at {addr}: {source}; is that address its ctl gateway, and does it run?"
    )]
    Io {
        /// The address.
        addr: String,
        /// The error of the connection.
        source: io::Error,
    },
    /// No answer in time.
    #[error("the supervisor at {addr} did not answer within 10 seconds; is that address its ctl gateway?")]
    Timeout {
        /// The address.
        addr: String,
    },
    /// The supervisor of this host does not answer in time.
    #[error("the supervisor at {addr} did not answer within 10 seconds: {why}")]
    Silent {
        /// Its socket.
        addr: String,
        /// Why that may be, and how to look.
        why: String,
    },
    /// The secret is not the supervisor's.
    #[error(
        "the supervisor at {addr} refuses the ctl secret; give its own in HAB_CTL_SECRET \
         (the content of <root>/sup/<name>/CTL_SECRET on its host)"
    )]
    Unauthorized {
        /// The address.
        addr: String,
        /// The refusal, in its words.
        reason: String,
    },
    /// This user may not use the supervisor's socket.
    #[error(
        "ctl socket {addr}: {reason}; run this as the user that runs the supervisor or as root, or give its ctl secret in \
         HAB_CTL_SECRET"
    )]
    NotPermitted {
        /// The socket.
        addr: String,
        /// The refusal, in words.
        reason: String,
    },
    /// One end does not accept the other's certificate, or does not speak TLS.
    #[error("TLS with the supervisor at {addr}: {reason}")]
    Tls {
        /// The address.
        addr: String,
        /// The reason, and what to do.
        reason: String,
    },
    /// One end does not hear the other because of the key of the ring.
    #[error("the supervisor at {addr} {reason}")]
    Ring {
        /// The address.
        addr: String,
        /// The reason, and what to do.
        reason: String,
    },
    /// The other end answered with something else than ctl frames.
    #[error("the program that answers at {addr} is not a supervisor's ctl gateway: {reason}")]
    Protocol {
        /// The address.
        addr: String,
        /// The violation, in words.
        reason: String,
    },
    /// The supervisor refused the request.
    #[error("{}", .0.msg)]
    Refused(NetErr),
}

impl ClientError {
    /// Whether the supervisor said that the thing named in the request does not exist: a service that is not loaded, a
    /// package that is not installed, an unknown member.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused(err) if err.code == i32::from(ErrCode::NotFound))
    }

    /// Whether the supervisor could make no sense of what the request says.
    #[must_use]
    pub fn is_invalid(&self) -> bool {
        matches!(self, Self::Refused(err) if err.code == i32::from(ErrCode::InvalidPayload))
    }

    /// Whether the supervisor said that the service is stopped, but that its disk has not taken that.
    #[must_use]
    pub fn is_not_stored(&self) -> bool {
        matches!(self, Self::Refused(err) if err.stopped == Some(true))
    }
}

/// How a client speaks TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTls {
    /// Its files.
    pub files: ClientFiles,
    /// The name that the server's certificate has, where it is not that of the address.
    pub name: Option<String>,
}

/// A connection of any kind.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// An authorized connection.
pub struct Client<S = Box<dyn Stream>> {
    addr: String,
    stream: S,
    /// The supervisor's process, where it is on this host.
    process: Option<u32>,
}

impl<S> fmt::Debug for Client<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl Client {
    /// Connects to `addr` (`host:port`), over TLS with the files for it, sealed with the key of the ring where one is given, and
    /// shows the secret.
    ///
    /// # Errors
    /// No program listens, the secret is wrong, or the listener is not a ctl gateway, or not the one that was meant.
    pub async fn connect(
        addr: &str,
        secret: &str,
        tls: Option<&ClientTls>,
        ring: Option<&RingKey>,
    ) -> Result<Self, ClientError> {
        let stream = connected(addr, TcpStream::connect(addr)).await?;
        let Some(ClientTls { files, name }) = tls else {
            return match Self::sealed(stream, addr, secret, ring).await {
                Err(ClientError::Protocol { addr, reason }) => Err(ClientError::Protocol {
                    addr,
                    reason: format!(
                        "{reason}; if it speaks TLS, name the authority of its certificate with --ctl-server-ca-certificate"
                    ),
                }),
                result => result,
            };
        };
        let names = Names { addr: addr.to_owned(), name: name.clone() };
        let greeted = timeout(ANSWER_TIMEOUT, files.greet(stream, &names)).await;
        let greeted = greeted.map_err(|_| ClientError::Timeout { addr: addr.to_owned() })?;
        let stream = greeted.map_err(|source| match tls::explain(&source) {
            Some(reason) => ClientError::Tls { addr: addr.to_owned(), reason },
            None => {
                ClientError::Tls { addr: addr.to_owned(), reason: format!("{source}; does it speak TLS?") }
            }
        })?;
        Self::sealed(stream, addr, secret, ring).await
    }

    /// Seals the connection where there is a key of the ring, and shows the secret.
    async fn sealed(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        addr: &str,
        secret: &str,
        ring: Option<&RingKey>,
    ) -> Result<Self, ClientError> {
        let Some(ring) = ring else { return Self::over(Box::new(stream), addr, secret).await };
        let closed = || ClientError::Ring {
            addr: addr.to_owned(),
            reason: format!(
                "does not go on with the key {}: its ring has another key, or none. `annulus sup members` there says what it \
                 rejected",
                ring.id()
            ),
        };
        let greeted = timeout(ANSWER_TIMEOUT, Sealed::client(stream, ring.key())).await;
        let greeted = greeted.map_err(|_| ClientError::Timeout { addr: addr.to_owned() })?;
        let (near, carry) = greeted.map_err(|_| closed())?.open();
        // It ends with the connection.
        tokio::spawn(carry);
        match Self::over(Box::new(near), addr, secret).await {
            // A supervisor that has the key answers sealed, also when it refuses.
            Err(ClientError::Io { .. }) => Err(closed()),
            result => result,
        }
    }

    /// Connects to the socket of a supervisor on this host, which asks for no secret.
    ///
    /// # Errors
    /// No supervisor listens, or not for this user.
    pub async fn connect_local(path: &Path) -> Result<Self, ClientError> {
        let addr = path.display().to_string();
        let io = |source| ClientError::Io { addr: addr.clone(), source };
        match socket::kind(path) {
            Ok(None) => {}
            Ok(Some(kind)) => {
                return Err(ClientError::Protocol { addr: addr.clone(), reason: format!("it is {kind}") });
            }
            // A directory that this user may not enter is closed as the socket is.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(ClientError::NotPermitted { addr: addr.clone(), reason: error.to_string() });
            }
            Err(error) => return Err(io(error)),
        }
        let (short, _dir) = socket::socket_path(path).map_err(io)?;
        let stream = connected(&addr, UnixStream::connect(short)).await?;
        // The process that listens, as the kernel knows it.
        let process = stream.peer_cred().ok().and_then(|peer| u32::try_from(peer.pid()?).ok());
        let client = Self { addr, stream: Box::new(stream), process };
        match client.greet("").await {
            Err(ClientError::Unauthorized { addr, reason }) => {
                Err(ClientError::NotPermitted { addr, reason })
            }
            result => result,
        }
    }
}

async fn connected<S>(addr: &str, connecting: impl Future<Output = io::Result<S>>) -> Result<S, ClientError> {
    let addr = addr.to_owned();
    match timeout(ANSWER_TIMEOUT, connecting).await {
        Err(_) => Err(ClientError::Timeout { addr }),
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Err(ClientError::NotRunning { addr })
        }
        Ok(Err(error)) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(ClientError::NotPermitted { addr, reason: error.to_string() })
        }
        Ok(Err(source)) => Err(ClientError::Io { addr, source }),
        Ok(Ok(stream)) => Ok(stream),
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// Shows the secret on a connection that was made to `addr`.
    ///
    /// # Errors
    /// The secret is wrong, or the other end is not a ctl gateway.
    pub async fn over(stream: S, addr: &str, secret: &str) -> Result<Self, ClientError> {
        Self { addr: addr.to_owned(), stream, process: None }.greet(secret).await
    }

    async fn greet(mut self, secret: &str) -> Result<Self, ClientError> {
        self.send(1, &Handshake { secret_key: Some(secret.to_owned()) }).await?;
        match self.receive().await?.into_message::<NetOk>() {
            Ok(_) => Ok(self),
            Err(Unexpected::Err(err)) if err.code == i32::from(ErrCode::Unauthorized) => {
                Err(ClientError::Unauthorized { addr: self.addr, reason: err.msg })
            }
            Err(Unexpected::Err(err)) if err.code == i32::from(ErrCode::NotSupported) => {
                Err(ClientError::Ring { addr: self.addr, reason: format!("refuses: {}", err.msg) })
            }
            Err(other) => Err(self.unexpected(other)),
        }
    }

    fn late(&self) -> ClientError {
        let addr = self.addr.clone();
        match self.process {
            Some(process) => ClientError::Silent { addr, why: identity::why_silent(process) },
            None => ClientError::Timeout { addr },
        }
    }

    /// The supervisor's ctl address.
    #[must_use]
    pub fn addr(&self) -> &str {
        &self.addr
    }

    /// Sends a request, and gives `on_line` each line that is meant for the operator's terminal,
    /// until the request is done.
    ///
    /// # Errors
    /// The supervisor refused, or the connection failed.
    pub async fn request(
        mut self,
        request: &impl CtlMessage,
        on_line: impl FnMut(&str),
    ) -> Result<(), ClientError> {
        self.send(2, request).await?;
        self.collect::<NetOk>(on_line).await.map(drop)
    }

    /// Sends a request that is answered by any number of `T`.
    ///
    /// # Errors
    /// The supervisor refused, or the connection failed.
    pub async fn query<T: CtlMessage>(mut self, request: &impl CtlMessage) -> Result<Vec<T>, ClientError> {
        self.send(2, request).await?;
        self.collect::<T>(|_| {}).await
    }

    async fn collect<T: CtlMessage>(&mut self, mut on_line: impl FnMut(&str)) -> Result<Vec<T>, ClientError> {
        let mut messages = Vec::new();
        loop {
            let frame = self.receive().await?;
            let last = frame.complete();
            if frame.0.id == ConsoleLine::ID {
                on_line(&frame.into_message::<ConsoleLine>().map_err(|e| self.unexpected(e))?.line);
            } else if frame.0.id == T::ID {
                messages.push(frame.into_message::<T>().map_err(|e| self.unexpected(e))?);
            } else {
                // An empty list is answered by `NetOk`.
                frame.into_message::<NetOk>().map_err(|e| self.unexpected(e))?;
            }
            if last {
                return Ok(messages);
            }
        }
    }

    async fn send<T: CtlMessage>(&mut self, id: u32, message: &T) -> Result<(), ClientError> {
        let txn = Txn { id, response: false, complete: true };
        let frame = Frame { txn: Some(txn), id: T::ID.to_owned(), body: message.encode_to_vec() };
        let sent = timeout(ANSWER_TIMEOUT, frame.write(&mut self.stream)).await;
        sent.map_err(|_| self.late())?.map_err(|e| self.broken(e))
    }

    async fn receive(&mut self) -> Result<Answer, ClientError> {
        let received = timeout(ANSWER_TIMEOUT, Frame::read(&mut self.stream)).await;
        match received.map_err(|_| self.late())? {
            Ok(Some(frame)) => Ok(Answer(frame)),
            Ok(None) => Err(self.broken(FrameError::Io(io::ErrorKind::UnexpectedEof.into()))),
            Err(error) => Err(self.broken(error)),
        }
    }

    fn broken(&self, error: FrameError) -> ClientError {
        let addr = self.addr.clone();
        match error {
            FrameError::Io(source) => match tls::explain(&source) {
                Some(reason) => ClientError::Tls { addr, reason },
                None => ClientError::Io { addr, source },
            },
            other => ClientError::Protocol { addr, reason: other.to_string() },
        }
    }

    fn unexpected(&self, unexpected: Unexpected) -> ClientError {
        match unexpected {
            Unexpected::Err(err) => ClientError::Refused(err),
            Unexpected::Other(reason) => ClientError::Protocol { addr: self.addr.clone(), reason },
        }
    }
}

struct Answer(Frame);

enum Unexpected {
    Err(NetErr),
    Other(String),
}

impl Answer {
    fn complete(&self) -> bool {
        self.0.txn.is_none_or(|txn| txn.complete)
    }

    fn into_message<T: CtlMessage>(self) -> Result<T, Unexpected> {
        if self.0.id == NetErr::ID {
            return Err(match NetErr::decode(&self.0.body[..]) {
                Ok(err) => Unexpected::Err(err),
                Err(_) => Unexpected::Other("its NetErr does not decode".to_owned()),
            });
        }
        if self.0.id != T::ID {
            return Err(Unexpected::Other(format!("it answered {} where {} was due", self.0.id, T::ID)));
        }
        T::decode(&self.0.body[..]).map_err(|_| Unexpected::Other(format!("its {} does not decode", T::ID)))
    }
}
