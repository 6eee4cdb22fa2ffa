//! A network inside one test: no ports, no kernel, virtual time. Never part of the daemon.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::io::{DuplexStream, duplex};
use tokio::sync::{Mutex as AsyncMutex, mpsc};

use super::{Datagrams, Listener, Received, Transport};

/// Bytes that a connection holds at one time.
const PIPE_BYTES: usize = 64 * 1024;

type Packet = (Vec<u8>, SocketAddr);
type Connection = (DuplexStream, SocketAddr);

#[derive(Debug, Default)]
struct Hosts {
    udp: BTreeMap<SocketAddr, mpsc::UnboundedSender<Packet>>,
    tcp: BTreeMap<SocketAddr, mpsc::UnboundedSender<Connection>>,
    connections: usize,
}

/// One host's view of the network: its packets come from `me`.
#[derive(Clone, Debug)]
pub(crate) struct MemoryTransport {
    hosts: Arc<Mutex<Hosts>>,
    me: SocketAddr,
}

impl MemoryTransport {
    /// A host at `me` on a network of its own.
    pub(crate) fn new(me: SocketAddr) -> Self {
        Self { hosts: Arc::default(), me }
    }

    /// Another host on the same network.
    pub(crate) fn host(&self, me: SocketAddr) -> Self {
        Self { hosts: Arc::clone(&self.hosts), me }
    }

    /// How many connections the hosts have made so far.
    pub(crate) fn connections(&self) -> usize {
        self.hosts().connections
    }

    fn hosts(&self) -> MutexGuard<'_, Hosts> {
        self.hosts.lock().expect("no test panics while it holds this")
    }
}

impl Transport for MemoryTransport {
    type Datagrams = MemoryDatagrams;
    type Listener = MemoryListener;
    type Stream = DuplexStream;

    async fn bind(&self, at: SocketAddr) -> io::Result<MemoryDatagrams> {
        let (sender, packets) = mpsc::unbounded_channel();
        self.hosts().udp.insert(at, sender.clone());
        Ok(MemoryDatagrams { at, net: self.clone(), loopback: sender, packets: AsyncMutex::new(packets) })
    }

    async fn listen(&self, at: SocketAddr) -> io::Result<MemoryListener> {
        let (sender, connections) = mpsc::unbounded_channel();
        self.hosts().tcp.insert(at, sender);
        Ok(MemoryListener { at, connections: AsyncMutex::new(connections) })
    }

    async fn connect(&self, to: SocketAddr) -> io::Result<DuplexStream> {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let (near, far) = duplex(PIPE_BYTES);
        let mut hosts = self.hosts();
        let sent = hosts.tcp.get(&to).is_some_and(|listener| listener.send((far, self.me)).is_ok());
        hosts.connections += usize::from(sent);
        if sent { Ok(near) } else { Err(refused) }
    }
}

#[derive(Debug)]
pub(crate) struct MemoryDatagrams {
    at: SocketAddr,
    net: MemoryTransport,
    loopback: mpsc::UnboundedSender<Packet>,
    packets: AsyncMutex<mpsc::UnboundedReceiver<Packet>>,
}

fn deliver((bytes, from): Packet, buffer: &mut [u8]) -> Received {
    // An empty packet stands for a refusal.
    if bytes.is_empty() {
        return Received::Refused { to: from };
    }
    let len = bytes.len().min(buffer.len());
    buffer[..len].copy_from_slice(&bytes[..len]);
    Received::Datagram { len, from }
}

impl Datagrams for MemoryDatagrams {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.at)
    }

    fn try_send(&self, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
        let packet = (bytes.to_vec(), self.at);
        let sent = self.net.hosts().udp.get(&to).is_some_and(|host| host.send(packet).is_ok());
        if !sent {
            let _ = self.loopback.send((Vec::new(), to));
        }
        Ok(bytes.len())
    }

    fn try_recv(&self, buffer: &mut [u8]) -> io::Result<Received> {
        let none = || io::Error::from(io::ErrorKind::WouldBlock);
        let mut packets = self.packets.try_lock().map_err(|_| none())?;
        packets.try_recv().map(|packet| deliver(packet, buffer)).map_err(|_| none())
    }

    async fn recv(&self, buffer: &mut [u8]) -> io::Result<Received> {
        let packet = self.packets.lock().await.recv().await;
        packet.map(|packet| deliver(packet, buffer)).ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }
}

#[derive(Debug)]
pub(crate) struct MemoryListener {
    at: SocketAddr,
    connections: AsyncMutex<mpsc::UnboundedReceiver<Connection>>,
}

impl Listener for MemoryListener {
    type Stream = DuplexStream;

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.at)
    }

    async fn accept(&self) -> io::Result<Connection> {
        let connection = self.connections.lock().await.recv().await;
        connection.ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }
}
