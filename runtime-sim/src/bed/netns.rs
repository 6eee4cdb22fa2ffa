//! Real daemons in network namespaces: one for each host, and one with a bridge that joins them.
//!
//! Nothing is made outside of these namespaces. A pair is cut by giving the sender a neighbor entry for the receiver
//! with a hardware address that no host has: its packets then leave the host and arrive nowhere, as behind a cut
//! cable. A host without power has its cable pulled at the bridge.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{BedError, Network, Place, beyond};
use crate::action::{Action, HostId};

/// Where `ip netns` keeps names.
const NAMES: &str = "/run/netns";
const PREFIX: &str = "annulus-bed-";
/// Ports of the bridge end at 1,023.
const HOSTS_MAX: usize = 1_000;
/// The usual ports: no other program runs in these namespaces.
const PORTS: [u16; 3] = [9638, 9631, 9632];

#[derive(Debug)]
pub(crate) struct Netns {
    places: Vec<Place>,
    cut: BTreeSet<(HostId, HostId)>,
}

/// Namespaces of this process; the process id keeps runs side by side apart.
fn name(part: &str) -> String {
    format!("{PREFIX}{}-{part}", std::process::id())
}

fn host_name(index: usize) -> String {
    name(&index.to_string())
}

fn address(index: usize) -> Ipv4Addr {
    let [high, low] = u16::try_from(index + 1).unwrap_or(u16::MAX).to_be_bytes();
    Ipv4Addr::new(10, 213, high, low)
}

fn hardware(index: usize) -> String {
    let [high, low] = u16::try_from(index + 1).unwrap_or(u16::MAX).to_be_bytes();
    format!("02:61:6e:00:{high:02x}:{low:02x}")
}

/// The hardware address of no host.
const NOWHERE: &str = "02:61:6e:ff:ff:ff";

impl Netns {
    pub(crate) fn new(hosts: usize) -> Result<Self, BedError> {
        if !nix::unistd::geteuid().is_root() {
            return Err(BedError::Skipped("network namespaces need root".to_owned()));
        }
        if Command::new("ip").arg("-V").output().is_err() {
            return Err(BedError::Skipped("network namespaces need `ip`, of iproute2".to_owned()));
        }
        if hosts > HOSTS_MAX {
            return Err(BedError::NotHere(format!("more than {HOSTS_MAX} members")));
        }
        remove_abandoned();
        let bed = Self { places: (0..hosts).map(place).collect(), cut: BTreeSet::new() };
        // From here on dropping the bed removes every namespace that was made.
        if let Err(error) = ip(None, &format!("netns add {}\n", name("hub"))) {
            return Err(BedError::Skipped(format!("this machine gives no network namespaces: {error}")));
        }
        bed.join(hosts).map_err(BedError::Failed)?;
        Ok(bed)
    }

    fn join(&self, hosts: usize) -> Result<(), String> {
        let hub = name("hub");
        let mut all = String::new();
        for index in 0..hosts {
            let _ = writeln!(all, "netns add {}", host_name(index));
        }
        ip(None, &all)?;
        let mut bridge = String::from("link add hub type bridge\nlink set hub up\n");
        for index in 0..hosts {
            let (namespace, hardware) = (host_name(index), hardware(index));
            let _ = writeln!(
                bridge,
                "link add port{index} type veth peer name eth0 netns {namespace} address {hardware}\n\
                 link set port{index} master hub\nlink set port{index} up"
            );
        }
        ip(Some(&hub), &bridge)?;
        for index in 0..hosts {
            let mut own =
                format!("link set lo up\naddress add {}/16 dev eth0\nlink set eth0 up\n", address(index));
            for other in (0..hosts).filter(|other| *other != index) {
                own.push_str(&neighbor(other, &hardware(other)));
            }
            ip(Some(&host_name(index)), &own)?;
        }
        Ok(())
    }
}

fn place(index: usize) -> Place {
    let [gossip, http, ctl] = PORTS;
    let local = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    Place {
        gossip: SocketAddr::new(IpAddr::V4(address(index)), gossip),
        // Operators and observers sit at the host itself, so no partition keeps them away.
        http: local(http),
        ctl: local(ctl),
        netns: Some(Path::new(NAMES).join(host_name(index))),
    }
}

fn neighbor(of: usize, hardware: &str) -> String {
    format!("neighbor replace {} lladdr {hardware} dev eth0 nud permanent\n", address(of))
}

/// Runs lines of `ip` commands, in a namespace; the error is the output of `ip` when it fails.
fn ip(namespace: Option<&str>, lines: &str) -> Result<(), String> {
    let mut command = Command::new("ip");
    if let Some(namespace) = namespace {
        command.args(["-netns", namespace]);
    }
    command.args(["-batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("ip: {error}"))?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(lines.as_bytes()).map_err(|error| format!("ip: {error}"))?;
    }
    let output = child.wait_with_output().map_err(|error| format!("ip: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("ip: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

impl Network for Netns {
    fn place(&self, host: HostId) -> &Place {
        &self.places[host.0 as usize]
    }

    fn connect(&mut self, host: HostId, connected: bool) -> Result<(), BedError> {
        let state = if connected { "up" } else { "down" };
        ip(Some(&name("hub")), &format!("link set port{} {state}\n", host.0)).map_err(BedError::Failed)
    }

    fn cut(&mut self, pairs: &[(HostId, HostId)]) -> Result<(), BedError> {
        let wanted: BTreeSet<(HostId, HostId)> = pairs.iter().copied().collect();
        let changed: Vec<(HostId, HostId)> = wanted.symmetric_difference(&self.cut).copied().collect();
        let senders: BTreeSet<HostId> = changed.iter().map(|(from, _)| *from).collect();
        for sender in senders {
            let mut lines = String::new();
            for (_, to) in changed.iter().filter(|(from, _)| *from == sender) {
                let to_index = to.0 as usize;
                let lost = wanted.contains(&(sender, *to));
                let hardware = if lost { NOWHERE.to_owned() } else { hardware(to_index) };
                lines.push_str(&neighbor(to_index, &hardware));
            }
            ip(Some(&host_name(sender.0 as usize)), &lines).map_err(BedError::Failed)?;
        }
        self.cut = wanted;
        Ok(())
    }

    fn cannot(&self, action: &Action) -> Option<&'static str> {
        beyond(action)
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        remove(&format!("{PREFIX}{}-", std::process::id()));
    }
}

/// Removes every namespace whose name begins so; its links go with it.
fn remove(prefix: &str) {
    for namespace in names().into_iter().filter(|name| name.starts_with(prefix)) {
        if let Err(error) = ip(None, &format!("netns delete {namespace}\n")) {
            eprintln!("namespace {namespace} is left behind: {error}");
        }
    }
}

/// Removes the namespaces that killed runs could not remove themselves.
fn remove_abandoned() {
    for namespace in names() {
        let process =
            namespace.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-')).map(|(pid, _)| pid);
        if process.is_some_and(|pid| !PathBuf::from("/proc").join(pid).exists()) {
            // Another run may have removed it first.
            let _ = ip(None, &format!("netns delete {namespace}\n"));
        }
    }
}

fn names() -> Vec<String> {
    let entries = fs::read_dir(NAMES).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_differ_from_the_first_to_the_last_host() {
        let all: BTreeSet<(Ipv4Addr, String)> =
            (0..HOSTS_MAX).map(|index| (address(index), hardware(index))).collect();
        assert_eq!(all.len(), HOSTS_MAX);
        assert!(all.iter().all(|(_, hardware)| hardware != NOWHERE));
        assert_eq!(address(0), Ipv4Addr::new(10, 213, 0, 1));
    }
}
