//! UDP and TCP of one host over turmoil's network, with the faults that network lacks: datagrams that are lost alone,
//! doubled or overtaken; hosts that refuse and hosts that are silent; connections that do not survive a cut.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use ::turmoil::net::{TcpListener, TcpStream, UdpSocket};
use annulus::net::{Datagrams, Listener, Received, Transport};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Mutex, mpsc};
use tokio::time::sleep;

use super::TICK;
use super::ring::{Reach, Shared, index_of, now};

/// The network as one host has it.
#[derive(Clone)]
pub(super) struct SimTransport {
    pub(super) shared: Shared,
    pub(super) me: u32,
}

/// Every address of a host, at this port.
pub(super) fn any(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))
}

impl SimTransport {
    fn reach(&self, peer: u32) -> Reach {
        self.shared.lock().reach(self.me, peer)
    }

    /// How long a host's answer takes that no process listens.
    fn round_trip(&self, peer: u32) -> Duration {
        2 * self.shared.lock().net.quality(self.me, peer).latency_min.max(TICK)
    }

    fn stream(&self, inner: TcpStream, peer: u32, resets: u64) -> SimStream {
        SimStream { inner, shared: self.shared.clone(), pair: (self.me, peer), resets }
    }
}

impl Transport for SimTransport {
    type Datagrams = SimDatagrams;
    type Listener = SimListener;
    type Stream = SimStream;

    async fn bind(&self, at: SocketAddr) -> io::Result<SimDatagrams> {
        let socket = Arc::new(UdpSocket::bind(any(at.port())).await?);
        let (refuse, refusals) = mpsc::unbounded_channel();
        Ok(SimDatagrams { socket, net: self.clone(), refuse, refusals: Mutex::new(refusals) })
    }

    async fn listen(&self, at: SocketAddr) -> io::Result<SimListener> {
        Ok(SimListener { listener: TcpListener::bind(any(at.port())).await?, net: self.clone() })
    }

    async fn connect(&self, to: SocketAddr) -> io::Result<SimStream> {
        let peer = index_of(to).ok_or(io::ErrorKind::HostUnreachable)?;
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        match self.reach(peer) {
            Reach::Silence => return std::future::pending().await,
            Reach::Refusal => {
                sleep(self.round_trip(peer)).await;
                return Err(refused);
            }
            Reach::Open => {}
        }
        let resets = self.shared.lock().resets(self.me, peer);
        match TcpStream::connect(to).await {
            Ok(inner) => Ok(self.stream(inner, peer, resets)),
            // A connection that the network lost looks refused; no process would have answered.
            Err(_) if self.shared.lock().resets(self.me, peer) != resets => std::future::pending().await,
            Err(error) => Err(error),
        }
    }
}

/// A bound UDP socket.
pub(super) struct SimDatagrams {
    socket: Arc<UdpSocket>,
    net: SimTransport,
    refuse: mpsc::UnboundedSender<SocketAddr>,
    refusals: Mutex<mpsc::UnboundedReceiver<SocketAddr>>,
}

impl SimDatagrams {
    fn send_after(&self, delay: Duration, bytes: &[u8], to: SocketAddr) -> io::Result<()> {
        if delay.is_zero() {
            return self.socket.try_send_to(bytes, to).map(drop);
        }
        let (socket, bytes) = (Arc::clone(&self.socket), bytes.to_vec());
        tokio::spawn(async move {
            sleep(delay).await;
            // The datagram is lost when the simulation has no such host.
            let _ = socket.try_send_to(&bytes, to);
        });
        Ok(())
    }

    fn refuse_later(&self, peer: u32, to: SocketAddr) {
        if self.net.shared.lock().net.segment(now(), peer, self.net.me, 0).is_err() {
            return;
        }
        let (delay, refuse) = (self.net.round_trip(peer), self.refuse.clone());
        tokio::spawn(async move {
            sleep(delay).await;
            // The supervisor may have ended.
            let _ = refuse.send(to);
        });
    }
}

impl Datagrams for SimDatagrams {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn try_send(&self, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
        let Some(peer) = index_of(to) else { return Ok(bytes.len()) };
        let me = self.net.me;
        let (fate, latency_max, reach) = {
            let mut ring = self.net.shared.lock();
            let fate = ring.net.datagram(now(), me, peer, bytes.len());
            // A datagram needs one direction only.
            let reach = if ring.net.is_cut(peer, me) { Reach::Open } else { ring.reach(me, peer) };
            (fate, ring.net.quality(me, peer).latency_max, reach)
        };
        let Ok(latency) = fate.arrives_after else { return Ok(bytes.len()) };
        match reach {
            Reach::Silence => {}
            Reach::Refusal => self.refuse_later(peer, to),
            Reach::Open => {
                // The link itself takes its time; only a datagram that is to be overtaken is held back.
                self.send_after(latency.saturating_sub(latency_max), bytes, to)?;
                if fate.again_after.is_some() {
                    self.send_after(TICK, bytes, to)?;
                }
            }
        }
        Ok(bytes.len())
    }

    fn try_recv(&self, buffer: &mut [u8]) -> io::Result<Received> {
        if let Some(to) = self.refusals.try_lock().ok().and_then(|mut refusals| refusals.try_recv().ok()) {
            return Ok(Received::Refused { to });
        }
        self.socket.try_recv_from(buffer).map(|(len, from)| Received::Datagram { len, from })
    }

    async fn recv(&self, buffer: &mut [u8]) -> io::Result<Received> {
        let mut refusals = self.refusals.lock().await;
        tokio::select! {
            biased;
            Some(to) = refusals.recv() => Ok(Received::Refused { to }),
            received = self.socket.recv_from(buffer) => {
                received.map(|(len, from)| Received::Datagram { len, from })
            }
        }
    }
}

/// A listening TCP socket.
pub(super) struct SimListener {
    listener: TcpListener,
    net: SimTransport,
}

impl Listener for SimListener {
    type Stream = SimStream;

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    async fn accept(&self) -> io::Result<(SimStream, SocketAddr)> {
        let (inner, from) = self.listener.accept().await?;
        let peer = index_of(from).unwrap_or(self.net.me);
        let resets = self.net.shared.lock().resets(self.net.me, peer);
        Ok((self.net.stream(inner, peer, resets), from))
    }
}

/// A TCP connection. Bytes sent while its link is cut are lost and not sent again, so after a cut the connection is
/// reset when it is used next.
pub(super) struct SimStream {
    inner: TcpStream,
    shared: Shared,
    pair: (u32, u32),
    resets: u64,
}

impl SimStream {
    fn check(&self) -> io::Result<()> {
        let resets = self.shared.lock().resets(self.pair.0, self.pair.1);
        if resets == self.resets { Ok(()) } else { Err(io::ErrorKind::ConnectionReset.into()) }
    }
}

impl AsyncRead for SimStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
