//! Answers requests about invitations to the ring.

use std::net::IpAddr;

use annulus_core::{CommandError, Node, UnixTime};

use super::invite_message::{
    InviteAddress, InviteLine, RingInvite, RingInviteRevoke, RingInvited, RingInvites, RingInvitesRevoked,
};
use super::message::{ErrCode, NetErr};
use super::request::Answer;
use super::{Ctl, convert};
use crate::gateway::disk;
use crate::invite::Invitations;
use crate::invite::line::{ADDRESSES_MAX, Address, Verifier};
use crate::invite::register::{Entry, RegisterError};

/// An open ring needs no invitation.
const OPEN_RING: &str = "this ring has no key, so no host needs an invitation: `annulus sup run --peer ADDRESS` on the second host is all. \
                         For a ring that lets in invited hosts alone, make a key first: `annulus ring key generate NAME`, then \
                         `annulus sup run --ring NAME`";

/// Ring, and invitations to it.
fn parts(ctl: &Ctl) -> Result<(String, Invitations), NetErr> {
    let ring = ctl.keyed.keeper.as_ref().map(|keeper| keeper.ring().to_owned());
    let parts = ring.zip(ctl.keyed.invitations.clone());
    parts.ok_or_else(|| NetErr::new(ErrCode::Conflict, OPEN_RING))
}

fn refusal(error: &RegisterError) -> NetErr {
    let code = match error {
        RegisterError::Io { .. } => ErrCode::Io,
        RegisterError::Full => ErrCode::EntityTooLarge,
        RegisterError::Time => ErrCode::InvalidPayload,
    };
    NetErr::new(code, error.to_string())
}

/// Changes the register away from the loop.
async fn change<T: Send + 'static>(
    ctl: &Ctl,
    invitations: Invitations,
    change: impl FnOnce(&Invitations, UnixTime) -> Result<T, RegisterError> + Send + 'static,
) -> Result<T, NetErr> {
    let now = ctl.clock.wall();
    let changed = disk::read(move || change(&invitations, now)).await;
    let changed = changed.map_err(|failed| NetErr::new(ErrCode::Internal, failed.to_string()))?;
    changed.map_err(|error| refusal(&error))
}

/// Where this supervisor takes itself to be reached.
struct Own {
    member: String,
    ip: Option<IpAddr>,
    port: u16,
    is_supposed: bool,
}

fn own(node: &Node) -> Own {
    let config = node.config();
    let listens: Option<IpAddr> = config.sys.gossip_ip.parse().ok();
    let is_supposed = config.advertise.is_none() && listens.is_none_or(|ip| ip.is_unspecified());
    let ip = config.sys.ip.parse().ok().filter(|ip: &IpAddr| !ip.is_loopback() && !ip.is_unspecified());
    Own { member: node.id().to_string(), ip, port: config.gossip_port, is_supposed }
}

pub(super) async fn make(ctl: &Ctl, request: RingInvite) -> Result<Answer, NetErr> {
    let (ring, invitations) = parts(ctl)?;
    let invalid = |reason: &str| NetErr::new(ErrCode::InvalidPayload, reason);
    let verifier = Verifier::from_bytes(&request.verifier).ok_or_else(|| invalid("a hash has 32 bytes"))?;
    let own = ctl.handle.read(own).await.map_err(|gone| NetErr::new(ErrCode::Conflict, gone.to_string()))?;
    let speaks = ctl.handle.read(Node::speaks_with).await;
    if speaks.is_ok_and(|key| key.is_clear()) {
        return Err(convert::refusal(&CommandError::NoRingKey));
    }
    let addresses = addresses(&own, &request.addresses)?;
    let for_ms = request.for_ms;
    let entry = change(ctl, invitations, move |all, now| all.register.add(&verifier, for_ms, now)).await?;
    tracing::info!(
        invitation = %entry.id, until_ms = entry.until_ms,
        "an operator invites a host into ring {ring}: invitation {}", entry.id
    );
    Ok(Answer::message(&RingInvited {
        ring,
        member_id: own.member,
        is_supposed: request.addresses.is_empty() && own.is_supposed,
        addresses,
        id: entry.id,
        until_ms: entry.until_ms,
    }))
}

/// The addresses of a line: those that were given, else the own one.
fn addresses(own: &Own, given: &[InviteAddress]) -> Result<Vec<InviteAddress>, NetErr> {
    if given.len() > ADDRESSES_MAX {
        let reason =
            format!("an invitation names at most {ADDRESSES_MAX} addresses, and {} are given", given.len());
        return Err(NetErr::new(ErrCode::InvalidPayload, reason));
    }
    if given.is_empty() {
        let ip = own.ip.ok_or_else(|| {
            let port = own.port;
            let reason = format!(
                "this supervisor knows no address of its own that other hosts reach: say it, as in `annulus ring invite --address \
                 HOST:{port}`, or start it with --listen-gossip or --advertise-gossip"
            );
            NetErr::new(ErrCode::InvalidPayload, reason)
        })?;
        return Ok(vec![InviteAddress { host: ip.to_string(), port: Some(own.port.into()) }]);
    }
    let whole = |at: &InviteAddress| {
        let port = at.port.map_or(Some(own.port), |port| u16::try_from(port).ok());
        let address = port.and_then(|port| Address::new(&at.host, port)).ok_or_else(|| {
            let reason = "an address is a host and a port that other hosts reach: write HOST or HOST:PORT";
            NetErr::new(ErrCode::InvalidPayload, reason)
        })?;
        Ok(InviteAddress { host: address.host().to_owned(), port: Some(address.port().into()) })
    };
    given.iter().map(whole).collect()
}

pub(super) fn list(ctl: &Ctl) -> Result<Answer, NetErr> {
    let (ring, invitations) = parts(ctl)?;
    let now = ctl.clock.wall();
    let line = |entry: &Entry| InviteLine {
        id: entry.id.clone(),
        state: entry.stage(now).name().to_owned(),
        made_ms: entry.made_ms,
        until_ms: entry.until_ms,
        used_by: entry.used.as_ref().map(|used| used.member.clone()),
        used_ms: entry.used.as_ref().map(|used| used.at_ms),
    };
    let invitations = invitations.register.list().iter().map(line).collect();
    Ok(Answer::message(&RingInvites { ring, invitations }))
}

pub(super) async fn revoke(ctl: &Ctl, request: RingInviteRevoke) -> Result<Answer, NetErr> {
    let (_, invitations) = parts(ctl)?;
    let id = request.id.clone();
    let ids = change(ctl, invitations, move |all, now| all.register.revoke(id.as_deref(), now)).await?;
    if let Some(id) = request.id.filter(|_| ids.is_empty()) {
        let id: String = id.chars().take(16).collect();
        let reason = format!("there is no open invitation {id:?}; `annulus ring invite --list` shows them");
        return Err(NetErr::new(ErrCode::NotFound, reason));
    }
    ids.iter().for_each(|id| tracing::info!(invitation = %id, "an operator took invitation {id} back"));
    Ok(Answer::message(&RingInvitesRevoked { ids }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invitation_names_an_address_that_other_hosts_can_reach() {
        let own = |ip: Option<&str>| Own {
            member: String::new(),
            ip: ip.map(|ip| ip.parse().expect("an address")),
            port: 7,
            is_supposed: true,
        };
        let given = |host: &str, port| InviteAddress { host: host.to_owned(), port };
        assert_eq!(addresses(&own(Some("10.0.0.1")), &[]).expect("its own"), [given("10.0.0.1", Some(7))]);
        let unknown = addresses(&own(None), &[]).expect_err("none");
        assert!(unknown.msg.contains("--address HOST:7"), "{}", unknown.msg);
        let named = addresses(&own(None), &[given("one", None), given("::1", Some(9))]).expect("given");
        assert_eq!(named, [given("one", Some(7)), given("::1", Some(9))]);
        for bad in [given("a b", None), given("a", Some(0)), given("a", Some(70_000))] {
            assert!(addresses(&own(None), &[bad]).is_err());
        }
        assert!(addresses(&own(None), &vec![given("one", None); ADDRESSES_MAX + 1]).is_err());
    }
}
