//! Sockets behind a trait, so that the loop that ships also runs over a simulated network. Moves bytes, and seals and opens
//! them where the ring has a key; knows nothing else of their meaning.

mod budget;
mod frame;
mod gate;
mod guest;
mod inbound;
#[cfg(test)]
pub(crate) mod memory;
mod outbound;
pub(crate) mod records;
mod rejected;
mod seal;
mod tokio;

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use ::tokio::io::{AsyncRead, AsyncWrite};
use annulus_core::{RingKeyId, Stamp};

pub use budget::Share;
pub use frame::FrameError;
pub use gate::{Gate, GateParts, Inward};
pub use guest::{Guest, GuestStream};
pub(crate) use inbound::host;
pub use inbound::serve_streams;
pub use outbound::Outbound;
pub use rejected::{Rejected, Rejection, Way};
pub use seal::{Seal, Unreadable};
pub use tokio::{TokioDatagrams, TokioListener, TokioTransport};

/// Messages from the stream side that wait for the loop.
pub const INBOUND_MAX: usize = 64;

/// Guests that wait to be served.
pub const GUESTS_MAX: usize = 16;

/// UDP and TCP of one host.
pub trait Transport: Clone + Send + Sync + 'static {
    /// A bound UDP socket.
    type Datagrams: Datagrams;
    /// A listening TCP socket.
    type Listener: Listener<Stream = Self::Stream>;
    /// A TCP connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Binds a UDP socket.
    fn bind(&self, at: SocketAddr) -> impl Future<Output = io::Result<Self::Datagrams>> + Send;
    /// Listens on TCP.
    fn listen(&self, at: SocketAddr) -> impl Future<Output = io::Result<Self::Listener>> + Send;
    /// Connects over TCP. `ConnectionRefused` means that the host answered that no program listens there.
    fn connect(&self, to: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// What a UDP socket received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// A datagram, now in the buffer.
    Datagram {
        /// Its length, at most the buffer's; a longer datagram was cut there.
        len: usize,
        /// The sender's address.
        from: SocketAddr,
    },
    /// The host at this address answered that no program listens there.
    Refused {
        /// The address.
        to: SocketAddr,
    },
}

/// A bound UDP socket.
pub trait Datagrams: Send + Sync + 'static {
    /// Where it is bound.
    ///
    /// # Errors
    /// The system's.
    fn local_addr(&self) -> io::Result<SocketAddr>;
    /// Sends one datagram now, or fails.
    ///
    /// # Errors
    /// The system's; `WouldBlock` when its buffer is full.
    fn try_send(&self, bytes: &[u8], to: SocketAddr) -> io::Result<usize>;
    /// The next datagram or refusal, if there is one already.
    ///
    /// # Errors
    /// The system's; `WouldBlock` when there is none.
    fn try_recv(&self, buffer: &mut [u8]) -> io::Result<Received>;
    /// The next datagram or refusal. Dropping the future loses none.
    fn recv(&self, buffer: &mut [u8]) -> impl Future<Output = io::Result<Received>> + Send;
}

/// A listening TCP socket.
pub trait Listener: Send + Sync + 'static {
    /// A connection that it accepts.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// Where it listens.
    ///
    /// # Errors
    /// The system's.
    fn local_addr(&self) -> io::Result<SocketAddr>;
    /// The next connection. Dropping the future loses none.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;
    /// The address of this host that the other end of a connection reached; none where that is not known.
    fn reached(_: &Self::Stream) -> Option<SocketAddr> {
        None
    }
}

/// A message of the stream side to the loop.
#[derive(Debug)]
pub enum FromStream {
    /// One message.
    Frame {
        /// The connection's other end.
        from: SocketAddr,
        /// The key that opened it.
        key: RingKeyId,
        /// The frame's body.
        bytes: Vec<u8>,
        /// The number that it was sealed with; none in an open ring.
        stamp: Option<Stamp>,
        /// Its share of the bytes that may wait for the loop; given back when this is dropped.
        share: Share,
    },
    /// No program listens at this address.
    Refused {
        /// The address.
        to: SocketAddr,
    },
}

/// Port 0 is tried so often until the system gives one that is free for UDP and TCP alike.
const PORT_TRIES: u32 = 32;

/// Binds UDP and TCP of the gossip port to the same address and port; port 0 takes any that is free for both.
///
/// # Errors
/// The system's, for the protocol that is named.
pub async fn bind_gossip<T: Transport>(
    transport: &T,
    at: SocketAddr,
) -> Result<(T::Datagrams, T::Listener, SocketAddr), (&'static str, io::Error)> {
    let mut tries = 0;
    loop {
        let listener = transport.listen(at).await.map_err(|e| ("TCP", e))?;
        let bound = listener.local_addr().map_err(|e| ("TCP", e))?;
        tries += 1;
        match transport.bind(bound).await {
            Ok(datagrams) => return Ok((datagrams, listener, bound)),
            Err(e) if at.port() == 0 && e.kind() == io::ErrorKind::AddrInUse && tries < PORT_TRIES => {}
            Err(e) => return Err(("UDP", e)),
        }
    }
}

#[cfg(test)]
mod tests;
