//! As long as no member was faulty and no link lost more than one packet in twenty, nobody is confirmed dead: the
//! promise that detection is not bought with false deaths (Lifeguard section V).
//!
//! It judges nothing any more once something happens that excuses a wrong verdict, in that run.

use annulus_core::{EventKind, State};

use super::Checker;
use crate::action::{Action, LinkQuality};
use crate::record::{Record, What};
use crate::scenario::Plan;

/// See the module.
#[derive(Debug, Default)]
pub struct HealthyIsNotBuried {
    excused: bool,
}

/// The most that a link may lose, in percent.
const LOSS_PERCENT_MAX: u64 = 5;

impl HealthyIsNotBuried {
    /// The links of a plan are known from the start.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        let links = plan.links.iter().map(|link| &link.quality);
        let timeout_ms = plan.timings.probe_timeout_ms;
        let excused = links.chain([&plan.quality]).any(|quality| !is_good(quality, timeout_ms));
        Self { excused }
    }
}

/// Whether probes over such a link are answered in time nearly always.
fn is_good(quality: &LinkQuality, timeout_ms: u64) -> bool {
    let loss = quality.loss;
    let round_trip_ms = quality.latency_max.as_millis() * 2;
    u64::from(loss.numerator) * 100 <= u64::from(loss.denominator) * LOSS_PERCENT_MAX
        && round_trip_ms * 3 <= u128::from(timeout_ms)
}

impl Checker for HealthyIsNotBuried {
    fn name(&self) -> &'static str {
        "healthy_is_not_buried"
    }

    fn observe(&mut self, record: &Record) -> Result<(), String> {
        match &record.what {
            What::Action(action) => {
                // Everything else makes a member faulty, or a network that it cannot be told from.
                self.excused |= !matches!(
                    action,
                    Action::Join(_)
                        | Action::LoadService { .. }
                        | Action::UnloadService { .. }
                        | Action::StopService { .. }
                        | Action::StartService { .. }
                        | Action::CrashService { .. }
                );
                Ok(())
            }
            What::Event { host, event } if !self.excused => match &event.kind {
                EventKind::MemberChanged { member, to: State::Confirmed, why, .. } => Err(format!(
                    "host {} holds member {member} dead ({why:?}), and nobody was faulty and no link bad",
                    host.0
                )),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use annulus_core::{Incarnation, Why};

    use super::super::testing::{event, member, record};
    use super::*;
    use crate::action::{HostId, Ratio};

    fn buried() -> Record {
        let (from, to) = (Some(State::Suspect), State::Confirmed);
        let why = Why::SuspicionExpired { accusers: 4 };
        event(0, EventKind::MemberChanged { member: member(1), from, to, incarnation: Incarnation(1), why })
    }

    #[test]
    fn it_fires_while_nothing_excuses_a_death() {
        let mut checker = HealthyIsNotBuried::default();
        checker.observe(&record(What::Action(Action::Join(HostId(0))))).expect("starting is no fault");
        assert!(checker.observe(&buried()).is_err());
    }

    #[test]
    fn a_fault_excuses_what_follows() {
        let mut checker = HealthyIsNotBuried::default();
        checker.observe(&record(What::Action(Action::Pause(HostId(1))))).expect("a fault");
        assert_eq!(checker.observe(&buried()), Ok(()));
    }

    #[test]
    fn good_links_lose_little_and_answer_in_time() {
        let ms = Duration::from_millis;
        let good = LinkQuality {
            latency_min: ms(1),
            latency_max: ms(5),
            loss: Ratio { numerator: 5, denominator: 100 },
            duplicate: Ratio::ZERO,
            reorder: Ratio::ZERO,
        };
        assert!(is_good(&good, 250));
        assert!(!is_good(&LinkQuality { loss: Ratio { numerator: 6, denominator: 100 }, ..good }, 250));
        assert!(!is_good(&LinkQuality { latency_max: ms(100), ..good }, 250));
    }
}
