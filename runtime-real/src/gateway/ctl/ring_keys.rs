//! Answers requests about the keys of the ring.

use std::collections::{BTreeMap, BTreeSet};

use annulus_core::limits::NAME_BYTES_MAX;
use annulus_core::{Command, CommandError, KeyringView, Node, Reply, RingKeyId, UnixTime};

use super::key_message::{RingKeyLine, RingKeyMember, RingKeyStatus, RingKeyUse};
use super::message::{ErrCode, NetErr};
use super::request::{Answer, command};
use super::{Ctl, convert, ring};
use crate::host::timestamp;
use crate::keys::{HeldKey, KeyCache, KeyKind};
use crate::supervisor::ring_keys::RingKeeper;

/// A key made so far ahead of this host's clock is used on request only, in milliseconds.
const AHEAD_MS_MAX: u64 = 86_400_000;
/// Why an emergency is not offered.
const WITHOUT_FORCE: &str = "--grace 0 is an emergency, in which members hand the new key to no other: it would wait for ever for \
     those that lack it; use it at once with --force, or give older keys a grace";

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
    if request.grace_ms == 0 && !request.force {
        return Err(NetErr::new(ErrCode::InvalidPayload, WITHOUT_FORCE));
    }
    // A file that was just made counts.
    keeper.look(&ctl.handle).await;
    let current = ctl.handle.read(Node::speaks_with).await;
    let current = current.map_err(|gone| NetErr::new(ErrCode::Conflict, gone.to_string()))?;
    let key = chosen(keeper, &KeyCache::new(ctl.root.keys()), request.revision.as_deref(), current)?;
    if !request.force {
        check_clock(key, current, ctl.clock.wall())?;
    }
    let RingKeyUse { ring, force, grace_ms, .. } = request;
    match command(ctl, Command::UseKey { key, ring, force, grace_ms }).await? {
        Reply::Done | Reply::Unchanged | Reply::Failed(_) => status(ctl).await,
    }
}

/// A key that was made ahead of the clock would be the newest until then. Where the ring speaks with such a one already, only
/// one like it can follow.
fn check_clock(key: RingKeyId, current: RingKeyId, now: UnixTime) -> Result<(), NetErr> {
    let limit = timestamp::digits(UnixTime::from_millis(now.as_millis().saturating_add(AHEAD_MS_MAX)));
    let is_ahead = |key: RingKeyId| revision(&key) > limit;
    if !is_ahead(key) || !current.is_clear() && is_ahead(current) {
        return Ok(());
    }
    let reason = format!(
        "the ring key {} was made ahead of this host's clock ({}): once it is current, no key of a right clock replaces it until \
         then; generate another one, or use it all the same with --force",
        revision(&key),
        timestamp::rfc3339_millis(now)
    );
    Err(NetErr::new(ErrCode::Conflict, reason))
}

/// The key that an operator means.
fn chosen(
    keeper: &RingKeeper,
    cache: &KeyCache,
    revision: Option<&str>,
    current: RingKeyId,
) -> Result<RingKeyId, NetErr> {
    let Some(revision) = revision else {
        let newest = keeper.held().list().pop();
        return newest.map(|key| key.ring_id()).ok_or_else(|| convert::refusal(&CommandError::NoRingKey));
    };
    match keeper.held().of_revision(revision).as_slice() {
        [one] => Ok(one.ring_id()),
        // With a file or without, it stays retired.
        [] if revision.parse().is_ok_and(|revision: u64| revision < current.revision) => {
            Err(convert::refusal(&CommandError::KeyIsOlder { current }))
        }
        [] => {
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
                grace_ms: fact.map(|fact| fact.grace_ms),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_a_wrong_clock_is_used_on_request_only() {
        let now = UnixTime::from_millis(1_796_055_207_000);
        let key = |revision| RingKeyId::simulated(revision, 0);
        let (today, ahead) = (key(20_261_130_161_327), key(20_270_301_000_000));
        assert!(check_clock(today, key(20_260_101_000_000), now).is_ok());
        let refused = check_clock(ahead, today, now).expect_err("ahead").msg;
        assert!(refused.contains("20270301000000") && refused.contains("--force"), "{refused}");
        assert!(check_clock(key(20_270_301_000_001), ahead, now).is_ok(), "a rotation goes on");
    }

    #[test]
    fn an_older_key_is_named_so_with_a_file_or_without() {
        let dir = tempfile::tempdir().expect("a directory");
        let cache = KeyCache::new(dir.path().join("keys"));
        let id = cache.generate_ring("prod", UnixTime::from_millis(1_796_055_207_000)).expect("made");
        let given =
            crate::keys::RingKey::find(Some("prod"), None, &cache, UnixTime::from_millis(1_796_055_207_000))
                .expect("usable")
                .expect("a key");
        let folders = (cache.clone(), dir.path().join("own"));
        let secret = crate::keys::crypto::BoxSecretKey::generate();
        let record = (&annulus_core::KeyRecord::default(), false);
        let keeper = RingKeeper::start(&given, folders, secret, record).expect("started");
        let current = keeper.held().list()[0].ring_id();
        let refused = chosen(&keeper, &cache, Some("20260101000000"), current).expect_err("older").msg;
        assert!(refused.contains("is current and newer"), "{refused}");
        assert_eq!(
            chosen(&keeper, &cache, Some(id.revision()), current).map_err(|refused| refused.msg),
            Ok(current)
        );
    }
}
