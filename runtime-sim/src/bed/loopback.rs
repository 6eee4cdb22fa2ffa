//! Real daemons on 127.0.0.1. This bed needs no root and can make no partitions.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

use super::{BedError, Network, Place, beyond};
use crate::action::{Action, HostId};

/// Ports below those that systems hand out by themselves, so that no other program is given one of ours while its
/// supervisor is down.
const PORT_MIN: u16 = 20_000;
const PORT_MAX: u16 = 32_000;

#[derive(Debug)]
pub(crate) struct Loopback {
    places: Vec<Place>,
}

impl Loopback {
    pub(crate) fn new(hosts: usize) -> Result<Self, BedError> {
        Ok(Self { places: free_places(hosts)? })
    }
}

/// Addresses on loopback that no program uses.
pub(crate) fn free_places(hosts: usize) -> Result<Vec<Place>, BedError> {
    // Runs side by side begin at different ports. All sockets are held until the last is found.
    let range = u32::from(PORT_MAX - PORT_MIN);
    let mut offset = std::process::id().wrapping_mul(97) % range;
    let mut held = Vec::new();
    let mut tried = 0;
    let mut free = || loop {
        if tried > range {
            return Err(BedError::Failed(format!("no free port from {PORT_MIN} to {PORT_MAX}")));
        }
        tried += 1;
        offset = (offset + 1) % range;
        let port = PORT_MIN + u16::try_from(offset).unwrap_or(0);
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        if let (Ok(tcp), Ok(udp)) = (TcpListener::bind(address), UdpSocket::bind(address)) {
            held.push((tcp, udp));
            return Ok(address);
        }
    };
    (0..hosts).map(|_| Ok(Place { gossip: free()?, http: free()?, ctl: free()?, netns: None })).collect()
}

impl Network for Loopback {
    fn place(&self, host: HostId) -> &Place {
        &self.places[host.0 as usize]
    }

    fn connect(&mut self, _: HostId, _: bool) -> Result<(), BedError> {
        Ok(())
    }

    fn cut(&mut self, _: &[(HostId, HostId)]) -> Result<(), BedError> {
        Ok(())
    }

    fn cannot(&self, action: &Action) -> Option<&'static str> {
        match action {
            Action::Partition(_) => Some("partitions; use --on netns"),
            other => beyond(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_differ() {
        let places = free_places(5).expect("free ports");
        let mut all: Vec<SocketAddr> = places.iter().flat_map(|p| [p.gossip, p.http, p.ctl]).collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 15);
    }
}
