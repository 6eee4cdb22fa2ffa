//! Performs a scenario with real daemons: actions at their times, expectations with a tolerance.

use std::thread;
use std::time::Duration;

use annulus_core::Instant;

use super::ring::Ring;
use super::{BedError, On, check, interrupt, make};
use crate::engine::scene::Scene as _;
use crate::expect::Report;
use crate::scenario::Plan;
use crate::scenario::judge::{Judge, Unmet};
use crate::scenario::scene::{self, Holdings};

/// Time between two looks.
const LOOK_PERIOD: Duration = Duration::from_millis(100);

/// A run that came to its end.
#[derive(Clone, Debug)]
pub(crate) struct BedReport {
    /// The expectations that did not hold; none when all held.
    pub(crate) unmet: Option<Unmet>,
    /// The states that members held of each other at the end.
    pub(crate) holdings: Holdings,
    /// When it ended.
    pub(crate) ended: Instant,
}

/// Performs `plan` in real time. An expectation may be met `tolerance` later than it says, and a condition over a
/// span need not hold in its first `tolerance`.
///
/// # Errors
/// See [`BedError`]. Every process that was started is removed then, too.
pub(crate) fn perform(plan: &Plan, on: On, tolerance: Duration) -> Result<BedReport, BedError> {
    interrupt::watch();
    check(plan)?;
    let bed = make(on, plan.hosts.len())?;
    for timed in &plan.actions {
        if let Some(what) = bed.cannot(&timed.action) {
            let line = timed.line.map_or_else(String::new, |line| format!("{}:{line}: ", plan.file));
            return Err(BedError::NotHere(format!("{line}{what}")));
        }
    }
    let mut ring = Ring::new(plan, bed)?;
    let mut judge = Judge::lenient(plan, tolerance);
    let mut actions = plan.actions.iter().peekable();
    let end = Instant::ZERO + plan.duration;
    loop {
        if interrupt::noticed() {
            return Err(BedError::Interrupted);
        }
        ring.observe()?;
        let now = ring.now();
        for report in ring.reported() {
            let subject = match report.member {
                Some(member) => ring.host_by_member(&member),
                None => Some(report.host),
            };
            judge.note(now, Report { host: report.host, word: report.word, subject });
        }
        let looked = judge.glance(&ring);
        let unmet = looked.as_ref().err().cloned();
        if unmet.is_some() || (now >= end && looked.is_ok_and(|all| all)) {
            return Ok(BedReport { unmet, holdings: scene::holdings(&ring, plan), ended: now });
        }
        // Expectations at a time are judged before the actions of that time.
        while let Some(timed) = actions.next_if(|timed| timed.time <= now) {
            if let Err(error) = timed.action.check(&ring) {
                let line = timed.line.unwrap_or(0);
                let error = error.to_string();
                return Err(BedError::Impossible { file: plan.file.clone(), line, error });
            }
            ring.act(&timed.action)?;
        }
        let next = actions.peek().map_or(end, |timed| timed.time);
        let wait = next.saturating_since(ring.elapsed()).min(LOOK_PERIOD);
        thread::sleep(if wait.is_zero() && actions.peek().is_none() { LOOK_PERIOD } else { wait });
    }
}
