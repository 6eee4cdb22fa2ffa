//! Describes this host for other members. Sends nothing.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use annulus_core::SysInfo;

/// An address of the documentation range, whose route is that to any distant host. Nothing is sent there.
const ELSEWHERE: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 9);

/// Describes this host and its listeners.
pub(super) fn sysinfo(
    advertise: Option<IpAddr>,
    gossip: SocketAddr,
    http: SocketAddr,
    ctl: SocketAddr,
) -> SysInfo {
    let specific = Some(gossip.ip()).filter(|ip| !ip.is_unspecified());
    let ip = advertise.or(specific).or_else(outbound).unwrap_or(Ipv4Addr::LOCALHOST.into());
    let hostname = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    SysInfo {
        ip: ip.to_string(),
        hostname: hostname.unwrap_or_else(|| "localhost".to_owned()),
        gossip_ip: gossip.ip().to_string(),
        gossip_port: gossip.port(),
        http_gateway_ip: http.ip().to_string(),
        http_gateway_port: http.port(),
        ctl_gateway_ip: ctl.ip().to_string(),
        ctl_gateway_port: ctl.port(),
    }
}

/// The address that this host's packets carry: connecting a UDP socket picks a route and sends nothing.
fn outbound() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(ELSEWHERE).ok()?;
    socket.local_addr().ok().map(|at| at.ip()).filter(|ip| !ip.is_unspecified())
}
