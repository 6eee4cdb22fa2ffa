//! Keeps what commands and gateways tell of the ring and the node does not need: since when each member is in its state,
//! and which of the peers that the operator named do not answer. Decides nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use annulus_core::{Event, EventKind, MemberId, UnixTime};
use tokio::sync::broadcast::{self, error::RecvError};

use crate::host::clock::Clock;

/// A peer that does not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    /// When that was noticed.
    pub since: UnixTime,
    /// Why it is thought so.
    pub reason: String,
}

#[derive(Debug, Default)]
struct Seen {
    since: BTreeMap<MemberId, UnixTime>,
    silent: BTreeMap<String, Silence>,
}

/// What was seen. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Lookout(Arc<Mutex<Seen>>);

impl Lookout {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the changes of members until the supervisor ends.
    pub async fn follow(self, mut events: broadcast::Receiver<Arc<Event>>, clock: Clock) {
        loop {
            match events.recv().await {
                Ok(event) => self.note(&event.kind, clock.wall()),
                // A time that is too early by one change is better than none.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    }

    fn note(&self, kind: &EventKind, at: UnixTime) {
        match kind {
            EventKind::Started { member, .. } => drop(self.seen().since.insert(*member, at)),
            EventKind::MemberChanged { member, from, to, .. } if *from != Some(*to) => {
                self.seen().since.insert(*member, at);
            }
            EventKind::MemberForgotten { member } => drop(self.seen().since.remove(member)),
            _ => {}
        }
    }

    /// Since when the member is in its state, as far as this supervisor saw it.
    #[must_use]
    pub fn since(&self, member: &MemberId) -> Option<UnixTime> {
        self.seen().since.get(member).copied()
    }

    /// Notes that a peer does not answer. True when that is new.
    pub fn is_silent(&self, peer: &str, reason: &str, at: UnixTime) -> bool {
        let mut seen = self.seen();
        let is_new = !seen.silent.contains_key(peer);
        let since = seen.silent.get(peer).map_or(at, |silence| silence.since);
        seen.silent.insert(peer.to_owned(), Silence { since, reason: reason.to_owned() });
        is_new
    }

    /// Notes that a peer answers. True when that is new.
    pub fn answers(&self, peer: &str) -> bool {
        self.seen().silent.remove(peer).is_some()
    }

    /// The peers that do not answer, by name.
    #[must_use]
    pub fn silent(&self) -> BTreeMap<String, Silence> {
        self.seen().silent.clone()
    }
}

#[cfg(test)]
mod tests {
    use annulus_core::{Incarnation, State, Why};

    use super::*;

    #[test]
    fn a_state_counts_from_its_beginning() {
        let (lookout, member) = (Lookout::default(), MemberId::from_bytes([7; 16]));
        let change = |from, to, at| {
            let kind =
                EventKind::MemberChanged { member, from, to, incarnation: Incarnation(1), why: Why::Contact };
            lookout.note(&kind, UnixTime::from_millis(at));
            lookout.since(&member).map(UnixTime::as_millis)
        };
        assert_eq!(change(None, State::Alive, 5), Some(5));
        assert_eq!(
            change(Some(State::Alive), State::Alive, 6),
            Some(5),
            "another incarnation is no other state"
        );
        assert_eq!(change(Some(State::Alive), State::Suspect, 7), Some(7));
        lookout.note(&EventKind::MemberForgotten { member }, UnixTime::from_millis(8));
        assert_eq!(lookout.since(&member), None);
    }

    #[test]
    fn a_peer_falls_silent_once() {
        let lookout = Lookout::default();
        let at = UnixTime::from_millis;
        assert!(lookout.is_silent("a:1", "refused", at(1)) && !lookout.is_silent("a:1", "no route", at(2)));
        let expected = Silence { since: at(1), reason: "no route".to_owned() };
        assert_eq!(lookout.silent().get("a:1"), Some(&expected));
        assert!(lookout.answers("a:1") && !lookout.answers("a:1") && lookout.silent().is_empty());
    }
}
