//! Links: the fate of a packet on its way from one host to another.

use annulus_core::{Instant, Rng};
use std::time::Duration;

use crate::engine::fault::LinkFaults;
use crate::engine::hostset::{HostSet, LinkMap};
use crate::engine::ids::HostId;
use crate::engine::link::LinkQuality;
use crate::engine::record::DropReason;

/// Label of the stream of chance that bursts use.
const FAULTS: u64 = 1;

/// All links of a world.
#[derive(Debug)]
pub(crate) struct Net {
    default: LinkQuality,
    special: LinkMap<LinkQuality>,
    cuts: LinkMap<()>,
    /// Bursts and limits.
    pub(crate) faults: LinkFaults,
    /// The links as they are when nothing is wrong.
    sound: (LinkQuality, LinkMap<LinkQuality>),
    /// One sequence of draws for every packet: the same number of draws for every quality of a link, so that
    /// a change of quality does not move the fates of later packets.
    rng: Rng,
    /// Draws that only packets with a rare fate need.
    rng_rare: Rng,
}

/// The fate of a datagram.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fate {
    /// When it arrives, or why not.
    pub arrives_after: Result<Duration, DropReason>,
    /// When a second copy arrives.
    pub again_after: Option<Duration>,
}

impl Net {
    pub(crate) fn new(quality: LinkQuality, rng: Rng, rng_rare: Rng) -> Self {
        check(&quality);
        Self {
            default: quality,
            special: LinkMap::new(),
            cuts: LinkMap::new(),
            faults: LinkFaults::new(rng_rare.fork(FAULTS)),
            sound: (quality, LinkMap::new()),
            rng,
            rng_rare,
        }
    }

    pub(crate) fn quality(&self, from: u32, to: u32) -> LinkQuality {
        *self.special.get(from, to).unwrap_or(&self.default)
    }

    pub(crate) fn is_cut(&self, from: u32, to: u32) -> bool {
        self.cuts.get(from, to).is_some()
    }

    /// A datagram leaves.
    pub(crate) fn datagram(&mut self, now: Instant, from: u32, to: u32, bytes: usize) -> Fate {
        let quality = self.quality(from, to);
        let lost = quality.loss.draw(&mut self.rng);
        let duplicate = quality.duplicate.draw(&mut self.rng);
        let reorder = quality.reorder.draw(&mut self.rng);
        let mut latency = latency(&quality, &mut self.rng);
        if reorder {
            // Longer than any packet takes that leaves a moment later.
            latency +=
                quality.latency_max + nanos(self.rng_rare.between(0, 3 * as_nanos(quality.latency_max)));
        }
        let again_after = duplicate.then(|| self::latency(&quality, &mut self.rng_rare) + latency);
        if self.is_cut(from, to) {
            return Fate { arrives_after: Err(DropReason::Cut), again_after: None };
        }
        let lost = lost || self.faults.burst_loses(now, from, to);
        let arrives_after = if lost {
            Err(DropReason::Loss)
        } else {
            self.faults.queued(now, from, to, bytes).map(|waits| waits + latency)
        };
        Fate { arrives_after, again_after }
    }

    /// A segment of a stream, or an answer of a host's kernel, leaves.
    pub(crate) fn segment(
        &mut self,
        now: Instant,
        from: u32,
        to: u32,
        bytes: usize,
    ) -> Result<Duration, DropReason> {
        let quality = self.quality(from, to);
        let lost = quality.loss.draw(&mut self.rng);
        let latency = latency(&quality, &mut self.rng);
        if self.is_cut(from, to) {
            return Err(DropReason::Cut);
        }
        if lost || self.faults.burst_loses(now, from, to) {
            return Err(DropReason::Loss);
        }
        self.faults.queued(now, from, to, bytes).map(|waits| waits + latency)
    }

    pub(crate) fn cut(&mut self, from: &[HostId], to: &[HostId], both: bool) {
        let (from, to) = (HostSet::of(from), HostSet::of(to));
        if both {
            self.cuts.set(to.clone(), from.clone(), ());
        }
        self.cuts.set(from, to, ());
    }

    pub(crate) fn mend(&mut self, from: &[HostId], to: &[HostId]) {
        let (from, to) = (HostSet::of(from), HostSet::of(to));
        self.cuts.unset(&from, &to);
        self.cuts.unset(&to, &from);
    }

    pub(crate) fn heal(&mut self) {
        self.cuts.clear();
    }

    /// The links are sound as they are now.
    pub(crate) fn call_sound(&mut self) {
        self.sound = (self.default, self.special.clone());
    }

    /// No link is cut and all are as when they were called sound.
    pub(crate) fn repair(&mut self) {
        self.heal();
        self.faults.clear();
        (self.default, self.special) = self.sound.clone();
    }

    pub(crate) fn set_quality(&mut self, from: &[HostId], to: &[HostId], quality: LinkQuality) {
        check(&quality);
        if from.is_empty() && to.is_empty() {
            self.special.clear();
            self.default = quality;
            return;
        }
        let set = |hosts: &[HostId]| if hosts.is_empty() { HostSet::all() } else { HostSet::of(hosts) };
        self.special.set(set(from), set(to), quality);
    }
}

fn check(quality: &LinkQuality) {
    assert!(quality.latency_min <= quality.latency_max, "the latency's range is turned round");
}

fn latency(quality: &LinkQuality, rng: &mut Rng) -> Duration {
    nanos(rng.between(as_nanos(quality.latency_min), as_nanos(quality.latency_max)))
}

fn as_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 8).min(u64::MAX / 8)
}

fn nanos(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::link::Ratio;

    fn quality(loss: u32) -> LinkQuality {
        LinkQuality {
            latency_min: Duration::from_millis(1),
            latency_max: Duration::from_millis(2),
            loss: Ratio { numerator: loss, denominator: 100 },
            duplicate: Ratio { numerator: 5, denominator: 100 },
            reorder: Ratio { numerator: 5, denominator: 100 },
        }
    }

    fn net(quality: LinkQuality) -> Net {
        let rng = Rng::from_seed([3; 32]);
        Net::new(quality, rng.fork(1), rng.fork(2))
    }

    #[test]
    fn latency_and_loss_are_as_stated() {
        let mut net = net(quality(20));
        let fates: Vec<Fate> = (0..10_000).map(|_| net.datagram(Instant::ZERO, 0, 1, 100)).collect();
        let lost = fates.iter().filter(|f| f.arrives_after == Err(DropReason::Loss)).count();
        assert!((1_800..2_200).contains(&lost), "{lost}");
        let late =
            fates.iter().filter(|f| f.arrives_after.is_ok_and(|d| d > Duration::from_millis(2))).count();
        assert!((300..500).contains(&late), "{late}");
        assert!(
            fates.iter().all(|f| f.arrives_after.is_err() || f.arrives_after >= Ok(Duration::from_millis(1)))
        );
        assert!((400..600).contains(&fates.iter().filter(|f| f.again_after.is_some()).count()));
    }

    #[test]
    fn a_cut_or_a_loss_does_not_move_later_draws() {
        let mut plain = net(quality(0));
        let mut troubled = net(quality(0));
        troubled.cut(&[HostId(0)], &[HostId(1)], false);
        troubled.set_quality(&[HostId(4)], &[], quality(100));
        for _ in 0..100 {
            plain.datagram(Instant::ZERO, 0, 1, 100);
            plain.datagram(Instant::ZERO, 4, 1, 100);
            assert_eq!(troubled.datagram(Instant::ZERO, 0, 1, 100).arrives_after, Err(DropReason::Cut));
            assert_eq!(troubled.datagram(Instant::ZERO, 4, 1, 100).arrives_after, Err(DropReason::Loss));
        }
        for _ in 0..100 {
            assert_eq!(plain.segment(Instant::ZERO, 2, 3, 100), troubled.segment(Instant::ZERO, 2, 3, 100));
        }
    }

    #[test]
    fn cuts_are_one_way_unless_asked_and_mend_and_heal_undo_them() {
        let mut net = net(quality(0));
        let (a, b, c) = (HostId(0), HostId(1), HostId(2));
        net.cut(&[a], &[b, c], false);
        assert!(net.is_cut(0, 1) && net.is_cut(0, 2) && !net.is_cut(1, 0));
        net.cut(&[a], &[b], true);
        assert!(net.is_cut(1, 0));
        net.mend(&[b], &[a]);
        assert!(!net.is_cut(0, 1) && !net.is_cut(1, 0) && net.is_cut(0, 2));
        net.heal();
        assert!(!net.is_cut(0, 2));
    }
}
