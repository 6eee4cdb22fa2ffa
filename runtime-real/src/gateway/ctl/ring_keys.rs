//! Answers requests about the keys of the ring.

use std::collections::{BTreeMap, BTreeSet};

use annulus_core::limits::NAME_BYTES_MAX;
use annulus_core::{Command, CommandError, KeyringView, Node, Reply, RingKeyId};

use super::key_message::{RingKeyLine, RingKeyMember, RingKeyStatus, RingKeyUse};
use super::message::{ErrCode, NetErr};
use super::request::{Answer, command};
use super::{Ctl, convert, ring};
use crate::keys::{HeldKey, KeyCache, KeyKind};
use crate::supervisor::ring_keys::RingKeeper;

fn keeper(ctl: &Ctl) -> Result<&RingKeeper, NetErr> {
    ctl.keyed.keeper.as_ref().ok_or_else(|| convert::refusal(&CommandError::NoRingKey))
}

pub(super) async fn status(ctl: &Ctl) -> Result<Answer, NetErr> {
    let keeper = keeper(ctl)?;
    let ring = keeper.ring().to_owned();
    let status = ctl.handle.read(move |node| node.ring_keys().map(|view| look(node, ring, &view))).await;
    let status = status.map_err(|gone| NetErr::new(ErrCode::Conflict, gone.to_string()))?;
    let mut status = status.ok_or_else(|| convert::refusal(&CommandError::NoRingKey))?;
    status.hears_clear = keeper.held().hears_clear();
    status.heard_in_the_clear = ctl.keyed.rejected.heard_in_the_clear();
    Ok(Answer::message(&status))
}

/// Offers a key, or makes it current at once; answers with the state afterwards.
pub(super) async fn use_key(ctl: &Ctl, request: RingKeyUse) -> Result<Answer, NetErr> {
    let keeper = keeper(ctl)?;
    if request.ring != keeper.ring() {
        let given: String = request.ring.chars().take(NAME_BYTES_MAX).collect();
        let reason = format!("this supervisor's ring is {:?}, not {given:?}", keeper.ring());
        return Err(NetErr::new(ErrCode::NotFound, reason));
    }
    // A file that was just made counts.
    keeper.look(&ctl.handle).await;
    let key = chosen(keeper, &KeyCache::new(ctl.root.keys()), request.revision.as_deref())?;
    let RingKeyUse { ring, force, grace_ms, .. } = request;
    match command(ctl, Command::UseKey { key, ring, force, grace_ms }).await? {
        Reply::Done | Reply::Unchanged | Reply::Failed(_) => status(ctl).await,
    }
}

/// The key that an operator means.
fn chosen(keeper: &RingKeeper, cache: &KeyCache, revision: Option<&str>) -> Result<RingKeyId, NetErr> {
    let Some(revision) = revision else {
        let newest = keeper.held().list().pop();
        return newest.map(|key| key.ring_id()).ok_or_else(|| convert::refusal(&CommandError::NoRingKey));
    };
    match keeper.held().of_revision(revision).as_slice() {
        [one] => Ok(one.ring_id()),
        [] => {
            // A file that is not in use, because it is older than the current key: the core says so.
            let id = format!("{}-{revision}", keeper.ring()).parse();
            let id = id.map_err(|error: crate::keys::KeyError| {
                NetErr::new(ErrCode::InvalidPayload, error.to_string())
            })?;
            let file = cache.load(&id, KeyKind::Shared);
            let file = file.map_err(|error| NetErr::new(ErrCode::NotFound, error.to_string()))?;
            let key = HeldKey::of(&file).map(|key| key.ring_id());
            key.ok_or_else(|| NetErr::new(ErrCode::NotFound, format!("{id} is no key of a ring")))
        }
        several => {
            let reason = format!(
                "this host has {} keys of revision {revision}, which were made apart in one second: generate another one, and use \
                 that",
                several.len()
            );
            Err(NetErr::new(ErrCode::Conflict, reason))
        }
    }
}

fn look(node: &Node, ring_name: String, view: &KeyringView) -> RingKeyStatus {
    let census = node.census();
    let address = |id| node.member(id).map(|record| record.gossip_addr().to_string()).unwrap_or_default();
    let members = view.members.iter().map(|(id, state, said)| RingKeyMember {
        member_id: id.to_string(),
        host: ring::host(node, &census, id),
        address: address(id),
        state: state.name().to_owned(),
        speaks: said.as_ref().map(|said| revision(&said.speaks)),
    });
    RingKeyStatus {
        ring: ring_name,
        answered_by: node.id().to_string(),
        keys: lines(view),
        members: members.collect(),
        hears_clear: false,
        heard_in_the_clear: 0,
    }
}

fn revision(key: &RingKeyId) -> String {
    if key.is_clear() { "clear".to_owned() } else { format!("{:014}", key.revision) }
}

/// Every key that the ring or a member speaks of.
fn lines(view: &KeyringView) -> Vec<RingKeyLine> {
    let facts: BTreeMap<_, _> = view.keys.iter().map(|fact| (fact.key, fact)).collect();
    let current = view.keys.iter().filter(|fact| fact.is_current).map(|fact| fact.key).max();
    let current = current.unwrap_or(view.speaks).max(view.speaks);
    let said = view.members.iter().filter_map(|(_, _, said)| said.as_ref());
    let mut keys: BTreeSet<RingKeyId> =
        said.flat_map(|said| said.opens.iter().map(|open| open.key)).collect();
    keys.extend(facts.keys());
    keys.into_iter()
        .map(|key| {
            let fact = facts.get(&key);
            let state = match fact {
                _ if key.is_clear() => "clear",
                _ if key == current => "current",
                _ if key < current => "retired",
                Some(_) => "offered",
                None => "new",
            };
            // A member that says nothing of keys is none that needs one to open the clear.
            let can_open = |said: &Option<annulus_core::MemberKeys>| {
                said.as_ref().map_or(key.is_clear(), |said| said.can_open(&key))
            };
            let (with, without): (Vec<_>, Vec<_>) =
                view.members.iter().partition(|(_, _, said)| can_open(said));
            let open = view.opens.iter().find(|open| open.key == key);
            RingKeyLine {
                revision: revision(&key),
                fingerprint: key.fingerprint.iter().map(|byte| format!("{byte:02x}")).collect(),
                state: state.to_owned(),
                since_ms: fact.map(|fact| fact.since.as_millis()),
                until_ms: open.and_then(|open| open.until).map(annulus_core::UnixTime::as_millis),
                by: fact.map(|fact| fact.by.to_string()),
                opened_by: with.iter().map(|(id, ..)| id.to_string()).collect(),
                lacked_by: without.iter().map(|(id, ..)| id.to_string()).collect(),
            }
        })
        .collect()
}
