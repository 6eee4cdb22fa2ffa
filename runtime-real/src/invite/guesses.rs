//! How often hosts may come with a secret that is none: few times each, and so often in all that looking costs little. A secret
//! cannot be guessed at any rate; this bounds the work.

use std::collections::BTreeMap;
use std::net::IpAddr;

use annulus_core::UnixTime;

/// Wrong ones of one host at once …
const HOST_BURST: u64 = 5;
/// … and another one after so many milliseconds.
const HOST_PERIOD_MS: u64 = 10_000;
/// Wrong ones of all hosts at once …
const ALL_BURST: u64 = 200;
/// … and another one after so many milliseconds.
const ALL_PERIOD_MS: u64 = 20;
/// Hosts that are remembered; of more, the one that came longest ago is forgotten.
const HOSTS_MAX: usize = 256;

/// Lets something happen `burst` times at once, and once in a period.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    used: u64,
    since_ms: u64,
}

impl Bucket {
    fn settle(&mut self, period_ms: u64, now_ms: u64) {
        // A clock that was set back begins anew.
        let given = now_ms.checked_sub(self.since_ms).map_or(u64::MAX, |passed| passed / period_ms);
        self.used = self.used.saturating_sub(given);
        if self.used == 0 {
            self.since_ms = now_ms;
        } else {
            self.since_ms += given * period_ms;
        }
    }
}

/// Counts wrong secrets.
#[derive(Debug, Default)]
pub(super) struct Guesses {
    hosts: BTreeMap<IpAddr, Bucket>,
    all: Bucket,
}

impl Guesses {
    /// Whether a host is looked at now.
    pub(super) fn may_try(&mut self, host: IpAddr, now: UnixTime) -> bool {
        let now = now.as_millis();
        self.all.settle(ALL_PERIOD_MS, now);
        let of_host = self.hosts.get_mut(&host).is_none_or(|bucket| {
            bucket.settle(HOST_PERIOD_MS, now);
            bucket.used < HOST_BURST
        });
        of_host && self.all.used < ALL_BURST
    }

    /// The host came with a secret that is none.
    pub(super) fn wrong(&mut self, host: IpAddr, now: UnixTime) {
        if !self.hosts.contains_key(&host) && self.hosts.len() >= HOSTS_MAX {
            let oldest = self.hosts.iter().min_by_key(|(_, bucket)| bucket.since_ms);
            if let Some(oldest) = oldest.map(|(host, _)| *host) {
                self.hosts.remove(&oldest);
            }
        }
        let start = Bucket { used: 0, since_ms: now.as_millis() };
        self.hosts.entry(host).or_insert(start).used += 1;
        self.all.used += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> UnixTime {
        UnixTime::from_millis(1_700_000_000_000 + ms)
    }

    fn host(n: u32) -> IpAddr {
        n.to_be_bytes().into()
    }

    #[test]
    fn a_host_is_slowed_down_and_others_are_not() {
        let mut guesses = Guesses::default();
        let mut tries = |n, ms| {
            let may = guesses.may_try(host(n), at(ms));
            if may {
                guesses.wrong(host(n), at(ms));
            }
            may
        };
        assert_eq!((0..100).filter(|ms| tries(1, *ms)).count(), 5);
        assert!(tries(2, 100), "another host");
        assert_eq!((0..60).filter(|s| tries(1, 10_000 + s * 1_000)).count(), 6, "then one in ten seconds");
        assert!(tries(1, 0), "a clock that was set back keeps no host out");
    }

    #[test]
    fn however_many_hosts_there_are_few_are_looked_at_and_kept() {
        let mut guesses = Guesses::default();
        let mut looked = 0;
        for n in 0..10_000_u32 {
            let now = at(u64::from(n) / 10);
            if guesses.may_try(host(n), now) {
                guesses.wrong(host(n), now);
                looked += 1;
            }
        }
        assert!((200..=260).contains(&looked), "{looked} in a second");
        assert!(guesses.hosts.len() <= HOSTS_MAX);
        assert!(guesses.may_try(host(1), at(60_000)), "and afterwards hosts are looked at again");
    }
}
