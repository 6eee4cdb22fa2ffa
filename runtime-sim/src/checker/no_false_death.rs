//! No healthy member is held dead while the network is healthy: as long as every host is well, no link is cut and
//! none loses more than 5 % of its datagrams, no supervisor holds a running member dead.
//!
//! The promise of the ring (Lifeguard is what makes it tenable). It is judged from the beginning to the first fault
//! that excuses a death, and again when every fault has ended and what it left behind has run out: probes that
//! began before still fail, at the pace of a member that doubts itself as much as it can, and their suspicions.

use std::collections::BTreeMap;
use std::time::Duration;

use annulus_core::{EventKind, Instant, MemberId, State, Timings};

use super::Checker;
use crate::action::world::{Record, What};
use crate::action::{Action, Calm, HostId, LinkQuality, SetLink};

/// The highest loss at which no member may be held dead, in percent.
const LOSS_PERCENT_MAX: u64 = 5;
/// The longest way at which none may be: half of the shortest probe timeout's round trip, and some.
const LATENCY_MAX: Duration = Duration::from_millis(50);

/// The checker of the property that this module states.
#[derive(Debug)]
pub struct NoFalseDeath {
    grace: Duration,
    /// A fault that excuses a death is on.
    disturbed: bool,
    /// When the last disturbance ended.
    calm_since: Option<Instant>,
    /// Where each member runs, and since when.
    runs: BTreeMap<MemberId, (HostId, Instant)>,
}

impl NoFalseDeath {
    /// A checker for a ring with these timings.
    #[must_use]
    pub fn new(timings: &Timings) -> Self {
        let probe_ms = timings.probe_period_ms * u64::from(timings.local_health_max + 1);
        let suspicion_ms = 2 * timings.suspicion_timeout_ms_min * u64::from(timings.suspicion_max_factor);
        let grace = Duration::from_millis(2 * probe_ms + suspicion_ms + timings.leave_delay_ms);
        Self { grace, disturbed: false, calm_since: None, runs: BTreeMap::new() }
    }

    fn action(&mut self, at: Instant, action: &Action) {
        match action {
            Action::Calm(Calm) => {
                self.disturbed = false;
                self.calm_since = Some(at);
            }
            Action::SetLink(SetLink { quality, .. }) if is_harmless(quality) => {}
            Action::Join(_)
            | Action::Heal(_)
            | Action::LoadService(_)
            | Action::UnloadService(_)
            | Action::StartService(_)
            | Action::StopService(_)
            | Action::ApplyConfig(_)
            | Action::PutFile(_)
            | Action::SetPackage(_)
            | Action::Balance(_)
            | Action::CrashService(_)
            | Action::ClockJump(_) => {}
            _ => self.disturbed = true,
        }
    }
}

fn is_harmless(quality: &LinkQuality) -> bool {
    let loss = quality.loss;
    let lossy = u64::from(loss.numerator) * 100 > LOSS_PERCENT_MAX * u64::from(loss.denominator);
    !lossy && quality.latency_max <= LATENCY_MAX
}

impl Checker for NoFalseDeath {
    fn name(&self) -> &'static str {
        "no_false_death"
    }

    fn observe(&mut self, record: &Record) -> Result<(), String> {
        match &record.what {
            What::Action(action) => self.action(record.at, action),
            What::HostStarted { host, member, .. } => {
                self.runs.insert(*member, (*host, record.at));
            }
            What::HostStopped { host, .. } => self.runs.retain(|_, (on, _)| on != host),
            What::Event { host, event } => {
                let EventKind::MemberChanged { member, to: State::Confirmed, .. } = &event.kind else {
                    return Ok(());
                };
                let Some((on, since)) = self.runs.get(member) else { return Ok(()) };
                let settled = |since: Instant| record.at > since + self.grace;
                if !self.disturbed
                    && self.calm_since.is_none_or(settled)
                    && (self.calm_since.is_none() || settled(*since))
                {
                    return Err(format!(
                        "host {} holds member {member} dead, which runs on host {} since {since}; nothing is wrong",
                        host.0, on.0
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use annulus_core::{Incarnation, Why};

    use super::super::testing::{event, member, record, started};
    use super::*;
    use crate::action::Pause;
    use crate::action::Ratio;

    fn died(at_ms: u64) -> Record {
        let why = Why::SuspicionExpired { accusers: 1 };
        let (member, from, to) = (member(9), Some(State::Suspect), State::Confirmed);
        let kind = EventKind::MemberChanged { member, from, to, incarnation: Incarnation(1), why };
        Record { at: Instant::from_millis(at_ms), ..event(0, kind) }
    }

    fn done(action: Action) -> Record {
        record(What::Action(action))
    }

    fn lossy(percent: u32) -> Record {
        let ms = Duration::from_millis(1);
        let loss = Ratio::percent(percent);
        let quality = LinkQuality {
            latency_min: ms,
            latency_max: ms,
            loss,
            duplicate: Ratio::ZERO,
            reorder: Ratio::ZERO,
        };
        done(Action::SetLink(SetLink { from: Vec::new(), to: Vec::new(), quality }))
    }

    fn run(records: &[Record]) -> Result<(), String> {
        let mut checker = NoFalseDeath::new(&Timings::lan());
        records.iter().try_for_each(|record| checker.observe(record))
    }

    #[test]
    fn a_death_without_a_reason_fires() {
        assert!(
            run(&[started(3, 9, false), died(5_000)])
                .expect_err("it has to fire")
                .contains("nothing is wrong")
        );
        assert!(run(&[started(3, 9, false), lossy(5), died(5_000)]).is_err());
        let later = [started(3, 9, false), lossy(50), done(Action::Calm(Calm)), died(100_000)];
        assert!(run(&later).is_err());
    }

    #[test]
    fn a_death_that_something_excuses_passes() {
        assert_eq!(run(&[started(3, 9, false), lossy(6), died(5_000)]), Ok(()));
        assert_eq!(
            run(&[started(3, 9, false), done(Action::Pause(Pause { host: HostId(1) })), died(5_000)]),
            Ok(())
        );
        assert_eq!(run(&[died(5_000)]), Ok(()), "it does not run");
        let soon = [started(3, 9, false), lossy(50), done(Action::Calm(Calm)), died(5_000)];
        assert_eq!(run(&soon), Ok(()), "a suspicion from before may still run out");
    }
}
