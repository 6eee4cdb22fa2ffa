//! Looks up peers by name: when the supervisor starts, and again and again while it is alone. Gives the node
//! addresses, and never joins a ring itself.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use annulus_core::limits::PEERS_MAX;
use annulus_core::{Command, MemberRecord, State};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{sleep, timeout};

use super::options::Peer;
use crate::gateway::keyed::Keyed;
use crate::gateway::lookout::Lookout;
use crate::host::clock::Clock;
use crate::supervisor::handle::DriverHandle;

/// A name server that does not answer within this is given up.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// A peer has this long to answer before it is told of …
const ANSWER_GRACE: Duration = Duration::from_secs(10);
/// … and is looked at so often.
const ANSWER_PERIOD: Duration = Duration::from_secs(30);

/// The peers that were given as addresses.
pub(super) fn literal(peers: &[Peer]) -> Vec<SocketAddr> {
    let address = |peer: &Peer| peer.host.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, peer.port));
    peers.iter().filter_map(address).take(PEERS_MAX).collect()
}

/// Keeps the node's peers up to date with the addresses of their names. Ends at once when no peer is given by name.
pub(super) async fn follow(peers: Vec<Peer>, handle: DriverHandle, period: Duration) {
    let mut known = literal(&peers);
    if known.len() == peers.len() {
        return;
    }
    let mut unresolved: Vec<String> = Vec::new();
    loop {
        let (addresses, failed) = resolve(&peers).await;
        for (name, reason) in &failed {
            if !unresolved.contains(name) {
                tracing::warn!(peer = %name, "peer {name} cannot be resolved: {reason}; trying again every {period:?}");
            }
        }
        unresolved = failed.into_iter().map(|(name, _)| name).collect();
        if addresses != known && !addresses.is_empty() {
            tracing::debug!(?addresses, "peers resolved");
            known.clone_from(&addresses);
            handle.command(Command::SetPeers(addresses)).await;
        }
        loop {
            sleep(period).await;
            let others = handle.read(|node| {
                node.members()
                    .iter()
                    .any(|m| m.id != node.id() && matches!(m.state, State::Alive | State::Suspect))
            });
            match others.await {
                Ok(true) => {}
                Ok(false) => break,
                Err(_) => return,
            }
        }
    }
}

/// Tells once of each peer that does not answer, and when it does again, until the supervisor ends. Nothing else follows
/// from it: the ring may hold without that peer, and the node goes on trying.
pub(super) async fn watch(
    peers: Vec<Peer>,
    (handle, clock): (DriverHandle, Clock),
    lookout: Lookout,
    keyed: Keyed,
) {
    // A ring that starts as a whole needs a moment.
    sleep(ANSWER_GRACE).await;
    while !peers.is_empty() {
        let alive = handle.read(|node| {
            let alive = |member: &&MemberRecord| member.state == State::Alive;
            let others = node.members_unsorted().filter(alive).filter(|member| member.id != node.id());
            let others = others.map(MemberRecord::gossip_addr).collect::<Vec<_>>();
            (others, node.config().gossip_port, node.speaks_with())
        });
        let Ok((alive, own_port, key)) = alive.await else { return };
        let ring =
            keyed.keeper.as_ref().and_then(|keeper| keeper.held().get(&key)).map(|key| key.id.to_string());
        let unread = keyed.rejected.unread();
        for peer in &peers {
            let name = peer.to_string();
            match answers(peer, &alive, own_port)
                .await
                .map_err(|silence| silence.reason(ring.as_deref(), unread))
            {
                Ok(()) if lookout.answers(&name) => tracing::info!(peer = %name, "peer {name} answers now"),
                Ok(()) => {}
                Err(reason) => {
                    if lookout.is_silent(&name, &reason, clock.wall()) {
                        tracing::warn!(
                            peer = %name,
                            "peer {name} does not answer: {reason}; `annulus sup ring` lists it until it answers"
                        );
                    }
                }
            }
        }
        tokio::select! {
            () = sleep(ANSWER_PERIOD) => {}
            _ = handle.ended() => return,
        }
    }
}

/// Why a peer is thought to be silent.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Silence {
    /// It could not be connected to.
    Closed(String),
    /// Its port is open, and this supervisor is alone all the same.
    Deaf,
}

impl Silence {
    /// The reason in words. A peer that rejects this supervisor because of a key says nothing, so this is all that can be
    /// known here.
    fn reason(self, ring: Option<&str>, unread: u64) -> String {
        match (self, ring) {
            (Self::Closed(reason), _) => format!("{reason}; does a supervisor run there?"),
            (Self::Deaf, None) => format!(
                "its port is open, and it answers no message of this supervisor; {unread} messages could not be read here. Where \
                 its ring has a key, start this supervisor with --ring"
            ),
            (Self::Deaf, Some(key)) => format!(
                "its port is open, and it answers no message that is sealed with {key}; {unread} messages could not be read \
                 here. Where its ring has another key, or a newer one, give that to this host"
            ),
        }
    }
}

/// Whether a supervisor listens at a peer's address: an alive member has it, or its port can be connected to and another
/// member is alive, whose address may be a second one of that host.
async fn answers(peer: &Peer, alive: &[SocketAddr], own_port: u16) -> Result<(), Silence> {
    let closed = |reason: String| Err(Silence::Closed(reason));
    let addresses = timeout(LOOKUP_TIMEOUT, lookup_host((peer.host.as_str(), peer.port))).await;
    let addresses: Vec<SocketAddr> = match addresses {
        Ok(Ok(found)) => found.collect(),
        Ok(Err(error)) => return closed(error.to_string()),
        Err(_) => return closed("its name is not resolved in time".to_owned()),
    };
    let mut reason = "its name has no address".to_owned();
    for address in addresses {
        if alive.contains(&address) {
            return Ok(());
        }
        match timeout(LOOKUP_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) if alive.is_empty() && !is_own(&stream, own_port) => return Err(Silence::Deaf),
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => reason = error.to_string(),
            Err(_) => reason = "no answer in time".to_owned(),
        }
    }
    closed(reason)
}

/// Whether the connection leads to this supervisor itself, which its operator may name among the peers.
fn is_own(stream: &TcpStream, own_port: u16) -> bool {
    let ends = stream.local_addr().ok().zip(stream.peer_addr().ok());
    ends.is_some_and(|(here, there)| here.ip() == there.ip() && there.port() == own_port)
}

/// The addresses of the peers that resolve, in order and once each, and the reasons why the others do not.
async fn resolve(peers: &[Peer]) -> (Vec<SocketAddr>, Vec<(String, String)>) {
    let (mut addresses, mut failed) = (Vec::new(), Vec::new());
    for peer in peers {
        match timeout(LOOKUP_TIMEOUT, lookup_host((peer.host.as_str(), peer.port))).await {
            Ok(Ok(found)) => addresses.extend(found),
            Ok(Err(error)) => failed.push((peer.to_string(), error.to_string())),
            Err(_) => failed.push((peer.to_string(), "no answer in time".to_owned())),
        }
    }
    let mut once = Vec::new();
    for address in addresses {
        if once.len() < PEERS_MAX && !once.contains(&address) {
            once.push(address);
        }
    }
    (once, failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_and_addresses_become_addresses_once_each() {
        let known = ["127.0.0.1:7", "localhost:7"].iter().map(|p| p.parse().expect("a peer"));
        // A name that is too long, so that no name server is asked.
        let too_long = Peer { host: "x".repeat(300), port: 7 };
        let peers: Vec<Peer> = known.chain([too_long.clone()]).collect();
        assert_eq!(literal(&peers), ["127.0.0.1:7".parse().expect("an address")]);
        let (addresses, failed) = resolve(&peers).await;
        let wanted: SocketAddr = "127.0.0.1:7".parse().expect("an address");
        assert_eq!(addresses.iter().filter(|a| **a == wanted).count(), 1);
        assert_eq!(failed.first().map(|f| f.0.clone()), Some(too_long.to_string()));
    }

    #[tokio::test]
    async fn a_peer_answers_where_a_program_listens_or_a_member_is() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let at = listener.local_addr().expect("an address");
        let peer = Peer { host: at.ip().to_string(), port: at.port() };
        let elsewhere = "192.0.2.1:7".parse().expect("an address");
        assert_eq!(answers(&peer, &[elsewhere], 1).await, Ok(()));
        let deaf = answers(&peer, &[], 1).await.expect_err("this supervisor is alone");
        assert!(
            deaf.clone()
                .reason(None, 4)
                .contains("4 messages could not be read here. Where its ring has a key")
        );
        assert!(deaf.reason(Some("prod-1"), 0).contains("sealed with prod-1"));
        assert_eq!(answers(&peer, &[], at.port()).await, Ok(()), "it is this supervisor itself");
        drop(listener);
        let reason = answers(&peer, &[], 1).await.expect_err("no program listens there").reason(None, 0);
        assert!(reason.contains("refused"), "{reason}");
        assert_eq!(answers(&peer, &[at], 1).await, Ok(()), "an alive member has the address");
    }
}
