//! Who may be inside a gateway: so many clients at a time, so many of them of one host or of one user of this host. A client
//! that has not yet shown what it wants makes room for the next, so that silent connections keep nothing out; the first to
//! do so are those of the party that has most. Operators have places of their own. Knows nothing of requests.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::unistd::geteuid;
use tokio::sync::Notify;

use crate::net::host;

/// A client that showed a wrong secret gets its answer after this, at either gateway: guessing is slow.
pub(super) const WRONG_SECRET_PAUSE: Duration = Duration::from_millis(500);

/// Whether this user of the host is root or the supervisor's own.
pub(super) fn is_operator(uid: u32) -> bool {
    uid == 0 || uid == geteuid().as_raw()
}

/// How many clients may be inside.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// In all, beside those of operators.
    pub(super) clients: usize,
    /// Of one host; of all users of this host together; and of operators.
    pub(super) of_one_host: usize,
    /// Of one user of this host.
    pub(super) of_one_user: usize,
    /// Beyond these, clients of the reserve, which may ask for what is always answered. A party may have half of it.
    pub(super) reserve: usize,
}

/// Whose clients are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Party {
    /// Root and the supervisor's own user, at this host.
    Operators,
    /// Another user of this host.
    User(u32),
    /// This host, where the user is not known.
    Here,
    /// Another host.
    Host(IpAddr),
}

impl Party {
    /// That of a user of this host.
    pub(super) fn of_user(uid: u32) -> Self {
        if is_operator(uid) { Self::Operators } else { Self::User(uid) }
    }

    /// That of a client at this address, of whom the kernel tells nothing more.
    pub(super) fn of_host(from: IpAddr) -> Self {
        // A program of this host can speak from millions of its own addresses.
        if from.to_canonical().is_loopback() { Self::Here } else { Self::Host(host(from)) }
    }

    /// Whether it shares this host's places with others.
    fn is_here(self) -> bool {
        matches!(self, Self::User(_) | Self::Here)
    }
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
    party: Party,
    in_reserve: bool,
    is_known: bool,
    out: Arc<Notify>,
}

/// What becomes of a client that wants to come in.
enum Place {
    Inside {
        in_reserve: bool,
    },
    /// As soon as one has left.
    Later,
    /// Its party has all that it may have.
    Never,
}

impl Door {
    pub(super) fn new(limits: Limits) -> Self {
        assert!(limits.of_one_host <= limits.clients, "one host's clients are a part of all");
        assert!(limits.of_one_user <= limits.of_one_host, "one user's clients are a part of its host's");
        Self(Arc::new(Shared { limits, rooms: Mutex::default(), freed: Notify::new() }))
    }

    /// Lets a client of this party in, as soon as there is a place; none when it has to go away, because the next ones must
    /// not wait behind it.
    pub(super) async fn enter(&self, party: Party) -> Option<Guest> {
        loop {
            let freed = self.0.freed.notified();
            match self.try_enter(party) {
                Ok(guest) => return Some(guest),
                Err(Place::Never) => return None,
                Err(_) => freed.await,
            }
        }
    }

    fn try_enter(&self, party: Party) -> Result<Guest, Place> {
        let mut rooms = self.0.lock();
        let in_reserve = match rooms.place(party, self.0.limits) {
            Place::Inside { in_reserve } => in_reserve,
            none => return Err(none),
        };
        rooms.last += 1;
        let (id, out) = (rooms.last, Arc::new(Notify::new()));
        rooms.inside.insert(id, Inside { party, in_reserve, is_known: false, out: Arc::clone(&out) });
        Ok(Guest { id, in_reserve, out, door: Arc::clone(&self.0) })
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Rooms> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rooms {
    /// A free place for a client of this party, for which others may have been shown out.
    fn place(&mut self, party: Party, limits: Limits) -> Place {
        let is_own = move |inside: &Inside| inside.party == party;
        let max = if matches!(party, Party::User(_)) { limits.of_one_user } else { limits.of_one_host };
        let has_room = self.make_room(max, party, |inside| !inside.in_reserve && is_own(inside))
            && (!party.is_here()
                || self.make_room(limits.of_one_host, party, |i| !i.in_reserve && i.party.is_here()))
            && (party == Party::Operators
                || self.make_room(limits.clients, party, |i| !i.in_reserve && i.party != Party::Operators));
        if has_room {
            return Place::Inside { in_reserve: false };
        }
        let share = limits.reserve.div_ceil(2);
        if party != Party::Operators
            && share > 0
            && !self.make_room(share, party, |inside| inside.in_reserve && is_own(inside))
        {
            return Place::Never;
        }
        if self.make_room(limits.reserve, party, |inside| inside.in_reserve) {
            Place::Inside { in_reserve: true }
        } else {
            Place::Later
        }
    }

    /// Whether fewer than `max` of these are inside for a client of `party` to come in, after one was shown out where it had
    /// to be: of the party that has most, the one that has been unknown for longest. The client's own party has most when it
    /// is as large as the others with it.
    fn make_room(&mut self, max: usize, party: Party, are: impl Fn(&Inside) -> bool) -> bool {
        let mut sizes: BTreeMap<Party, usize> = BTreeMap::new();
        for inside in self.inside.values().filter(|inside| are(inside)) {
            *sizes.entry(inside.party).or_default() += 1;
        }
        if sizes.values().sum::<usize>() < max {
            return true;
        }
        *sizes.entry(party).or_default() += 1;
        let size_of = |party: &Party| sizes.get(party).copied().unwrap_or_default();
        let unknown = self.inside.iter().filter(|(_, inside)| are(inside) && !inside.is_known);
        let Some((id, size)) = unknown
            .map(|(id, inside)| (*id, size_of(&inside.party)))
            .max_by_key(|(id, size)| (*size, Reverse(*id)))
        else {
            return false;
        };
        if size < size_of(&party) {
            return false;
        }
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
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const LIMITS: Limits = Limits { clients: 4, of_one_host: 3, of_one_user: 2, reserve: 1 };

    fn ip(last: u8) -> Party {
        Party::of_host(Ipv4Addr::new(10, 0, 0, last).into())
    }

    /// A user that is no operator.
    fn user(number: u32) -> Party {
        let user = Party::of_user(geteuid().as_raw().wrapping_add(1_000 + number));
        assert!(matches!(user, Party::User(_)));
        user
    }

    async fn enter(door: &Door, party: Party) -> Guest {
        timeout(Duration::from_secs(1), door.enter(party)).await.expect("at once").expect("let in")
    }

    async fn is_shown_out(guest: &Guest) -> bool {
        timeout(Duration::ZERO, guest.shown_out()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_that_says_nothing_makes_room() {
        let door = Door::new(LIMITS);
        let known = enter(&door, ip(1)).await;
        known.is_known();
        let silent = [enter(&door, ip(1)).await, enter(&door, ip(2)).await, enter(&door, ip(3)).await];
        let fifth = enter(&door, ip(4)).await;
        assert!(!fifth.in_reserve());
        assert!(is_shown_out(&silent[0]).await && !is_shown_out(&silent[1]).await);
        assert!(!is_shown_out(&known).await);
    }

    #[tokio::test(start_paused = true)]
    async fn one_host_leaves_places_to_the_others() {
        let door = Door::new(LIMITS);
        let mut crowd = Vec::new();
        for _ in 0..3 {
            let guest = enter(&door, ip(1)).await;
            guest.is_known();
            crowd.push(guest);
        }
        assert!(!enter(&door, ip(2)).await.in_reserve());
        let beyond = enter(&door, ip(1)).await;
        assert!(beyond.in_reserve(), "a host with too many goes to the reserve");
        beyond.is_known();
        let next = timeout(Duration::from_secs(1), door.enter(ip(1))).await;
        assert!(next.expect("at once").is_none(), "and goes away when it has its part of that too");
        assert!(!enter(&door, ip(2)).await.in_reserve());
        crowd.pop();
        assert!(!enter(&door, ip(1)).await.in_reserve());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_has_its_answer_makes_room() {
        let door = Door::new(Limits { reserve: 0, ..LIMITS });
        let guests = silent(&door, 4).await;
        guests.iter().for_each(Guest::is_known);
        guests[2].is_idle();
        let next = enter(&door, ip(9)).await;
        assert!(!next.in_reserve() && is_shown_out(&guests[2]).await && !is_shown_out(&guests[0]).await);
    }

    #[tokio::test(start_paused = true)]
    async fn the_addresses_of_this_host_are_those_of_one_host() {
        let door = Door::new(LIMITS);
        let mut crowd = Vec::new();
        for last in 1..=3 {
            crowd.push(enter(&door, Party::of_host(Ipv4Addr::new(127, 0, last, 9).into())).await);
        }
        crowd.iter().for_each(Guest::is_known);
        assert!(enter(&door, Party::of_host(Ipv4Addr::new(127, 9, 9, 9).into())).await.in_reserve());
        assert!(!enter(&door, ip(1)).await.in_reserve(), "another host has its place");
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
            guests.push(enter(door, ip(last)).await);
        }
        guests
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_outside_comes_in_when_one_leaves() {
        let door = Door::new(Limits { clients: 1, of_one_host: 1, of_one_user: 1, reserve: 0 });
        let first = enter(&door, ip(1)).await;
        first.is_known();
        let (second, ()) = tokio::join!(door.enter(ip(2)), async { drop(first) });
        assert!(!second.expect("let in").in_reserve());
    }

    const WIDE: Limits = Limits { clients: 8, of_one_host: 6, of_one_user: 4, reserve: 2 };

    #[tokio::test(start_paused = true)]
    async fn a_users_crowd_shows_out_its_own() {
        let door = Door::new(WIDE);
        let probe = enter(&door, user(1)).await;
        let mut crowd = Vec::new();
        for _ in 0..100 {
            crowd.push(enter(&door, user(2)).await);
        }
        assert!(!is_shown_out(&probe).await, "a probe has time to be read, however many another user sends");
        for guest in &crowd[..96] {
            assert!(is_shown_out(guest).await);
        }
        // What this user has shown to want takes its own places, and a part of the reserve.
        crowd.iter().for_each(Guest::is_known);
        let beyond = enter(&door, user(2)).await;
        assert!(beyond.in_reserve());
        beyond.is_known();
        assert!(door.enter(user(2)).await.is_none(), "the next ones do not wait behind it");
        assert!(!enter(&door, user(1)).await.in_reserve() && !is_shown_out(&probe).await);
    }

    #[tokio::test(start_paused = true)]
    async fn the_smaller_party_stays() {
        let door = Door::new(Limits { of_one_host: 8, ..WIDE });
        let (mut large, mut small) = (Vec::new(), Vec::new());
        for _ in 0..4 {
            large.push(enter(&door, user(1)).await);
            large.push(enter(&door, user(2)).await);
        }
        for _ in 0..2 {
            small.push(enter(&door, user(3)).await);
        }
        assert!(is_shown_out(&large[0]).await && is_shown_out(&large[1]).await);
        large.iter().for_each(Guest::is_known);
        let next = enter(&door, user(1)).await;
        assert!(next.in_reserve(), "a party that has more takes nothing of one that has less");
        for guest in &small {
            assert!(!is_shown_out(guest).await);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn operators_always_find_a_place() {
        let door = Door::new(WIDE);
        let mut crowd = Vec::new();
        for (party, count) in [(user(1), 4), (Party::Here, 2), (ip(1), 2), (ip(1), 1), (ip(2), 1)] {
            for _ in 0..count {
                let guest = enter(&door, party).await;
                guest.is_known();
                crowd.push(guest);
            }
        }
        assert_eq!(
            crowd.iter().filter(|guest| guest.in_reserve()).count(),
            2,
            "all is full, the reserve too"
        );
        let me = Party::of_user(geteuid().as_raw());
        assert!(me == Party::Operators && Party::of_user(0) == me);
        for _ in 0..WIDE.of_one_host {
            let operator = enter(&door, me).await;
            assert!(!operator.in_reserve());
            operator.is_known();
            crowd.push(operator);
        }
        crowd[0].is_idle();
        assert!(!enter(&door, user(1)).await.in_reserve(), "operators take nothing of others either");
    }
}
