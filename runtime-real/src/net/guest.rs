//! A connection to the gossip port that is no member's: its first byte is one that no frame begins with. What is spoken on it, others
//! know. It counts among the connections of its host as long as it is held.

use std::fmt;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::OwnedSemaphorePermit;

use super::budget::Entered;

/// What a connection of a guest begins with.
pub(super) const FIRST_BYTE: u8 = 0xff;

/// A stream of any network.
pub trait GuestStream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> GuestStream for S {}

/// A connection of a guest. Its first byte has been read.
pub struct Guest {
    /// The connection.
    pub stream: Box<dyn GuestStream>,
    /// Its other end.
    pub from: SocketAddr,
    /// Its places among all connections and among those of its host.
    pub(super) _place: (OwnedSemaphorePermit, Entered),
}

impl fmt::Debug for Guest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guest").field("from", &self.from).finish_non_exhaustive()
    }
}
