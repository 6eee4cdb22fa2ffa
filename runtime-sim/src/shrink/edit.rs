//! Smaller and plainer versions of a plan. An edit changes a copy; it runs nothing.

use std::ops::Range;
use std::time::Duration;

use annulus_core::{Instant, Timings};

use crate::action::{Action, HostId, Ratio, SetLink};
use crate::checker::LeaderInTime;
use crate::expect::When;
use crate::expect::one_view_bound;
use crate::form::moved::Moved;
use crate::scenario::plan::{Plan, TimedAction};
use crate::scenario::start_joins;

/// The actions that an author wrote down or a seed drew: all but the joins that happen by themselves.
pub(super) fn explicit(plan: &Plan) -> Vec<TimedAction> {
    plan.actions.iter().filter(|timed| timed.line.is_some()).cloned().collect()
}

/// The plan with these actions instead of its own.
pub(super) fn with_actions(plan: &Plan, mut actions: Vec<TimedAction>) -> Plan {
    let mut plan = plan.clone();
    plan.actions = start_joins(&plan.hosts, &actions, plan.start);
    plan.actions.append(&mut actions);
    plan.actions.sort_by_key(|timed| timed.time);
    plan
}

/// The plan without some hosts and the actions that only concerned them. None when an expectation is about them.
pub(super) fn without_members(plan: &Plan, gone: Range<usize>) -> Option<Plan> {
    if gone.len() >= plan.hosts.len() {
        return None;
    }
    let moved = |host: HostId| -> Option<HostId> {
        let index = host.0 as usize;
        if gone.contains(&index) {
            return None;
        }
        let shift = if index >= gone.end { gone.len() } else { 0 };
        u32::try_from(index - shift).ok().map(HostId)
    };
    let all = |hosts: &[HostId]| -> Vec<HostId> { hosts.iter().filter_map(|host| moved(*host)).collect() };
    let mut smaller = plan.clone();
    smaller.hosts.drain(gone.clone());
    for host in &mut smaller.hosts {
        host.peers = all(&host.peers);
    }
    // A host that lost its only peer is given the first one, as it would be in a file.
    for index in 1..smaller.hosts.len() {
        if let Some(host) = smaller.hosts.get_mut(index)
            && host.peers.is_empty()
        {
            host.peers = vec![HostId(0)];
        }
    }
    for link in &mut smaller.links {
        // Empty means all hosts: a list that becomes empty must not widen.
        let had = (link.from.is_empty(), link.to.is_empty());
        (link.from, link.to) = (all(&link.from), all(&link.to));
        if (link.from.is_empty(), link.to.is_empty()) != had {
            return None;
        }
    }
    for expectation in &mut smaller.expectations {
        expectation.what = expectation.what.map_hosts(&moved)?;
        expectation.when = expectation.when.map_hosts(&Moved(&moved))?;
    }
    let mut actions = explicit(plan);
    actions.retain_mut(|timed| match timed.action.map_hosts(&moved) {
        Some(action) => {
            timed.action = action;
            true
        }
        None => false,
    });
    Some(with_actions(&smaller, actions))
}

/// Makes one setting of a plan plainer; false when it is plain already.
type Simplify = fn(&mut Plan) -> bool;

/// Each setting that can be made plainer.
pub(super) const SIMPLER: [Simplify; 7] = [
    |plan| {
        // Slower timings than the plan's would make a timely event late.
        let bound = |timings: &Timings| {
            (
                one_view_bound(timings, plan.hosts.len()),
                LeaderInTime::new(timings).bound(),
                timings.sync_period_ms,
            )
        };
        let (lan, own) = (bound(&Timings::lan()), bound(&plan.timings));
        let slower = lan.0 > own.0 || lan.1 > own.1 || lan.2 > own.2;
        let fits = plan.expectations.is_empty() || !slower;
        fits && std::mem::replace(&mut plan.timings, Timings::lan()) != Timings::lan()
    },
    |plan| {
        plan.hosts.iter_mut().filter_map(|host| std::mem::take(&mut host.permanent).then_some(())).count() > 0
    },
    |plan| plan.hosts.iter_mut().map(|host| std::mem::take(&mut host.zone).len()).sum::<usize>() > 0,
    |plan| {
        let mut any = false;
        for (index, host) in plan.hosts.iter_mut().enumerate() {
            let usual = if index == 0 { Vec::new() } else { vec![HostId(0)] };
            any |= std::mem::replace(&mut host.peers, usual.clone()) != usual;
        }
        any
    },
    |plan| {
        let before = plan.quality;
        (plan.quality.loss, plan.quality.duplicate, plan.quality.reorder) =
            (Ratio::ZERO, Ratio::ZERO, Ratio::ZERO);
        plan.quality != before
    },
    |plan| {
        let before = plan.quality;
        (plan.quality.latency_min, plan.quality.latency_max) =
            (Duration::from_millis(1), Duration::from_millis(1));
        // A sweep sets links back to their first quality; without that its faults would outlast their end.
        for timed in &mut plan.actions {
            if let Action::SetLink(SetLink { quality, .. }) = &mut timed.action
                && *quality == before
            {
                *quality = plan.quality;
            }
        }
        plan.quality != before
    },
    |plan| std::mem::take(&mut plan.links) != Vec::new(),
];

/// The plan with a part of the wait before its nth action left out: everything from there on comes earlier.
pub(super) fn shorter_wait(plan: &Plan, nth: usize, part: u32) -> Option<Plan> {
    const SHORTEST: Duration = Duration::from_millis(10);
    let mut actions = explicit(plan);
    let at = actions.get(nth)?.time;
    let before = match nth {
        0 => Instant::ZERO + plan.start,
        _ => actions.get(nth - 1)?.time,
    };
    let wait = at.saturating_since(before);
    let less = wait - wait / part;
    if less < SHORTEST {
        return None;
    }
    for timed in actions.iter_mut().skip(nth) {
        timed.time = earlier(timed.time, less);
    }
    let mut plan = with_actions(plan, actions);
    plan.duration = plan.duration.saturating_sub(less);
    for e in &mut plan.expectations {
        e.when = moved(&e.when, at, less);
    }
    Some(plan)
}

/// The plan with less time between its last action and its end.
pub(super) fn shorter_end(plan: &Plan, part: u32) -> Option<Plan> {
    let last = explicit(plan).last().map_or(Instant::ZERO + plan.start, |timed| timed.time);
    let wait = (Instant::ZERO + plan.duration).saturating_since(last);
    let less = wait - wait / part;
    if less < Duration::from_secs(1) || !plan.expectations.is_empty() {
        return None;
    }
    let mut plan = plan.clone();
    plan.duration -= less;
    Some(plan)
}

/// The plan with the time of one action, or of all and of the end, rounded to a multiple of this.
pub(super) fn rounded(plan: &Plan, nth: Option<usize>, unit_ms: u64) -> Option<Plan> {
    let round =
        |t: Instant| Instant::from_millis((t.as_nanos() / 1_000_000 + unit_ms / 2) / unit_ms * unit_ms);
    let mut actions = explicit(plan);
    let mut changed = false;
    for (index, timed) in actions.iter_mut().enumerate() {
        if nth.is_none_or(|nth| nth == index) && round(timed.time) != timed.time {
            timed.time = round(timed.time);
            changed = true;
        }
    }
    let ordered = actions.is_sorted_by_key(|timed| timed.time);
    let mut plan = with_actions(plan, actions);
    if nth.is_none() {
        let up = Duration::from_millis(
            plan.duration.as_millis().try_into().unwrap_or(u64::MAX / 2) / unit_ms * unit_ms + unit_ms,
        );
        if plan.expectations.is_empty() && plan.duration.subsec_nanos() != 0 {
            plan.duration = up;
            changed = true;
        }
    }
    (changed && ordered).then_some(plan)
}

fn earlier(t: Instant, less: Duration) -> Instant {
    Instant::ZERO + t.saturating_since(Instant::ZERO + less)
}

/// The time that an expectation looks at, when everything from `at` on comes earlier.
fn moved(when: &When, at: Instant, less: Duration) -> When {
    let shift = |t: Instant| if t >= at { earlier(t, less).max(earlier(at, less)) } else { t };
    when.map(shift)
}
