//! Losses that come in bursts: the model of Gilbert (1960) and Elliott (1963), by time instead of by packet.

use std::collections::BTreeMap;
use std::time::Duration;

use annulus_core::{Instant, Rng};

use crate::engine::hostset::{HostSet, LinkMap};
use crate::engine::ids::HostId;
use crate::engine::link::Burst;

/// The links whose losses come in bursts.
#[derive(Debug)]
pub(super) struct Bursts {
    rules: LinkMap<Burst>,
    links: BTreeMap<(u32, u32), Link>,
    rng: Rng,
}

/// One link. It has a stream of chance of its own, so that its bursts do not depend on the packets of other links.
#[derive(Debug)]
struct Link {
    bad: bool,
    until: Instant,
    rng: Rng,
}

impl Bursts {
    pub(super) const fn new(rng: Rng) -> Self {
        Self { rules: LinkMap::new(), links: BTreeMap::new(), rng }
    }

    pub(super) fn set(&mut self, from: &[HostId], to: &[HostId], burst: Option<Burst>) {
        let (from, to) = (HostSet::named(from), HostSet::named(to));
        self.links.retain(|(f, t), _| !(from.contains(*f) && to.contains(*t)));
        match burst {
            Some(burst) => self.rules.set(from, to, burst),
            None => self.rules.unset(&from, &to),
        }
    }

    pub(super) fn clear(&mut self) {
        self.rules.clear();
        self.links.clear();
    }

    pub(super) fn loses(&mut self, now: Instant, from: u32, to: u32) -> bool {
        let Some(burst) = self.rules.get(from, to) else { return false };
        let link = self.links.entry((from, to)).or_insert_with(|| Link {
            bad: true,
            until: now,
            rng: self.rng.fork(now.as_nanos() ^ u64::from(from) << 32 ^ u64::from(to)),
        });
        while link.until <= now {
            link.bad = !link.bad;
            let mean = if link.bad { burst.bad } else { burst.good };
            link.until = link.until + about(mean, &mut link.rng);
        }
        link.bad && burst.loss.draw(&mut link.rng)
    }
}

/// Half as long to half as long again.
fn about(mean: Duration, rng: &mut Rng) -> Duration {
    let ns = u64::try_from(mean.as_nanos()).unwrap_or(u64::MAX / 4).max(2);
    Duration::from_nanos(rng.between(ns / 2, ns + ns / 2).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::link::Ratio;

    #[test]
    fn a_link_is_good_and_bad_in_turns_and_about_as_long_as_stated() {
        let mut bursts = Bursts::new(Rng::from_seed([1; 32]));
        let (good, bad) = (Duration::from_millis(900), Duration::from_millis(100));
        let burst = Burst { good, bad, loss: Ratio::percent(100) };
        bursts.set(&[HostId(0)], &[HostId(1)], Some(burst));
        let lost: Vec<bool> = (0..100_000).map(|ms| bursts.loses(Instant::from_millis(ms), 0, 1)).collect();
        let share = lost.iter().filter(|l| **l).count();
        let changes = lost.windows(2).filter(|w| w[0] != w[1]).count();
        assert!((9_000..11_000).contains(&share), "{share}");
        assert!((180..220).contains(&changes), "{changes}: losses come together");
        assert!(!bursts.loses(Instant::from_millis(50), 1, 0), "the way back is another link");
        bursts.set(&[], &[], None);
        assert!((0..1_000).all(|ms| !bursts.loses(Instant::from_millis(200_000 + ms), 0, 1)));
    }
}
