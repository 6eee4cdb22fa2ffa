//! Who may be inside a gateway: so many clients at a time, so many of them of one host. A client that has not yet shown
//! what it wants makes room for the next, so that silent connections keep nothing out. Knows nothing of requests.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::net::host;

/// A client that showed a wrong secret gets its answer after this, at either gateway: guessing is slow.
pub(super) const WRONG_SECRET_PAUSE: Duration = Duration::from_millis(500);

/// How many clients may be inside.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// In all.
    pub(super) clients: usize,
    /// Of one host.
    pub(super) of_one_host: usize,
    /// Beyond these, clients of the reserve, which may ask for what is always answered.
    pub(super) reserve: usize,
}

/// Lets clients in.
#[derive(Debug)]
pub(super) struct Door(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limits: Limits,
    rooms: Mutex<Rooms>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Rooms {
    /// Ids rise, so that the oldest of the unknown is the first.
    last: u64,
    inside: BTreeMap<u64, Inside>,
}

#[derive(Debug)]
struct Inside {
    host: IpAddr,
    in_reserve: bool,
    is_known: bool,
    out: Arc<Notify>,
}

impl Door {
    pub(super) fn new(limits: Limits) -> Self {
        assert!(limits.of_one_host <= limits.clients, "one host's clients are a part of all");
        Self(Arc::new(Shared { limits, rooms: Mutex::default(), freed: Notify::new() }))
    }

    /// Lets a client of this address in, as soon as there is a place.
    pub(super) async fn enter(&self, from: IpAddr) -> Guest {
        loop {
            let freed = self.0.freed.notified();
            if let Some(guest) = self.try_enter(from) {
                return guest;
            }
            freed.await;
        }
    }

    fn try_enter(&self, from: IpAddr) -> Option<Guest> {
        // A program of this host can speak from millions of its own addresses.
        let from = if from.is_loopback() { Ipv4Addr::LOCALHOST.into() } else { from };
        let (host, limits) = (host(from), self.0.limits);
        let mut rooms = self.0.lock();
        let in_reserve = !rooms
            .make_room(limits.of_one_host, |inside| !inside.in_reserve && inside.host == host)
            || !rooms.make_room(limits.clients, |inside| !inside.in_reserve);
        if in_reserve && !rooms.make_room(limits.reserve, |inside| inside.in_reserve) {
            return None;
        }
        rooms.last += 1;
        let (id, out) = (rooms.last, Arc::new(Notify::new()));
        rooms.inside.insert(id, Inside { host, in_reserve, is_known: false, out: Arc::clone(&out) });
        Some(Guest { id, in_reserve, out, door: Arc::clone(&self.0) })
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Rooms> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rooms {
    /// Whether fewer than `max` of these are inside, after the one that has been unknown for longest was shown out
    /// where it had to be.
    fn make_room(&mut self, max: usize, are: impl Fn(&Inside) -> bool) -> bool {
        if self.inside.values().filter(|inside| are(inside)).count() < max {
            return true;
        }
        let unknown = self.inside.iter().find(|(_, inside)| are(inside) && !inside.is_known);
        let Some(id) = unknown.map(|(id, _)| *id) else { return false };
        if let Some(inside) = self.inside.remove(&id) {
            // Its place is free from now on; the notice is kept until it is looked at.
            inside.out.notify_one();
        }
        true
    }
}

/// A client that is inside until this is dropped.
#[derive(Debug)]
pub(super) struct Guest {
    id: u64,
    in_reserve: bool,
    out: Arc<Notify>,
    door: Arc<Shared>,
}

impl Guest {
    /// The client has shown what it wants, and who it is where that matters: it makes room for no other.
    pub(super) fn is_known(&self) {
        self.set_known(true);
    }

    /// The client has its answer, and may ask more or not: it makes room for others from now on.
    pub(super) fn is_idle(&self) {
        self.set_known(false);
    }

    fn set_known(&self, is_known: bool) {
        if let Some(inside) = self.door.lock().inside.get_mut(&self.id) {
            inside.is_known = is_known;
        }
    }

    /// Whether it came in when the gateway was full.
    pub(super) fn in_reserve(&self) -> bool {
        self.in_reserve
    }

    /// Ends when the client has to make room.
    pub(super) async fn shown_out(&self) {
        self.out.notified().await;
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.door.lock().inside.remove(&self.id);
        self.door.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const LIMITS: Limits = Limits { clients: 4, of_one_host: 3, reserve: 1 };

    fn ip(last: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, 0, 0, last))
    }

    async fn is_shown_out(guest: &Guest) -> bool {
        timeout(Duration::ZERO, guest.shown_out()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_that_says_nothing_makes_room() {
        let door = Door::new(LIMITS);
        let known = door.enter(ip(1)).await;
        known.is_known();
        let silent = [door.enter(ip(1)).await, door.enter(ip(2)).await, door.enter(ip(3)).await];
        let fifth = door.enter(ip(4)).await;
        assert!(!fifth.in_reserve());
        assert!(is_shown_out(&silent[0]).await && !is_shown_out(&silent[1]).await);
        assert!(!is_shown_out(&known).await);
    }

    #[tokio::test(start_paused = true)]
    async fn one_host_leaves_places_to_the_others() {
        let door = Door::new(LIMITS);
        let mut crowd = Vec::new();
        for _ in 0..3 {
            let guest = door.enter(ip(1)).await;
            guest.is_known();
            crowd.push(guest);
        }
        assert!(!door.enter(ip(2)).await.in_reserve());
        let beyond = door.enter(ip(1)).await;
        assert!(beyond.in_reserve(), "a host with too many goes to the reserve");
        beyond.is_known();
        let next = timeout(Duration::from_secs(1), door.enter(ip(1))).await;
        assert!(next.is_err(), "and waits when that is full too");
        assert!(!door.enter(ip(2)).await.in_reserve());
        crowd.pop();
        assert!(!door.enter(ip(1)).await.in_reserve());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_has_its_answer_makes_room() {
        let door = Door::new(Limits { reserve: 0, ..LIMITS });
        let guests = silent(&door, 4).await;
        guests.iter().for_each(Guest::is_known);
        guests[2].is_idle();
        let next = door.enter(ip(9)).await;
        assert!(!next.in_reserve() && is_shown_out(&guests[2]).await && !is_shown_out(&guests[0]).await);
    }

    #[tokio::test(start_paused = true)]
    async fn the_addresses_of_this_host_are_those_of_one_host() {
        let door = Door::new(LIMITS);
        let mut crowd = Vec::new();
        for last in 1..=3 {
            crowd.push(door.enter(Ipv4Addr::new(127, 0, last, 9).into()).await);
        }
        crowd.iter().for_each(Guest::is_known);
        assert!(door.enter(Ipv4Addr::new(127, 9, 9, 9).into()).await.in_reserve());
        assert!(!door.enter(ip(1)).await.in_reserve(), "another host has its place");
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_given_back_once() {
        let door = Door::new(Limits { reserve: 0, ..LIMITS });
        let guests: Vec<Guest> = silent(&door, 4).await;
        let late = silent(&door, 2).await;
        assert!(is_shown_out(&guests[0]).await && is_shown_out(&guests[1]).await);
        drop(guests);
        assert_eq!(
            door.0.lock().inside.len(),
            2,
            "those that were shown out count for nothing when they end"
        );
        drop(late);
        assert!(door.0.lock().inside.is_empty());
    }

    async fn silent(door: &Door, count: u8) -> Vec<Guest> {
        let mut guests = Vec::new();
        for last in 0..count {
            guests.push(door.enter(ip(last)).await);
        }
        guests
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_outside_comes_in_when_one_leaves() {
        let door = Door::new(Limits { clients: 1, of_one_host: 1, reserve: 0 });
        let first = door.enter(ip(1)).await;
        first.is_known();
        let (second, ()) = tokio::join!(door.enter(ip(2)), async { drop(first) });
        assert!(!second.in_reserve());
    }
}
