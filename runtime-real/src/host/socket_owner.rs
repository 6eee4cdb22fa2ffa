//! Tells whose process is at the other end of a connection within this host, out of the kernel's table of connections.
//! Believes nothing that the process says.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd as _;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};

/// The kernel's tables, as text.
const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];
/// An established connection. In other states a connection may belong to no process any more, and is then shown as root's.
const ESTABLISHED: &str = "01";

/// Whose process has an end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// This user's.
    User(u32),
    /// The kernel shows no such connection, or one that belongs to no process any more.
    Unknown,
    /// The kernel does not answer such questions. Its tables may tell, see [`listed`].
    Untold,
}

/// Asks the kernel for the one connection within this host that has these ends, seen from `client`: other connections cost
/// nothing and are not mistaken for it. Does not wait.
pub fn of(client: SocketAddr, gateway: SocketAddr) -> Owner {
    match ask(client, gateway) {
        Ok(Some(uid)) => Owner::User(uid),
        Ok(None) => Owner::Unknown,
        Err(_) => Owner::Untold,
    }
}

fn ask(client: SocketAddr, gateway: SocketAddr) -> nix::Result<Option<u32>> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let kernel = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkSockDiag)?;
    let question = question(client, gateway);
    sendto(kernel.as_raw_fd(), &question, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    // The kernel has answered by now: it does so while the question is sent.
    let mut bytes = [0; 1024];
    let len = recv(kernel.as_raw_fd(), &mut bytes, MsgFlags::empty())?;
    answer(bytes.get(..len).unwrap_or_default(), client, gateway)
}

/// Kinds of netlink messages.
const NLMSG_ERROR: u16 = 2;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// States in which a process may have its end: established, and those after it said that it sends no more.
const OWNED: [u8; 3] = [1, 4, 5];

/// `nlmsghdr` and `inet_diag_req_v2`.
fn question(client: SocketAddr, gateway: SocketAddr) -> Vec<u8> {
    const BYTES: u32 = 72;
    const REQUEST: u16 = 1;
    const TCP: u8 = 6;
    let (from, to) = (client.ip().to_canonical(), gateway.ip().to_canonical());
    let family = if from.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let mut bytes = BYTES.to_ne_bytes().to_vec();
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend(REQUEST.to_ne_bytes());
    // The number of the question, and the kernel's word for itself.
    bytes.extend([0; 8]);
    bytes.extend([u8::try_from(family as i32).unwrap_or(0), TCP, 0, 0]);
    bytes.extend(u32::MAX.to_ne_bytes());
    bytes.extend(client.port().to_be_bytes());
    bytes.extend(gateway.port().to_be_bytes());
    for ip in [from, to] {
        let mut word = match ip {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        word.resize(16, 0);
        bytes.extend(word);
    }
    // Any device, and no cookie.
    bytes.extend([0; 4]);
    bytes.extend([u8::MAX; 8]);
    bytes
}

/// The user out of `nlmsghdr` and `inet_diag_msg`.
fn answer(bytes: &[u8], client: SocketAddr, gateway: SocketAddr) -> nix::Result<Option<u32>> {
    let word = |at: usize| {
        let word = bytes.get(at..at + 4).and_then(|word| <[u8; 4]>::try_from(word).ok());
        word.map(u32::from_ne_bytes).ok_or(Errno::EBADMSG)
    };
    let kind = bytes.get(4..6).and_then(|kind| <[u8; 2]>::try_from(kind).ok()).map(u16::from_ne_bytes);
    if kind == Some(NLMSG_ERROR) {
        let error = Errno::from_raw(word(16)?.cast_signed().wrapping_neg());
        return if error == Errno::ENOENT { Ok(None) } else { Err(error) };
    }
    let (state, uid, inode) = (bytes.get(17), word(80)?, word(84)?);
    if kind != Some(SOCK_DIAG_BY_FAMILY) {
        return Err(Errno::EBADMSG);
    }
    // Where the kernel finds no connection it tells of the socket that listens there.
    let is_it =
        told_end(bytes, 20, 24) == Some(ends(client)) && told_end(bytes, 22, 40) == Some(ends(gateway));
    // What no process has any more has no inode, and is shown as root's.
    let is_owned = state.is_some_and(|state| OWNED.contains(state)) && inode != 0;
    Ok((is_it && is_owned).then_some(uid))
}

fn ends(end: SocketAddr) -> (IpAddr, u16) {
    (end.ip().to_canonical(), end.port())
}

/// The end whose port and address are there in an answer. A socket of IPv6 has an address of IPv4 mapped.
fn told_end(bytes: &[u8], port_at: usize, ip_at: usize) -> Option<(IpAddr, u16)> {
    let port = u16::from_be_bytes(bytes.get(port_at..port_at + 2)?.try_into().ok()?);
    let word: [u8; 16] = bytes.get(ip_at..ip_at + 16)?.try_into().ok()?;
    let ip = if i32::from(*bytes.get(16)?) == AddressFamily::Inet as i32 {
        IpAddr::from(<[u8; 4]>::try_from(word.get(..4)?).ok()?)
    } else {
        IpAddr::from(word).to_canonical()
    };
    Some((ip, port))
}

/// Like [`of`], out of the kernel's tables of all connections, which may take long to read. None as well when two rows
/// are the connection's.
///
/// # Errors
/// The tables cannot be read.
pub fn listed(client: SocketAddr, gateway: SocketAddr) -> io::Result<Option<u32>> {
    let mut tables = String::new();
    for table in TABLES {
        match fs::read_to_string(table) {
            Ok(text) => tables.push_str(&text),
            // A kernel without IPv6 has no such table.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(find(&tables, client, gateway))
}

fn find(tables: &str, client: SocketAddr, gateway: SocketAddr) -> Option<u32> {
    let mut owners = tables.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (local, remote) = (address(words.get(1)?)?, address(words.get(2)?)?);
        let is_it =
            ends(local) == ends(client) && ends(remote) == ends(gateway) && *words.get(3)? == ESTABLISHED;
        if is_it { words.get(7)?.parse().ok() } else { None }
    });
    let owner = owners.next();
    if owners.next().is_none() { owner } else { None }
}

/// `0100007F:1F90`: each word of four bytes in the processor's order, then the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.split_once(':')?;
    let bytes: Vec<u8> = (0..host.len())
        .step_by(8)
        .map(|at| u32::from_str_radix(host.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes))
        .collect::<Option<Vec<_>>>()?
        .concat();
    let ip = match bytes.len() {
        4 => IpAddr::from(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        16 => IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)),
        _ => return None,
    };
    Some(SocketAddr::new(ip.to_canonical(), u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use std::net::{Shutdown, TcpListener, TcpStream};

    use nix::unistd::geteuid;

    use super::*;

    #[test]
    fn the_kernel_says_whose_connection_it_is() {
        for at in ["127.0.0.1:0", "[::1]:0"] {
            // A machine may be without IPv6.
            let Ok(listener) = TcpListener::bind(at) else { continue };
            let to = listener.local_addr().expect("bound");
            let stream = TcpStream::connect(to).expect("connected");
            let client = stream.local_addr().expect("connected");
            let me = geteuid().as_raw();
            let both = |client, to| (ask(client, to), listed(client, to).expect("read"));
            assert_eq!(both(client, to), (Ok(Some(me)), Some(me)), "{at}");
            let next = SocketAddr::new(to.ip(), to.port().wrapping_add(1));
            assert_eq!(both(client, next), (Ok(None), None));
            let listens = SocketAddr::new(to.ip(), 0);
            assert_eq!(both(to, listens), (Ok(None), None), "a socket that listens is no connection");
            stream.shutdown(Shutdown::Write).expect("connected");
            assert_eq!(ask(client, to), Ok(Some(me)), "a client that has sent all waits for its answer");
            drop(stream);
            assert_eq!(both(client, to), (Ok(None), None), "a connection that no process has has no user");
        }
    }

    #[test]
    fn a_mapped_address_is_the_same_connection() {
        let Ok(listener) = TcpListener::bind("[::]:0") else { return };
        let port = listener.local_addr().expect("bound").port();
        let Ok(stream) = TcpStream::connect(("::ffff:127.0.0.1", port)) else { return };
        let client = stream.local_addr().expect("connected");
        let me = Some(geteuid().as_raw());
        for to in ["127.0.0.1", "::ffff:127.0.0.1"] {
            let to = SocketAddr::new(to.parse().expect("an address"), port);
            assert_eq!((ask(client, to), listed(client, to).expect("read")), (Ok(me), me), "{to}");
        }
    }

    /// Another connection has the client's end as its own, and the gateway's port at another address of this host.
    #[test]
    fn a_connection_that_shares_three_of_four_ends_is_another() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let gateway = listener.local_addr().expect("bound");
        let stream = TcpStream::connect(gateway).expect("connected");
        let client = stream.local_addr().expect("connected");
        let aside = SocketAddr::new("127.0.0.12".parse().expect("an address"), gateway.port());
        assert_eq!((ask(client, aside), listed(client, aside).expect("read")), (Ok(None), None));
    }

    fn row(local: &str, remote: &str, state: &str, uid: u32) -> String {
        format!(
            "   0: {local} {remote} {state} 00000000:00000000 00:00000000 00000000  {uid}        0 5 1 0\n"
        )
    }

    /// An address as a table has it.
    fn word(ip: [u8; 4], port: u16) -> String {
        format!("{:08X}:{port:04X}", u32::from_ne_bytes(ip))
    }

    #[test]
    fn a_table_is_read_as_the_kernel_writes_it() {
        let (client, gateway) =
            ("127.0.0.1:8080".parse().expect("an address"), "127.0.0.1:9623".parse().expect("an address"));
        let (c, g) = (word([127, 0, 0, 1], 8080), word([127, 0, 0, 1], 9623));
        let its = row(&c, &g, "01", 1000);
        assert_eq!(find(&its, client, gateway), Some(1000));
        assert_eq!(find(&row(&c, &g, "06", 1000), client, gateway), None);
        for noise in
            ["", "  sl  local_address rem_address   st", "0: 1:2 3:4 01", "0: 0100007F 0100007F:2597 01"]
        {
            assert_eq!(find(noise, client, gateway), None);
        }
        let mapped =
            |word: &str| format!("0000000000000000{:08X}{word}", u32::from_ne_bytes([0, 0, 255, 255]));
        let as_6 = row(&mapped(&c), &mapped(&g), "01", 1000);
        assert_eq!(find(&as_6, client, gateway), Some(1000), "mapped addresses");
        let aside = row(&c, &word([127, 0, 0, 12], 9623), "01", 0);
        assert_eq!(find(&(aside.clone() + &its), client, gateway), Some(1000), "another address of the host");
        assert_eq!(find(&aside, client, gateway), None);
        let other_client = row(&word([127, 0, 0, 12], 8080), &g, "01", 0);
        assert_eq!(find(&(other_client + &its), client, gateway), Some(1000));
        let gateways_side = row(&g, &c, "01", 0);
        assert_eq!(find(&(gateways_side + &its), client, gateway), Some(1000));
        assert_eq!(find(&(row(&c, &g, "01", 0) + &its), client, gateway), None, "two are as good as none");
        assert_eq!(find(&(its + &as_6), client, gateway), None);
    }

    #[test]
    fn an_answer_that_is_none_is_no_user() {
        let (client, gateway) =
            ("127.0.0.1:8080".parse().expect("an address"), "127.0.0.1:9623".parse().expect("an address"));
        let question = question(client, gateway);
        assert_eq!(question.len(), 72);
        let answer = |bytes: &[u8]| answer(bytes, client, gateway);
        let mut told = vec![0; 88];
        told[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        (told[16], told[17]) = (question[16], 1);
        told[20..56].copy_from_slice(&question[24..60]);
        told[80..84].copy_from_slice(&1000_u32.to_ne_bytes());
        told[84..88].copy_from_slice(&7_u32.to_ne_bytes());
        assert_eq!(answer(&told), Ok(Some(1000)));
        for len in 0..told.len() {
            assert!(answer(&told[..len]).is_err(), "{len}");
        }
        let but = |at: usize, byte: u8| {
            let mut told = told.clone();
            told[at] = byte;
            answer(&told)
        };
        assert_eq!(
            (but(17, 6), but(17, 10), but(84, 0), but(43, 9)),
            (Ok(None), Ok(None), Ok(None), Ok(None))
        );
        assert_eq!(but(5, 9), Err(Errno::EBADMSG));
        let mut refused = vec![0; 36];
        refused[4..6].copy_from_slice(&NLMSG_ERROR.to_ne_bytes());
        refused[16..20].copy_from_slice(&(-2_i32).to_ne_bytes());
        assert_eq!(answer(&refused), Ok(None));
        refused[16..20].copy_from_slice(&(-1_i32).to_ne_bytes());
        assert_eq!(answer(&refused), Err(Errno::EPERM));
    }
}
