//! Bounds the bytes of frames that wait, for each peer and for all together, so that no peer takes the room of the
//! others. Knows nothing of sockets.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Frames of so many bytes at most have room of their own: what is short is not held up by what is long.
pub(super) const SMALL_BYTES_MAX: usize = 64 * 1024;

/// How many bytes may wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// In frames longer than [`SMALL_BYTES_MAX`], of all peers together.
    pub(super) large_bytes: usize,
    /// In such frames of one peer; at least as much as the longest frame.
    pub(super) peer_large_bytes: usize,
    /// In shorter frames, of all peers together.
    pub(super) small_bytes: usize,
    /// In shorter frames of one peer.
    pub(super) peer_small_bytes: usize,
}

/// The room of all peers, of which each may take a part. Peers are told apart by `K`.
#[derive(Debug)]
pub(super) struct Budget<K> {
    limits: Limits,
    large: Arc<Semaphore>,
    small: Arc<Semaphore>,
    peers: Mutex<BTreeMap<K, Weak<PeerRoom>>>,
}

impl<K: Ord> Budget<K> {
    pub(super) fn new(limits: Limits) -> Self {
        assert!(limits.peer_large_bytes <= limits.large_bytes, "one peer's room is a part of the whole");
        assert!(limits.peer_small_bytes <= limits.small_bytes, "one peer's room is a part of the whole");
        assert!(SMALL_BYTES_MAX <= limits.peer_small_bytes, "a short frame finds room");
        let (large, small) = (Semaphore::new(limits.large_bytes), Semaphore::new(limits.small_bytes));
        Self { limits, large: Arc::new(large), small: Arc::new(small), peers: Mutex::default() }
    }

    /// The room of this peer: the same one as long as it is used, or a share of it.
    pub(super) fn of(&self, peer: K) -> Arc<PeerRoom> {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(room) = peers.get(&peer).and_then(Weak::upgrade) {
            return room;
        }
        peers.retain(|_, room| room.strong_count() > 0);
        let own = |bytes| Arc::new(Semaphore::new(bytes));
        let room = Arc::new(PeerRoom {
            large: Room { own: own(self.limits.peer_large_bytes), common: Arc::clone(&self.large) },
            small: Room { own: own(self.limits.peer_small_bytes), common: Arc::clone(&self.small) },
            connections: AtomicUsize::new(0),
        });
        peers.insert(peer, Arc::downgrade(&room));
        room
    }
}

/// What one peer may take.
#[derive(Debug)]
pub(super) struct PeerRoom {
    large: Room,
    small: Room,
    connections: AtomicUsize,
}

#[derive(Debug)]
struct Room {
    own: Arc<Semaphore>,
    common: Arc<Semaphore>,
}

impl PeerRoom {
    /// One more connection of this peer, where it has fewer than `max`.
    pub(super) fn enter(self: Arc<Self>, max: usize) -> Option<Entered> {
        let before = self.connections.fetch_add(1, Ordering::Relaxed);
        // Counted down again when this is dropped.
        let entered = Entered(self);
        (before < max).then_some(entered)
    }

    fn of(&self, bytes: usize) -> (&Room, u32) {
        let room = if bytes <= SMALL_BYTES_MAX { &self.small } else { &self.large };
        (room, u32::try_from(bytes).unwrap_or(u32::MAX))
    }

    /// Room for a whole frame, as soon as there is some. None is given by parts: frames that each hold a part and wait
    /// for the rest would wait for each other.
    pub(super) async fn reserve(self: &Arc<Self>, bytes: usize) -> Share {
        let (room, permits) = self.of(bytes);
        // The own part first: who waits for its own frames holds nothing that others need.
        let own = Arc::clone(&room.own).acquire_many_owned(permits).await.ok();
        let common = Arc::clone(&room.common).acquire_many_owned(permits).await.ok();
        assert!(own.is_some() && common.is_some(), "the room is never closed");
        Share { _own: own, _common: common, _of: Arc::clone(self) }
    }

    /// Room for a whole frame, where there is some at once.
    pub(super) fn try_reserve(self: &Arc<Self>, bytes: usize) -> Option<Share> {
        let (room, permits) = self.of(bytes);
        let own = Arc::clone(&room.own).try_acquire_many_owned(permits).ok()?;
        let common = Arc::clone(&room.common).try_acquire_many_owned(permits).ok()?;
        Some(Share { _own: Some(own), _common: Some(common), _of: Arc::clone(self) })
    }
}

/// A connection of a peer.
#[derive(Debug)]
pub(super) struct Entered(Arc<PeerRoom>);

impl Entered {
    pub(super) fn room(&self) -> &Arc<PeerRoom> {
        &self.0
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The bytes that one frame takes; given back when this is dropped.
#[derive(Debug)]
pub struct Share {
    _own: Option<OwnedSemaphorePermit>,
    _common: Option<OwnedSemaphorePermit>,
    /// The peer's room stays the same as long as a frame of it waits.
    _of: Arc<PeerRoom>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits {
        large_bytes: 4 * 1_000_000,
        peer_large_bytes: 1_000_000,
        small_bytes: 4 * SMALL_BYTES_MAX,
        peer_small_bytes: SMALL_BYTES_MAX,
    };

    #[test]
    fn a_peer_takes_its_own_part_and_no_other() {
        let budget = Budget::new(LIMITS);
        let greedy = budget.of(1);
        let share = greedy.try_reserve(1_000_000).expect("room");
        assert!(greedy.try_reserve(100_000).is_none(), "its part is used up");
        assert!(greedy.try_reserve(SMALL_BYTES_MAX).is_some(), "short frames have room of their own");
        assert!(budget.of(2).try_reserve(1_000_000).is_some(), "so has another peer");
        drop(greedy);
        assert!(budget.of(1).try_reserve(100_000).is_none(), "a new connection brings no new room");
        drop(share);
        assert!(budget.of(1).try_reserve(1_000_000).is_some());
        let peers = budget.peers.lock().expect("not poisoned").len();
        assert!(peers <= 2, "{peers} remembered");
    }

    #[test]
    fn a_peer_has_so_many_connections_at_one_time() {
        let budget = Budget::new(LIMITS);
        let mut entered: Vec<Entered> = (0..3).map(|_| budget.of(1).enter(3).expect("few")).collect();
        assert!(budget.of(1).enter(3).is_none());
        assert!(budget.of(2).enter(3).is_some());
        entered.pop();
        assert!(
            budget.of(1).enter(3).is_some(),
            "one has ended, and one that was refused counts for nothing"
        );
    }

    proptest! {
        /// Whatever is asked for and given back in whichever order: no limit is passed, all comes back.
        #[test]
        fn no_limit_is_passed(asks in proptest::collection::vec((0..8_u8, 0..1_000_000_usize, 0..4_usize), 1..100)) {
            let budget = Budget::new(LIMITS);
            let mut held: Vec<(u8, usize, Share)> = Vec::new();
            for (peer, bytes, ended) in asks {
                if ended < held.len() {
                    held.swap_remove(ended);
                }
                if let Some(share) = budget.of(peer).try_reserve(bytes) {
                    held.push((peer, bytes, share));
                }
                let sum = |large: bool, of: Option<u8>| -> usize {
                    let fits = |(p, bytes, _): &&(u8, usize, Share)| {
                        (*bytes > SMALL_BYTES_MAX) == large && of.is_none_or(|of| of == *p)
                    };
                    held.iter().filter(fits).map(|(_, bytes, _)| bytes).sum()
                };
                prop_assert!(sum(true, None) <= LIMITS.large_bytes);
                prop_assert!(sum(false, None) <= LIMITS.small_bytes);
                prop_assert!(sum(true, Some(peer)) <= LIMITS.peer_large_bytes);
                prop_assert!(sum(false, Some(peer)) <= LIMITS.peer_small_bytes);
            }
            held.clear();
            prop_assert_eq!(budget.large.available_permits(), LIMITS.large_bytes);
            prop_assert_eq!(budget.small.available_permits(), LIMITS.small_bytes);
        }
    }
}
