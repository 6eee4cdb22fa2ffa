//! A supervisor that handles everything late: an overloaded host, a debugger, a disk that blocks.
//!
//! Each arrival is handled in order, late by a drawn time, and so are the supervisor's timers.

use std::collections::BTreeMap;
use std::time::Duration;

use annulus_core::{Instant, Rng};

use crate::engine::deed::Deed;
use crate::engine::host::{Arrival, HostState};
use crate::engine::link::Delay;
use crate::engine::record::DropReason;
use crate::engine::world::{Thing, World};

/// The hosts that are slow.
#[derive(Debug)]
pub(crate) struct SlowHosts {
    hosts: BTreeMap<u32, Slow>,
    rng: Rng,
}

#[derive(Debug)]
struct Slow {
    delay: Delay,
    /// When the latest arrival is handled: no later one overtakes it.
    busy_until: Instant,
}

impl SlowHosts {
    pub(crate) const fn new(rng: Rng) -> Self {
        Self { hosts: BTreeMap::new(), rng }
    }

    /// How late this host handles its next arrival; none when it is not slow.
    pub(crate) fn draw(&mut self, host: u32) -> Option<Duration> {
        // Nearly always no host is slow.
        if self.hosts.is_empty() {
            return None;
        }
        let Delay { min, max } = self.hosts.get(&host)?.delay;
        let ns = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 4);
        Some(Duration::from_nanos(self.rng.between(ns(min), ns(max))))
    }

    pub(crate) fn clear(&mut self) {
        self.hosts.clear();
    }
}

impl<D: Deed> World<D> {
    pub(crate) fn set_slow(&mut self, host: u32, delay: Option<Delay>) {
        match delay {
            Some(delay) => {
                let busy_until = self.slow.hosts.get(&host).map_or(self.now, |slow| slow.busy_until);
                self.slow.hosts.insert(host, Slow { delay, busy_until });
            }
            None => drop(self.slow.hosts.remove(&host)),
        }
    }

    /// A supervisor that runs reads an arrival: at once, or when a slow supervisor comes to it.
    pub(crate) fn arrive_soon(&mut self, host: u32, arrival: Arrival) {
        let Some(delay) = self.slow.draw(host) else { return self.arrive_now(host, arrival) };
        let now = self.now;
        let Some(slow) = self.slow.hosts.get_mut(&host) else { return };
        slow.busy_until = slow.busy_until.max(now + delay);
        let generation = self.hosts[host as usize].generation;
        self.queue.push(slow.busy_until, Thing::Late { host, generation, arrival: Box::new(arrival) });
    }

    pub(crate) fn late_arrival(&mut self, host: u32, generation: u32, arrival: Arrival) {
        let there = &mut self.hosts[host as usize];
        if there.generation != generation || there.node.is_none() {
            if let Arrival::Datagram { packet, .. } | Arrival::Stream { packet, .. } = arrival {
                self.dropped(packet, Some(host), DropReason::HostDown);
            }
        } else if there.state == HostState::Paused {
            there.rest.inbox.push(arrival);
        } else {
            self.arrive_now(host, arrival);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::testing::{self, A, B};
    use crate::action::{Action, Slow};
    use crate::engine::ids::PacketId;
    use crate::engine::record::{Recording, What};

    #[test]
    fn a_slow_supervisor_reads_late_and_in_order() {
        let mut world = testing::pair(1, testing::quality());
        let delay = Delay { min: Duration::from_millis(50), max: Duration::from_millis(400) };
        world.apply(&Action::Slow(Slow { host: B, delay: Some(delay) })).expect("possible");
        world.record(Recording::Packets);
        let first = 1 << 40;
        let sent = world.now();
        for n in 0..20 {
            let arrival = Arrival::Datagram { packet: PacketId(first + n), from: A.0, bytes: vec![0xff] };
            world.arrive(B.0, arrival);
        }
        world.run_until(sent + Duration::from_secs(2));
        let read: Vec<(u64, Duration)> = world
            .drain_records()
            .into_iter()
            .filter_map(|record| match record.what {
                What::Delivered { packet, .. } if packet.0 >= first => {
                    Some((packet.0 - first, record.at.saturating_since(sent)))
                }
                _ => None,
            })
            .collect();
        assert!(read.iter().map(|(n, _)| *n).eq(0..20), "{read:?}");
        assert!(read.iter().all(|(_, late)| *late >= delay.min && *late <= delay.max), "{read:?}");
    }
}
