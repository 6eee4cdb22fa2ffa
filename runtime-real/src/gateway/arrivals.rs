//! How clients come into a gateway: it accepts, finds a place, and hands over. All gateways do it here. Knows nothing of
//! requests.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

use super::door::{Door, Guest, Limits};
use crate::net::Listener;

/// After a failure to accept, most likely for want of descriptors; to accept again at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A program at this address.
    Host(SocketAddr),
    /// A process of this host, as the kernel knows it.
    Process {
        /// Its user.
        uid: u32,
        /// Its id, where the kernel tells.
        pid: Option<i32>,
    },
}

impl Peer {
    fn ip(self) -> IpAddr {
        match self {
            Self::Host(address) => address.ip(),
            Self::Process { .. } => Ipv4Addr::LOCALHOST.into(),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(address) => address.fmt(f),
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
        Ok((stream, Peer::Host(from)))
    }
}

/// Lets clients in until the returned future is dropped, which ends those that are inside.
pub(super) async fn serve<A: Arrivals, F>(
    arrivals: A,
    gateway: &'static str,
    limits: Limits,
    serve_client: impl Fn(A::Stream, Peer, Arc<Guest>) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let door = Door::new(limits);
    let mut clients = JoinSet::new();
    loop {
        while clients.try_join_next().is_some() {}
        match arrivals.next().await {
            Ok((stream, peer)) => {
                let guest = Arc::new(door.enter(peer.ip()).await);
                let served = serve_client(stream, peer, Arc::clone(&guest));
                clients.spawn(async move {
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
