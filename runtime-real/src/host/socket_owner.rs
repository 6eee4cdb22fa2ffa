//! Tells whose process is at the other end of a connection within this host, out of the kernel's table of connections.
//! Believes nothing that the process says.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The kernel's tables, as text.
const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];
/// An established connection. In other states a connection may belong to no process any more, and is then shown as root's.
const ESTABLISHED: &str = "01";

/// The user whose process has the end at `client` of a connection to this port of this host; none when the kernel shows no
/// such connection.
///
/// # Errors
/// The tables cannot be read.
pub fn of(client: SocketAddr, port: u16) -> io::Result<Option<u32>> {
    for table in TABLES {
        match fs::read_to_string(table) {
            Ok(text) => {
                if let Some(uid) = find(&text, client, port) {
                    return Ok(Some(uid));
                }
            }
            // A kernel without IPv6 has no such table.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

fn find(table: &str, client: SocketAddr, port: u16) -> Option<u32> {
    table.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (local, remote) = (address(words.get(1)?)?, address(words.get(2)?)?);
        let is_it = local.port() == client.port()
            && local.ip() == client.ip().to_canonical()
            && remote.port() == port
            && *words.get(3)? == ESTABLISHED;
        if is_it { words.get(7)?.parse().ok() } else { None }
    })
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
    use std::net::{TcpListener, TcpStream};

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
            assert_eq!(of(client, to.port()).expect("read"), Some(geteuid().as_raw()), "{at}");
            assert_eq!(of(client, to.port().wrapping_add(1)).expect("read"), None);
            drop(stream);
            let gone = of(client, to.port()).expect("read");
            assert_eq!(gone, None, "a connection that no process has has no user");
        }
    }

    #[test]
    fn a_table_is_read_as_the_kernel_writes_it() {
        let client = "127.0.0.1:8080".parse().expect("an address");
        let ip = u32::from_ne_bytes([127, 0, 0, 1]);
        let line = |state: &str| {
            format!(
                "   0: {ip:08X}:1F90 {ip:08X}:2597 {state} 00000000:00000000 00:00000000 00000000  1000        0 5 1 0"
            )
        };
        assert_eq!(find(&line("01"), client, 9623), Some(1000));
        assert_eq!(find(&line("06"), client, 9623), None);
        for noise in
            ["", "  sl  local_address rem_address   st", "0: 1:2 3:4 01", "0: 0100007F 0100007F:2597 01"]
        {
            assert_eq!(find(noise, client, 9623), None);
        }
    }
}
