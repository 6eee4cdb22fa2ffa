//! The real network: sockets of the operating system behind the traits of this folder. Knows nothing of
//! frames and messages.

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use tokio::io::Interest;
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};

use super::{Datagrams, Listener, Received, Transport};

/// A send is tried so often when the socket reports an earlier datagram's refusal instead.
const SEND_TRIES: u32 = 4;

/// UDP and TCP of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokioTransport {
    /// Where connections come from; where the system chooses it, none.
    from: Option<IpAddr>,
}

impl TokioTransport {
    /// Connections come from this address, unless it stands for every one: members take the sender's address for the one that it
    /// listens at, and of several the system would choose another.
    #[must_use]
    pub fn speaking_from(listens: IpAddr) -> Self {
        Self { from: Some(listens).filter(|ip| !ip.is_unspecified()) }
    }

    /// Whether a connection to an address can come from that one: no other host is reached from a loopback address.
    fn source(self, to: IpAddr) -> Option<IpAddr> {
        self.from.filter(|from| from.is_ipv4() == to.is_ipv4() && (!from.is_loopback() || to.is_loopback()))
    }
}

impl Transport for TokioTransport {
    type Datagrams = TokioDatagrams;
    type Listener = TokioListener;
    type Stream = TcpStream;

    async fn bind(&self, at: SocketAddr) -> io::Result<TokioDatagrams> {
        let socket = UdpSocket::bind(at).await?;
        let refusals = refusal::enable(&socket, at.is_ipv6());
        if !refusals {
            tracing::debug!(address = %at, "this system does not report refused datagrams; silence has to do");
        }
        // Until the reactor has reported once, it takes every socket for full.
        socket.writable().await?;
        Ok(TokioDatagrams { socket, ipv6: at.is_ipv6(), refusals })
    }

    async fn listen(&self, at: SocketAddr) -> io::Result<TokioListener> {
        TcpListener::bind(at).await.map(TokioListener)
    }

    async fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        let stream = match self.source(to.ip()) {
            Some(from) => {
                let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
                socket.bind(SocketAddr::new(from, 0))?;
                socket.connect(to).await?
            }
            None => TcpStream::connect(to).await?,
        };
        // Frames are written whole; waiting for more to send would only delay them.
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// A UDP socket that also reports ICMP port unreachable, where the system can.
#[derive(Debug)]
pub struct TokioDatagrams {
    socket: UdpSocket,
    ipv6: bool,
    refusals: bool,
}

impl TokioDatagrams {
    fn interest(&self) -> Interest {
        if self.refusals { refusal::interest() } else { Interest::READABLE }
    }
}

impl Datagrams for TokioDatagrams {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn try_send(&self, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
        let to = for_family(to, self.ipv6);
        let mut tries = 1;
        loop {
            match self.socket.try_send_to(bytes, to) {
                // The pending error of a datagram to another host: `recv` reports it, this send clears it.
                Err(e) if is_refusal(&e) && tries < SEND_TRIES => tries += 1,
                result => return result,
            }
        }
    }

    fn try_recv(&self, buffer: &mut [u8]) -> io::Result<Received> {
        loop {
            match self.socket.try_recv_from(buffer) {
                Ok((len, from)) => return Ok(Received::Datagram { len, from: canonical(from) }),
                Err(e) if is_refusal(&e) => {}
                Err(e) if e.kind() != io::ErrorKind::WouldBlock || !self.refusals => return Err(e),
                Err(_) => {}
            }
            if let Some(to) = refusal::next(&self.socket)? {
                return Ok(Received::Refused { to: canonical(to) });
            }
        }
    }

    async fn recv(&self, buffer: &mut [u8]) -> io::Result<Received> {
        loop {
            match self.try_recv(buffer) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.socket.ready(self.interest()).await?,
                result => return result,
            };
        }
    }
}

fn is_refusal(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::HostUnreachable)
}

/// An IPv6 socket reaches IPv4 hosts through mapped addresses.
fn for_family(to: SocketAddr, ipv6: bool) -> SocketAddr {
    match to {
        SocketAddr::V4(v4) if ipv6 => SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0).into(),
        other => other,
    }
}

/// Turns a mapped address into the IPv4 address that it stands for, by which all other members know the host.
fn canonical(from: SocketAddr) -> SocketAddr {
    match from.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, from.port()),
        IpAddr::V6(_) => from,
    }
}

/// A listening TCP socket of the operating system.
#[derive(Debug)]
pub struct TokioListener(TcpListener);

impl Listener for TokioListener {
    type Stream = TcpStream;

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, from) = self.0.accept().await?;
        Ok((stream, canonical(from)))
    }

    fn reached(stream: &TcpStream) -> Option<SocketAddr> {
        stream.local_addr().ok().map(canonical)
    }
}

/// ICMP port unreachable, which Linux queues beside the datagrams of a socket that asks for it.
#[cfg(target_os = "linux")]
mod refusal {
    use std::io::{self, IoSliceMut};
    use std::net::SocketAddr;
    use std::os::fd::AsRawFd as _;

    use nix::errno::Errno;
    use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};
    use tokio::io::Interest;
    use tokio::net::UdpSocket;

    /// Asks the system to queue refusals; whether it does.
    pub(super) fn enable(socket: &UdpSocket, ipv6: bool) -> bool {
        let v4 = setsockopt(socket, sockopt::Ipv4RecvErr, &true).is_ok();
        let v6 = ipv6 && setsockopt(socket, sockopt::Ipv6RecvErr, &true).is_ok();
        v4 || v6
    }

    pub(super) fn interest() -> Interest {
        Interest::READABLE | Interest::ERROR
    }

    /// Takes one entry off the error queue: the refused address, or none for an entry of another kind.
    /// `WouldBlock` when the queue is empty.
    pub(super) fn next(socket: &UdpSocket) -> io::Result<Option<SocketAddr>> {
        socket.try_io(Interest::ERROR, || {
            let mut payload = [0_u8; 64];
            let mut iov = [IoSliceMut::new(&mut payload)];
            let mut control = nix::cmsg_space!([u8; 512]);
            let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
            let message =
                recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut iov, Some(&mut control), flags)?;
            let refused = message.cmsgs()?.any(|c| match c {
                ControlMessageOwned::Ipv4RecvErr(e, _) | ControlMessageOwned::Ipv6RecvErr(e, _) => {
                    e.ee_errno == Errno::ECONNREFUSED as u32
                }
                _ => false,
            });
            // The message's address is where the refused datagram was sent to.
            Ok(message.address.filter(|_| refused).and_then(|to| address(&to)))
        })
    }

    fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
        let v4 = storage.as_sockaddr_in().map(|a| SocketAddr::from((a.ip(), a.port())));
        v4.or_else(|| storage.as_sockaddr_in6().map(|a| SocketAddr::from((a.ip(), a.port()))))
    }
}

#[cfg(not(target_os = "linux"))]
mod refusal {
    use std::io;
    use std::net::SocketAddr;

    use tokio::io::Interest;
    use tokio::net::UdpSocket;

    pub(super) fn enable(_: &UdpSocket, _: bool) -> bool {
        false
    }

    pub(super) fn interest() -> Interest {
        Interest::READABLE
    }

    pub(super) fn next(_: &UdpSocket) -> io::Result<Option<SocketAddr>> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::super::bind_gossip;
    use super::*;

    const LOCALHOST: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

    async fn received(socket: &TokioDatagrams, buffer: &mut [u8]) -> Received {
        timeout(Duration::from_secs(10), socket.recv(buffer)).await.expect("in time").expect("received")
    }

    #[tokio::test]
    async fn connections_come_from_the_address_that_is_listened_at() {
        let listener = TcpListener::bind(LOCALHOST).await.expect("bound");
        let to = listener.local_addr().expect("bound");
        let [second, every, far]: [IpAddr; 3] =
            ["127.0.0.2", "0.0.0.0", "2001:db8::1"].map(|ip| ip.parse().expect("an address"));
        for (listens, from) in [(second, second), (every, LOCALHOST.ip()), (far, LOCALHOST.ip())] {
            let _near = TokioTransport::speaking_from(listens).connect(to).await.expect("connected");
            assert_eq!(listener.accept().await.expect("accepted").1.ip(), from, "{listens}");
        }
        let far = "10.0.0.1".parse().expect("an address");
        assert_eq!(TokioTransport::speaking_from(second).source(far), None, "from loopback nothing is far");
    }

    #[tokio::test]
    async fn datagrams_arrive_and_long_ones_show() {
        let a = TokioTransport::default().bind(LOCALHOST).await.expect("bound");
        let b = TokioTransport::default().bind(LOCALHOST).await.expect("bound");
        let to = b.local_addr().expect("bound");
        let mut buffer = [0; 1025];
        for len in [0, 1, 1024] {
            assert_eq!(a.try_send(&vec![7; len], to).expect("sent"), len);
            let from = a.local_addr().expect("bound");
            assert_eq!(received(&b, &mut buffer).await, Received::Datagram { len, from });
        }
        a.try_send(&[7; 3_000], to).expect("sent");
        let Received::Datagram { len, .. } = received(&b, &mut buffer).await else { panic!("refused") };
        assert_eq!(len, 1025, "one byte above the limit shows that it was longer");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_refused_datagram_names_its_target_and_blocks_no_other() {
        let a = TokioTransport::default().bind(LOCALHOST).await.expect("bound");
        let living = TokioTransport::default().bind(LOCALHOST).await.expect("bound");
        let dead = {
            let gone = TokioTransport::default().bind(LOCALHOST).await.expect("bound");
            gone.local_addr().expect("bound")
        };
        let mut buffer = [0; 16];
        for _ in 0..3 {
            a.try_send(b"hello?", dead).expect("sent");
            a.try_send(b"hello", living.local_addr().expect("bound")).expect("sent despite the refusal");
            assert_eq!(received(&a, &mut buffer).await, Received::Refused { to: dead });
            assert!(matches!(received(&living, &mut buffer).await, Received::Datagram { len: 5, .. }));
        }
    }

    #[tokio::test]
    async fn both_protocols_share_one_port() {
        let (datagrams, listener, at) =
            bind_gossip(&TokioTransport::default(), LOCALHOST).await.expect("bound");
        assert_ne!(at.port(), 0);
        assert_eq!(datagrams.local_addr().expect("bound"), at);
        assert_eq!(listener.local_addr().expect("bound"), at);
        let Err((_, error)) = bind_gossip(&TokioTransport::default(), at).await else {
            panic!("bound twice")
        };
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn mapped_addresses_are_the_hosts_they_stand_for() {
        let v4: SocketAddr = "192.0.2.7:9638".parse().expect("an address");
        assert_eq!(for_family(v4, false), v4);
        assert_eq!(canonical(for_family(v4, true)), v4);
        let v6: SocketAddr = "[2001:db8::1]:9638".parse().expect("an address");
        assert_eq!(canonical(for_family(v6, true)), v6);
    }
}
