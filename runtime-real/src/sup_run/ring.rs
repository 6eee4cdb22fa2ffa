//! Which ring a supervisor starts in, and with which keys: by an option, by an invitation, or open. Decides nothing while it runs.

use std::time::Duration;

use annulus_core::{KeyRecord, Sign as _, Snapshot, Told};

use super::StartError;
use super::boot;
use super::join::{Guests, Joining};
use super::options::Settings;
use crate::gateway::keyed::Keyed;
use crate::host::clock::{self, Clock};
use crate::host::root::{Root, SupDir};
use crate::host::secret_env::RING_KEY_ENV;
use crate::invite::Invitations;
use crate::invite::register::Register;
use crate::keys::{KeyCache, RingError, RingKey};
use crate::net::{GateParts, Rejected};
use crate::supervisor::identity::MemberKey;
use crate::supervisor::ring_file::RingFile;
use crate::supervisor::ring_keys::{self, RingKeeper};

/// Names the ring, as `--ring` does (as in Habitat).
pub(super) const RING_ENV: &str = "HAB_RING";
/// How often it is said that a ring with a key hears the clear.
const CLEAR_WARNING_PERIOD: Duration = Duration::from_secs(600);

/// Uses an invitation. Nothing is listened on until the ring's key is there.
pub(super) async fn join_first(
    joining: Joining,
    (root, sup): (&Root, &SupDir),
    settings: &mut Settings,
) -> Result<Option<RingKey>, StartError> {
    match joining.carry_out(settings).await? {
        Some(key) => Ok(Some(key)),
        None => Ok(ring_key(root, sup, settings.ring.as_deref())?),
    }
}

/// Warns as long as this supervisor hears what is said in the clear.
async fn warn_of_the_clear(rejected: Rejected) {
    loop {
        tracing::warn!(
            heard = rejected.heard_in_the_clear(),
            "--ring-accept clear: any host that reaches the gossip port of this supervisor is heard; {} messages in the clear so \
             far; once they become no more, start it without",
            rejected.heard_in_the_clear()
        );
        tokio::time::sleep(CLEAR_WARNING_PERIOD).await;
    }
}

/// What this member had on disk of the ring's keys. Of another member's it goes on without what that one opened.
fn key_record(member: &MemberKey, restored: Option<&Snapshot>) -> KeyRecord {
    let rumors = restored.map(|snapshot| snapshot.rumors.iter().map(Told::rumor));
    KeyRecord::of(&member.id(), rumors.into_iter().flatten())
}

/// A supervisor that had a key of a ring and is started without one speaks with other members than before, or with strangers.
fn warn_of_kept_keys(sup: &SupDir) {
    for ring in ring_keys::rings_kept(&sup.ring_keys()) {
        tracing::warn!(
            "no ring is named, so this supervisor speaks in the clear, and it was a member of the ring {ring} with a key, which {} \
             holds; start it with --ring {ring} to speak with that key, or remove that folder once the ring has none any more",
            sup.ring_keys().display()
        );
    }
}

/// The keys of the ring on this host.
fn keeper(
    ring: Option<&RingKey>,
    (root, sup): (&Root, &SupDir),
    member: &MemberKey,
    known: (&KeyRecord, bool),
) -> Result<Option<RingKeeper>, StartError> {
    let Some(ring) = ring else { return Ok(None) };
    let own = sup.ring_keys();
    let folders = (KeyCache::new(root.keys()), own.clone());
    let keeper = RingKeeper::start(ring, folders, member.box_key(), known);
    keeper.map(Some).map_err(|source| StartError::RingCopies { path: own, source })
}

/// The key of the ring that a supervisor is told to use. One that is started again after a crash has services to look after:
/// where the file is gone, the copy that the last supervisor kept takes its place.
pub(super) fn ring_key(root: &Root, sup: &SupDir, ring: Option<&str>) -> Result<Option<RingKey>, RingError> {
    let is_empty = |name| std::env::var_os(name).is_some_and(|value| value.is_empty());
    if ring.is_none() && is_empty(RING_ENV) {
        return Err(RingError::Empty { name: RING_ENV });
    }
    if ring == Some("") {
        return Err(RingError::Empty { name: "--ring" });
    }
    if is_empty(RING_KEY_ENV) {
        return Err(RingError::Empty { name: RING_KEY_ENV });
    }
    let found = RingKey::given(ring, &KeyCache::new(root.keys()), clock::wall());
    let Err(error) = found else { return found };
    let kept = ring.and_then(|ring| ring_keys::last_kept(&sup.ring_keys(), ring));
    let Some(kept) = kept.filter(|_| error.is_missing()) else { return Err(error) };
    Ok(Some(RingKey::kept(kept)))
}

/// The gate of the gossip port, and what the gateways tell of it. The number of this start is on disk then.
pub(super) fn keyed(
    key: Option<RingKey>,
    (root, sup): (&Root, &SupDir),
    (member, restored): (&MemberKey, Option<&Snapshot>),
    settings: &Settings,
    clock: Clock,
) -> Result<(GateParts, Keyed, Option<Guests>), StartError> {
    let record = key_record(member, restored);
    let keeper = keeper(key.as_ref(), (root, sup), member, (&record, settings.hears_clear))?;
    let (rejected, file) = (Rejected::new(clock), RingFile::default());
    let mut gate = GateParts::open(rejected.clone());
    if key.is_none() {
        warn_of_kept_keys(sup);
    }
    let invitations = key.as_ref().map(|_| Invitations::new(Register::open(sup.invitations()), clock));
    let guests = key.as_ref().map(|_| Guests::through(&mut gate, member));
    if let Some(key) = &key {
        let keys = KeyCache::new(root.keys());
        if key.is_copy() {
            tracing::warn!(
                "the key cache {} has no key of the ring {}: this supervisor goes on with its own copy of {}; put the file back",
                keys.dir().display(),
                key.id().name(),
                key.id()
            );
        }
        for remark in key.remarks(&keys, clock.wall()) {
            tracing::warn!("{remark}");
        }
        if keeper.as_ref().is_some_and(|keeper| keeper.held().hears_clear()) {
            tokio::spawn(warn_of_the_clear(rejected.clone()));
        }
        let spoken = keeper.as_ref().map_or_else(|| key.id().clone(), |keeper| keeper.spoken(&record, key));
        tracing::info!(ring = key.id().name(), key = %spoken, "ring {} with the key {spoken}", key.id().name());
        gate.keys = keeper.as_ref().map(RingKeeper::held).cloned().zip(Some(boot::raise(&sup.data())?));
    }
    Ok((gate, Keyed { key, keeper, invitations, rejected, file }, guests))
}
