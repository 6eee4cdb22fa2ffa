//! A seed's ring before any fault: how many members, their timings, their peers, their network. Each draw is made
//! even where its result is not used, so that a change of one does not move the others.

use std::time::Duration;

use annulus_core::{Rng, Timings, limits};

use crate::action::{HostId, LinkQuality, Ratio};
use crate::engine::link::LATENCY_MAX;
use crate::scenario::plan::{LinkChange, PlannedHost};

/// A ring and its network.
#[derive(Debug)]
pub(super) struct Ring {
    pub hosts: Vec<PlannedHost>,
    pub timings: Timings,
    pub quality: LinkQuality,
    pub links: Vec<LinkChange>,
    /// Within which time the hosts start.
    pub start: Duration,
    /// Whether it has a key.
    pub ring_key: Option<u64>,
}

/// Members of the rare big ring.
pub(super) const BIG: u32 = 1_000;
/// One ring of so many is big.
const BIG_ONE_IN: u64 = 2_000;
/// Single options that may differ from their profile.
const PERTURBED_MAX: u64 = 4;

/// The longest time on the way within a zone, in microseconds.
const NEAR_US_MAX: u64 = 5_000;
/// What another zone may add to it.
const FAR_US_MAX: u64 = 20_000;

// Checkers allow for a datagram that is on its way.
const _: () = assert!((NEAR_US_MAX + FAR_US_MAX) as u128 == LATENCY_MAX.as_micros());

/// Draws a ring.
pub(super) fn draw(rng: &mut Rng) -> Ring {
    let big = rng.chance(1, BIG_ONE_IN);
    // Most rings are small, where each single fault matters.
    let most = [8, 20, 50][rng.index(3)];
    let small = 3 + rng.below(most - 2) as u32;
    let members = if big { BIG } else { small };
    let timings = timings(rng);
    let quality = quality(rng);
    let zones = 1 + rng.below(3) as u32;
    let zone_of: Vec<u32> = (0..BIG).map(|_| rng.below(u64::from(zones)) as u32).collect();
    let permanent = permanent(rng, members);
    let peers = peers(rng, members, &permanent);
    let far_us = rng.between(0, FAR_US_MAX);
    let start = Duration::from_millis(rng.between(0, 3_000));
    let hosts: Vec<PlannedHost> = (0..members)
        .map(|n| PlannedHost {
            name: format!("m{}", n + 1),
            zone: if zones > 1 { zone_name(zone_of[n as usize]) } else { String::new() },
            permanent: permanent.contains(&HostId(n)),
            peers: peers[n as usize].clone(),
        })
        .collect();
    let links = far_links(&hosts, zones, quality, far_us);
    Ring { hosts, timings, quality, links, start, ring_key: None }
}

fn zone_name(zone: u32) -> String {
    format!("z{zone}")
}

/// Zones are farther from each other than the hosts in one.
fn far_links(hosts: &[PlannedHost], zones: u32, quality: LinkQuality, far_us: u64) -> Vec<LinkChange> {
    let within = |zone: u32| -> Vec<HostId> {
        (0..).map(HostId).zip(hosts).filter(|(_, h)| h.zone == zone_name(zone)).map(|(id, _)| id).collect()
    };
    let far = Duration::from_micros(far_us);
    let quality = LinkQuality {
        latency_min: quality.latency_min + far,
        latency_max: quality.latency_max + far,
        ..quality
    };
    let pairs = (0..zones).flat_map(|a| (0..zones).map(move |b| (a, b))).filter(|(a, b)| a != b);
    pairs
        .map(|(a, b)| LinkChange { from: within(a), to: within(b), quality })
        .filter(|change| !change.from.is_empty() && !change.to.is_empty())
        .collect()
}

/// No member, one, or several.
fn permanent(rng: &mut Rng, members: u32) -> Vec<HostId> {
    let several = 2 + rng.index(3);
    let chosen = rng.sample(members as usize, several.min(members as usize));
    let count = [0, 1, several][rng.index(3)];
    let mut hosts: Vec<HostId> = chosen.into_iter().take(count).map(|n| HostId(n as u32)).collect();
    hosts.sort_unstable();
    hosts
}

/// The members that each contacts first: a star, a chain, the permanent peers, or all members.
fn peers(rng: &mut Rng, members: u32, permanent: &[HostId]) -> Vec<Vec<HostId>> {
    let shape = rng.index(4);
    (0..members)
        .map(|n| {
            let peers: Vec<HostId> = match shape {
                0 => vec![HostId(0)],
                1 => n.checked_sub(1).map(HostId).into_iter().collect(),
                2 if !permanent.is_empty() => permanent.to_vec(),
                // All members, as long as an author would write such a list.
                _ => (0..members.min(16)).map(HostId).collect(),
            };
            peers.into_iter().filter(|peer| peer.0 != n).collect()
        })
        .collect()
}

fn quality(rng: &mut Rng) -> LinkQuality {
    // Latencies that suit every profile: a probe is answered in time where nothing is wrong.
    let latency_max_us = rng.between(200, NEAR_US_MAX);
    LinkQuality {
        latency_min: Duration::from_micros(rng.between(50, latency_max_us)),
        latency_max: Duration::from_micros(latency_max_us),
        loss: Ratio::ZERO,
        duplicate: Ratio::ZERO,
        reorder: Ratio::ZERO,
    }
}

/// A profile, and single values of it that differ as far as they may.
fn timings(rng: &mut Rng) -> Timings {
    let mut timings =
        [Timings::lan(), Timings::lan(), Timings::local(), Timings::wan()][rng.index(4)].clone();
    let perturbed = if rng.chance(1, 2) { rng.between(1, PERTURBED_MAX) } else { 0 };
    for number in 0..PERTURBED_MAX {
        let mut changed = timings.clone();
        let option = rng.index(16);
        // Three fifths to five thirds.
        let (numerator, denominator) = (rng.between(3, 8), rng.between(5, 5));
        perturb(&mut changed, option, |value| (value * numerator / denominator).max(1));
        if number < perturbed && changed.validate().is_ok() {
            timings = changed;
        }
    }
    timings
}

/// How large this ring's datagrams are: the default, or from the smallest to what an Ethernet packet carries.
pub(super) fn draw_datagrams(rng: &mut Rng, timings: &mut Timings) {
    let differs = rng.chance(1, 2);
    let bytes = rng.between(limits::DATAGRAM_BYTES_MIN as u64, 1_400);
    if differs {
        timings.datagram_bytes_max = bytes as u32;
    }
}

fn perturb(t: &mut Timings, option: usize, scaled: impl Fn(u64) -> u64) {
    let times: [&mut u64; 11] = [
        &mut t.probe_period_ms,
        &mut t.probe_timeout_ms,
        &mut t.probe_verdict_ms,
        &mut t.suspicion_timeout_ms_min,
        &mut t.gossip_period_ms,
        &mut t.sync_period_ms,
        &mut t.sync_period_ms_min,
        &mut t.reconnect_period_ms,
        &mut t.leave_delay_ms,
        &mut t.persist_period_ms,
        &mut t.stall_ms,
    ];
    let options = times.len();
    if option < options {
        for (_, time) in times.into_iter().enumerate().filter(|(n, _)| *n == option) {
            *time = scaled(*time);
        }
        return;
    }
    let counts: [&mut u32; 5] = [
        &mut t.indirect_probes,
        &mut t.suspicion_max_factor,
        &mut t.corroborators,
        &mut t.local_health_max,
        &mut t.retransmit_factor,
    ];
    for (_, count) in counts.into_iter().enumerate().filter(|(n, _)| *n == option - options) {
        *count = scaled(u64::from(*count)) as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn datagrams_differ_and_are_valid() {
        let sizes: BTreeSet<u32> = (0..200)
            .map(|seed| {
                let mut timings = Timings::lan();
                draw_datagrams(&mut Rng::from_seed([seed; 32]), &mut timings);
                assert_eq!(timings.validate(), Ok(()));
                timings.datagram_bytes_max
            })
            .collect();
        assert!(sizes.contains(&1_024) && sizes.len() > 50, "{sizes:?}");
    }

    #[test]
    fn rings_differ_in_everything_and_are_valid() {
        let (mut sizes, mut timings, mut peers) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for seed in 0..200 {
            let ring = draw(&mut Rng::from_seed([seed; 32]));
            assert_eq!(ring.timings.validate(), Ok(()));
            sizes.insert(ring.hosts.len());
            timings.insert(format!("{:?}", ring.timings));
            peers.insert(ring.hosts.iter().map(|host| host.peers.len()).max());
        }
        assert!(sizes.len() > 30 && timings.len() > 80 && peers.len() > 4, "{sizes:?}");
    }
}
