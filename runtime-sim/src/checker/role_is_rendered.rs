//! A role that has changed is rendered: within a bound the files of a running service say that it leads exactly when its
//! supervisor leads, in that term. A host that a fault has touched is not held to a time, nor is one that tells that it could
//! not write the files: it tries again after pauses that grow, and says so when it has.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use annulus_core::{EventKind, Instant, ObstacleKind, ServiceGroup};

use super::Checker;
use super::acting::{Acting, Place, Tree};
use super::quiet::Quiet;
use crate::action::HostId;
use crate::action::world::{Record, What};

/// A write that another one is waiting for, the acknowledgement of a lease, a restart between.
const BOUND: Duration = Duration::from_secs(5);

/// The checker of the property that this module states.
#[derive(Debug, Default)]
pub struct RoleIsRendered {
    acting: Acting,
    quiet: Quiet,
    /// The term in which each supervisor leads, none when it leads no longer, and since when.
    leads: BTreeMap<(HostId, ServiceGroup), (Instant, Option<u64>)>,
    /// Services whose files could not be written, as their supervisors say.
    refused: BTreeSet<Place>,
}

impl RoleIsRendered {
    fn wrong(&self, now: Instant, place: &Place, tree: &Tree) -> Option<String> {
        let (written, rendering) = self.acting.files.get(place)?;
        let (changed, term) = self.leads.get(&(place.0, rendering.group.clone()))?;
        let settled = (*written).max(*changed).max(tree.since) + BOUND < now;
        if !settled
            || self.refused.contains(place)
            || *term == rendering.leads()
            || !self.quiet.lasts(place.0, now, BOUND)
        {
            return None;
        }
        let said =
            |term: Option<u64>| term.map_or("does not lead".to_owned(), |t| format!("leads in term {t}"));
        Some(format!(
            "the files of {} on host {} say since {written} that it {}, and its supervisor {} since {changed}",
            place.1,
            place.0.0,
            said(rendering.leads()),
            said(*term),
        ))
    }
}

impl Checker for RoleIsRendered {
    fn name(&self) -> &'static str {
        "role_is_rendered"
    }

    fn observe(&mut self, record: &Record) -> Result<(), String> {
        self.quiet.observe(record);
        self.acting.observe(record);
        match &record.what {
            What::Leads { host, group, term, until } => {
                let term = until.map(|_| *term);
                let held = self.leads.entry((*host, group.clone())).or_insert((record.at, term));
                if held.1 != term {
                    *held = (record.at, term);
                }
            }
            What::Event { host, event } => {
                if let EventKind::ObstacleChanged { service, obstacle: ObstacleKind::File, what, .. } =
                    &event.kind
                {
                    let place = (*host, service.clone());
                    match what {
                        Some(_) => drop(self.refused.insert(place)),
                        None => drop(self.refused.remove(&place)),
                    }
                }
            }
            What::HostStopped { host, .. } => {
                self.leads.retain(|(other, _), _| other != host);
                self.refused.retain(|(other, _)| other != host);
            }
            _ => {}
        }
        if self.leads.is_empty() {
            return Ok(());
        }
        let wrong = self.acting.trees.iter().find_map(|(place, tree)| self.wrong(record.at, place, tree));
        wrong.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at, event, rendering};
    use super::*;
    use crate::action::Pause;

    const HOST: HostId = HostId(0);

    fn rendered(ms: u64, leads: Option<u64>) -> Record {
        let service = "redis".parse().expect("a name");
        at(ms, What::Rendered { host: HOST, service, rendering: Box::new(rendering(leads)) })
    }

    fn leads(ms: u64, until: Option<u64>) -> Record {
        let group = "redis.default".parse().expect("a group");
        at(ms, What::Leads { host: HOST, group, term: 3, until: until.map(Instant::from_millis) })
    }

    fn run(records: &[Record]) -> Result<(), String> {
        let mut checker = RoleIsRendered::default();
        records.iter().try_for_each(|record| checker.observe(record))
    }

    #[test]
    fn files_follow_the_role() {
        let started =
            at(0, What::ProcessStarted { host: HOST, service: "redis".parse().expect("a name"), pid: 7 });
        let first = [rendered(0, None), started, leads(1_000, Some(3_000))];
        let with = |rest: &[Record]| [&first[..], rest].concat();
        let renewed = leads(9_000, Some(11_000));
        assert_eq!(run(&with(&[rendered(1_100, Some(3)), renewed.clone()])), Ok(()));
        let message = run(&with(std::slice::from_ref(&renewed))).expect_err("it has to fire");
        assert!(message.contains("say since 0.000s that it does not lead"), "{message}");
        assert!(
            run(&with(&[rendered(1_100, Some(2)), renewed.clone()])).is_err(),
            "an older term is another one"
        );
        let lost = [rendered(1_100, Some(3)), leads(2_000, None), leads(9_000, None)];
        assert!(run(&with(&lost)).is_err(), "it says that it leads");
        let pause = at(1_000, What::Action(Pause { host: HOST }.into()));
        assert_eq!(run(&with(&[pause, renewed.clone()])), Ok(()));
        let obstacle = |ms, what: Option<&str>| {
            let service = "redis".parse().expect("a name");
            let what = what.map(str::to_owned);
            let kind = EventKind::ObstacleChanged { service, obstacle: ObstacleKind::File, hook: None, what };
            Record { at: Instant::from_millis(ms), ..event(0, kind) }
        };
        let (failed, gone) = (obstacle(1_100, Some("no space left")), obstacle(2_000, None));
        assert_eq!(run(&with(&[failed.clone(), renewed.clone()])), Ok(()), "it is told, and tried again");
        assert!(run(&with(&[failed, gone, renewed])).is_err(), "nothing stands in its way any more");
    }
}
