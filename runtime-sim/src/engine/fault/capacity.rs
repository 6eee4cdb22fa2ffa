//! Links that carry a bounded number of bytes in a second, with a bounded queue before them.

use std::collections::BTreeMap;
use std::time::Duration;

use annulus_core::Instant;

use crate::engine::hostset::{HostSet, LinkMap};
use crate::engine::ids::HostId;
use crate::engine::link::Capacity;
use crate::engine::record::DropReason;

/// The links that have a limit.
#[derive(Debug)]
pub(super) struct Capacities {
    rules: LinkMap<Capacity>,
    /// When each link will have sent all bytes that it was given.
    free_at: BTreeMap<(u32, u32), Instant>,
}

impl Capacities {
    pub(super) const fn new() -> Self {
        Self { rules: LinkMap::new(), free_at: BTreeMap::new() }
    }

    pub(super) fn set(&mut self, from: &[HostId], to: &[HostId], capacity: Option<Capacity>) {
        let (from, to) = (HostSet::named(from), HostSet::named(to));
        self.free_at.retain(|(f, t), _| !(from.contains(*f) && to.contains(*t)));
        match capacity {
            Some(capacity) => self.rules.set(from, to, capacity),
            None => self.rules.unset(&from, &to),
        }
    }

    pub(super) fn clear(&mut self) {
        self.rules.clear();
        self.free_at.clear();
    }

    pub(super) fn queued(
        &mut self,
        now: Instant,
        from: u32,
        to: u32,
        bytes: usize,
    ) -> Result<Duration, DropReason> {
        let Some(capacity) = self.rules.get(from, to) else { return Ok(Duration::ZERO) };
        let rate = u64::from(capacity.bytes_per_s);
        let free_at = self.free_at.entry((from, to)).or_insert(now);
        let waits = free_at.saturating_since(now);
        let waiting_bytes =
            u64::try_from(waits.as_nanos()).unwrap_or(u64::MAX) / (1_000_000_000 / rate).max(1);
        // A packet always fits when nothing waits, as one packet fits into every real queue.
        if waiting_bytes > 0 && waiting_bytes + bytes as u64 > u64::from(capacity.queue_bytes) {
            return Err(DropReason::LinkFull);
        }
        let sending = Duration::from_nanos((bytes as u64).saturating_mul(1_000_000_000) / rate);
        *free_at = now + waits + sending;
        Ok(waits + sending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_faster_than_it_leaves_waits_and_then_is_dropped() {
        let mut links = Capacities::new();
        let capacity = Capacity { bytes_per_s: 10_000, queue_bytes: 3_000 };
        links.set(&[HostId(0)], &[], Some(capacity));
        let at = Instant::from_millis(5);
        let fates: Vec<_> = (0..5).map(|_| links.queued(at, 0, 1, 1_000)).collect();
        let ms = |ms| Ok(Duration::from_millis(ms));
        let full = Err(DropReason::LinkFull);
        assert_eq!(fates, [ms(100), ms(200), ms(300), full, full]);
        let later = Instant::from_millis(205);
        assert_eq!(links.queued(later, 0, 1, 1_000), ms(200), "one second carries ten thousand bytes");
        assert_eq!(links.queued(at, 1, 0, 1_000), ms(0), "the way back has no limit");
        assert_eq!(links.queued(at, 0, 2, 1_000), ms(100), "each link has a queue of its own");
    }
}
