//! Remembers which addresses were not heard because of the key of the ring: reasons, counts. Bounded, however much is sent and
//! under however many addresses; answers nothing, and tells the log of each address once a minute at most.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use annulus_core::UnixTime;

use super::seal::Unreadable;
use crate::host::clock::Clock;

/// Addresses that are remembered; of more, the one that was heard longest ago is forgotten.
const ADDRESSES_MAX: usize = 32;
/// Lines about rejections in the log within a minute, of all addresses together.
const LINES_MAX: u32 = 5;
/// An address is told of again after this, in milliseconds.
const WINDOW_MS: u64 = 60_000;

/// How a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// As a datagram at the gossip port.
    Datagram,
    /// As a frame on a stream to the gossip port.
    Frame,
    /// As an operator's client at the ctl gateway.
    Client,
}

impl Way {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Datagram, Self::Frame, Self::Client];

    /// Its stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Datagram => "datagram",
            Self::Frame => "frame",
            Self::Client => "client",
        }
    }
}

/// An address that was not heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Host and port; connections come from any port, so one that only connected has port 0.
    pub from: SocketAddr,
    /// Why.
    pub why: Unreadable,
    /// How many messages, by the way on which they came.
    pub counts: BTreeMap<Way, u64>,
    /// When the first one came.
    pub since: UnixTime,
    /// When the last one came.
    pub last: UnixTime,
    told: Option<UnixTime>,
}

impl Rejection {
    /// Messages in all.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Its address for people: without a port where none says anything.
    #[must_use]
    pub fn address(&self) -> String {
        if self.from.port() == 0 { self.from.ip().to_string() } else { self.from.to_string() }
    }
}

#[derive(Debug, Default)]
struct Seen {
    addresses: BTreeMap<(IpAddr, u16, Unreadable), Rejection>,
    totals: BTreeMap<(Unreadable, Way), u64>,
    window: (UnixTime, u32),
    in_the_clear: u64,
}

/// Everything that was not heard. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Rejected {
    seen: Arc<Mutex<Seen>>,
    clock: Clock,
}

impl Rejected {
    /// Nothing yet.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { seen: Arc::default(), clock }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a message that is not heard.
    pub fn note(&self, from: SocketAddr, way: Way, why: Unreadable) {
        let told = self.seen().note(from, way, why, self.clock.wall());
        if let Some(rejection) = told {
            let (address, messages) = (rejection.address(), rejection.messages());
            tracing::warn!(
                from = %address, reason = why.name(), messages,
                "{address} is rejected, {}: {}; {messages} messages so far, `annulus sup members` counts them",
                why.name(),
                why.advice(),
            );
        }
    }

    /// The addresses that are remembered, the latest first.
    #[must_use]
    pub fn list(&self) -> Vec<Rejection> {
        let mut list: Vec<Rejection> = self.seen().addresses.values().cloned().collect();
        list.sort_by_key(|rejection| std::cmp::Reverse(rejection.last));
        list
    }

    /// How many messages were not heard, for each reason and way.
    #[must_use]
    pub fn totals(&self) -> BTreeMap<(Unreadable, Way), u64> {
        self.seen().totals.clone()
    }

    /// Counts a message in the clear that is heard all the same.
    pub(super) fn note_clear(&self) {
        self.seen().in_the_clear += 1;
    }

    /// How many messages in the clear were heard in a ring with a key.
    #[must_use]
    pub fn heard_in_the_clear(&self) -> u64 {
        self.seen().in_the_clear
    }

    /// How many messages of other supervisors were not heard.
    #[must_use]
    pub fn unread(&self) -> u64 {
        self.seen().totals.iter().filter(|((_, way), _)| *way != Way::Client).map(|(_, count)| count).sum()
    }
}

impl Seen {
    /// The rejection, where the log is to be told of it.
    fn note(&mut self, from: SocketAddr, way: Way, why: Unreadable, now: UnixTime) -> Option<Rejection> {
        *self.totals.entry((why, way)).or_default() += 1;
        let key = self.key(from, way, why);
        if !self.addresses.contains_key(&key) && self.addresses.len() >= ADDRESSES_MAX {
            let oldest = self.addresses.iter().min_by_key(|(_, rejection)| rejection.last);
            if let Some(oldest) = oldest.map(|(key, _)| *key) {
                self.addresses.remove(&oldest);
            }
        }
        let rejection = self.addresses.entry(key).or_insert_with(|| Rejection {
            from: SocketAddr::new(key.0, key.1),
            why,
            counts: BTreeMap::new(),
            since: now,
            last: now,
            told: None,
        });
        *rejection.counts.entry(way).or_default() += 1;
        rejection.last = now;
        if since_ms(self.window.0, now) >= WINDOW_MS {
            self.window = (now, 0);
        }
        let is_due = rejection.told.is_none_or(|told| since_ms(told, now) >= WINDOW_MS);
        if !is_due || self.window.1 >= LINES_MAX {
            return None;
        }
        self.window.1 += 1;
        rejection.told = Some(now);
        Some(rejection.clone())
    }

    /// A datagram names its sender; a connection comes from any port, so it counts for a sender of datagrams on that host.
    fn key(&self, from: SocketAddr, way: Way, why: Unreadable) -> (IpAddr, u16, Unreadable) {
        let ip = from.ip().to_canonical();
        if way == Way::Datagram {
            return (ip, from.port(), why);
        }
        let of_host =
            self.addresses.range((ip, 0, why)..=(ip, u16::MAX, why)).find(|((_, _, w), _)| *w == why);
        of_host.map_or((ip, 0, why), |(key, _)| *key)
    }
}

/// A clock that was set back begins anew.
fn since_ms(then: UnixTime, now: UnixTime) -> u64 {
    if now < then { WINDOW_MS } else { now.as_millis() - then.as_millis() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> UnixTime {
        UnixTime::from_millis(1_700_000_000_000 + ms)
    }

    fn address(n: u32) -> SocketAddr {
        SocketAddr::from((n.to_be_bytes(), 9638))
    }

    #[test]
    fn an_address_is_told_of_once_a_minute() {
        let mut seen = Seen::default();
        let mut note = |ms| seen.note(address(1), Way::Datagram, Unreadable::NoKey, at(ms));
        assert_eq!(note(0).expect("new").messages(), 1);
        assert!((1..60_000).step_by(500).all(|ms| note(ms).is_none()));
        assert_eq!(note(60_000).expect("it goes on").messages(), 122);
        assert!(note(60_001).is_none());
        assert!(note(10).is_some(), "a clock that was set back silences nothing");
    }

    #[test]
    fn however_many_addresses_there_are_few_are_kept_and_told() {
        let mut seen = Seen::default();
        let lines = (0..100_000).filter(|n| {
            let why = Unreadable::ALL[(n % 5) as usize];
            seen.note(address(*n), Way::Datagram, why, at(u64::from(*n) / 10)).is_some()
        });
        assert_eq!(lines.count(), LINES_MAX as usize);
        assert_eq!(seen.addresses.len(), ADDRESSES_MAX);
        assert_eq!(seen.totals.values().sum::<u64>(), 100_000, "and all are counted");
        assert!(seen.addresses.contains_key(&(address(99_999).ip(), 9638, Unreadable::Foreign)));
    }

    #[test]
    fn connections_count_for_the_host_that_they_come_from() {
        let mut seen = Seen::default();
        let from = |port| SocketAddr::from(([10, 0, 0, 9], port));
        seen.note(from(40_000), Way::Client, Unreadable::NoKey, at(0));
        seen.note(from(40_001), Way::Client, Unreadable::NoKey, at(1));
        seen.note(from(9638), Way::Datagram, Unreadable::UnknownKey, at(2));
        seen.note(from(50_000), Way::Frame, Unreadable::UnknownKey, at(3));
        let shown: Vec<(String, u64)> =
            seen.addresses.values().map(|rejection| (rejection.address(), rejection.messages())).collect();
        assert_eq!(shown, [("10.0.0.9".to_owned(), 2), ("10.0.0.9:9638".to_owned(), 2)]);
    }
}
