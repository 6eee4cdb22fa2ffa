//! Keys of a simulated ring: by name only. A message carries the name of the key that sealed it, and a host that does not
//! have that key does not hear it.

use annulus_core::{EffectId, EffectResult, KeyDone, KeyWork, RingKeyId, RingKeys};

use crate::engine::deed::Deed;

use crate::engine::ids::{HostId, PacketId};
use crate::engine::work::{Work, times};
use crate::engine::world::World;

/// Messages whose keys are remembered: far more than are ever on their way at one time.
const SEALED_MAX: usize = 1 << 20;
/// Key files that a daemon looks at when it starts.
const FILES_MAX: usize = 3;

/// The key of this revision. A ring has one of each.
pub(crate) fn key(revision: u64) -> RingKeyId {
    RingKeyId::simulated(revision, 0)
}

/// The public key of a host's member.
fn box_key(index: u32) -> [u8; 32] {
    let mut key = [0; 32];
    key[..4].copy_from_slice(&index.to_le_bytes());
    key
}

impl<D: Deed> World<D> {
    /// What the supervisor of a host finds in its key cache; none in an open ring.
    pub(super) fn ring_keys(&self, index: u32) -> Option<RingKeys> {
        let held = &self.hosts[index as usize].rest.ring_keys;
        let speaks = *held.last()?;
        let mut opens: Vec<RingKeyId> = held.iter().rev().take(FILES_MAX).copied().collect();
        opens.reverse();
        Some(RingKeys { opens, speaks, box_key: box_key(index) })
    }

    /// A key file is put on a host, where its supervisor sees it.
    pub(crate) fn put_key(&mut self, host: HostId, revision: u64) {
        self.hosts[host.0 as usize].rest.ring_keys.insert(key(revision));
    }

    /// What an attacker who sits on a host seals with.
    pub(super) fn speaks(&self, host: HostId) -> RingKeyId {
        self.hosts[host.0 as usize].rest.ring_keys.last().copied().unwrap_or(RingKeyId::CLEAR)
    }

    /// What a recorder's messages of a host are sealed with: it has no key, and cannot seal them anew.
    pub(super) fn first_key(&self, host: HostId) -> RingKeyId {
        self.hosts[host.0 as usize].rest.ring_keys.first().copied().unwrap_or(RingKeyId::CLEAR)
    }

    /// Notes what a packet was sealed with.
    pub(super) fn seal(&mut self, packet: PacketId, key: RingKeyId) {
        if key.is_clear() {
            return;
        }
        if self.sealed.len() >= SEALED_MAX {
            self.sealed.pop_first();
        }
        self.sealed.insert(packet, key);
    }

    /// The key that opens a packet on this host; none where it has it not.
    pub(super) fn open(&self, index: u32, packet: PacketId) -> Option<RingKeyId> {
        let key = self.sealed.get(&packet).copied().unwrap_or(RingKeyId::CLEAR);
        let held = &self.hosts[index as usize].rest.ring_keys;
        let can_open = if key.is_clear() { held.is_empty() } else { held.contains(&key) };
        can_open.then_some(key)
    }

    pub(super) fn work_with_key(&mut self, index: u32, id: EffectId, work: KeyWork) {
        let held = &mut self.hosts[index as usize].rest.ring_keys;
        let done = match work {
            KeyWork::Seal { key, box_key } if held.contains(&key) => {
                KeyDone::Sealed([&key.revision.to_le_bytes()[..], &key.fingerprint, &box_key].concat())
            }
            KeyWork::Seal { key, .. } => KeyDone::Failed(format!("this host does not have {key}")),
            KeyWork::Open { key, sealed } => {
                let expected = [&key.revision.to_le_bytes()[..], &key.fingerprint, &box_key(index)].concat();
                if sealed == expected {
                    held.insert(key);
                    KeyDone::Done
                } else {
                    KeyDone::Failed(String::from("it is sealed for another member"))
                }
            }
            KeyWork::Drop { key } => {
                held.remove(&key);
                KeyDone::Done
            }
        };
        self.after(times::AT_ONCE, index, Work::Answer(id, EffectResult::RingKey(done)));
    }
}
