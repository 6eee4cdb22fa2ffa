//! How clients come into a gateway: it accepts, finds a place, does the handshake of TLS, and hands over. All gateways do it
//! here. Knows nothing of requests.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

use super::door::{Door, Guest, Limits, Party};
use super::tls::{Tls, Wire};
use crate::host::socket_owner::{self, Owner};
use crate::net::Listener;

/// After a failure to accept, most likely for want of descriptors; to accept again at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A program at another host or at this one.
    Host {
        /// Its address.
        from: SocketAddr,
        /// The address that it reached, where that is known.
        to: Option<SocketAddr>,
        /// Its user, where it is at this host.
        owner: Owner,
    },
    /// A process of this host, as the kernel knows it.
    Process {
        /// Its user.
        uid: u32,
        /// Its id, where the kernel tells.
        pid: Option<i32>,
    },
}

impl Peer {
    /// Who came from there to this address. The kernel is asked now, before the client has said a word: later its end
    /// might be another's.
    fn at(from: SocketAddr, to: Option<SocketAddr>) -> Self {
        let owner = match to {
            Some(to) if from.ip().to_canonical().is_loopback() => socket_owner::of(from, to),
            _ => Owner::Unknown,
        };
        Self::Host { from, to, owner }
    }

    fn party(self) -> Party {
        match self {
            Self::Host { owner: Owner::User(uid), .. } | Self::Process { uid, .. } => Party::of_user(uid),
            Self::Host { from, .. } => Party::of_host(from.ip()),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host { from, .. } => from.fmt(f),
            Self::Process { uid, pid: Some(pid) } => write!(f, "process {pid} of user {uid}"),
            Self::Process { uid, pid: None } => write!(f, "a process of user {uid}"),
        }
    }
}

/// Where clients come from.
pub trait Arrivals: Send + Sync + 'static {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// The next client. Dropping the future loses none.
    fn next(&self) -> impl Future<Output = io::Result<(Self::Stream, Peer)>> + Send;
}

impl<L: Listener> Arrivals for L {
    type Stream = L::Stream;

    async fn next(&self) -> io::Result<(L::Stream, Peer)> {
        let (stream, from) = self.accept().await?;
        let to = L::reached(&stream);
        Ok((stream, Peer::at(from, to)))
    }
}

/// A client that has come in.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) peer: Peer,
    /// Its place, until this is dropped.
    pub(super) guest: Arc<Guest>,
    /// Whether it has shown a certificate that counts here.
    pub(super) is_certified: bool,
}

/// Lets clients in until the returned future is dropped, which ends those that are inside.
pub(super) async fn serve<A: Arrivals, F>(
    arrivals: A,
    (gateway, limits): (&'static str, Limits),
    tls: Option<Tls>,
    serve_client: impl Fn(Wire<A::Stream>, Client) -> F + Clone + Send + 'static,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let door = Door::new(limits);
    let mut clients = JoinSet::new();
    loop {
        while clients.try_join_next().is_some() {}
        match arrivals.next().await {
            Ok((stream, peer)) => {
                let Some(guest) = door.enter(peer.party()).await.map(Arc::new) else {
                    tracing::debug!(%peer, "{gateway} client turned away: it has all places that it may have");
                    continue;
                };
                let (serve_client, tls) = (serve_client.clone(), tls.clone());
                clients.spawn(async move {
                    let place = Arc::clone(&guest);
                    let served = async move {
                        match greet(stream, tls.as_ref()).await {
                            Ok(wire) => {
                                let client = Client { peer, is_certified: wire.is_certified(), guest: place };
                                serve_client(wire, client).await;
                            }
                            Err(error) => tracing::debug!(%peer, %error, "{gateway} client that did not get through TLS"),
                        }
                    };
                    tokio::select! {
                        biased;
                        () = served => {}
                        () = guest.shown_out() => {
                            tracing::debug!(%peer, "silent {gateway} client made room for others");
                        }
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "{gateway} gateway cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn greet<S>(stream: S, tls: Option<&Tls>) -> io::Result<Wire<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match tls {
        None => Ok(Wire::Plain(stream)),
        Some(tls) => tls.greet(stream).await,
    }
}
