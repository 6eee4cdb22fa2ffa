//! Elections, E6: no file says that a service leads, and no process is started to lead, before its guard has heard of that
//! term. Otherwise a process acts that nothing ends when its supervisor is gone, and that no supervisor may take over.

use std::collections::{BTreeMap, BTreeSet};

use annulus_core::{ServiceGroup, ServiceName};

use super::Checker;
use super::acting::Acting;
use crate::action::HostId;
use crate::action::world::{Record, What};

/// The checker of the property that this module states.
#[derive(Debug, Default)]
pub struct GuardKnowsFirst {
    acting: Acting,
    /// What the guard of each process was ever told; what it was told once holds a deadline.
    told: BTreeMap<(HostId, ServiceName, u32), BTreeSet<(ServiceGroup, u64)>>,
}

impl Checker for GuardKnowsFirst {
    fn name(&self) -> &'static str {
        "guard_knows_first"
    }

    fn observe(&mut self, record: &Record) -> Result<(), String> {
        match &record.what {
            What::GuardHolds { host, service, pid, right: Some(right) } => {
                let of = self.told.entry((*host, service.clone(), *pid)).or_default();
                of.insert(right.clone());
            }
            What::ProcessExited { host, service, pid, .. } => {
                self.told.remove(&(*host, service.clone(), *pid));
            }
            _ => {}
        }
        let Some((host, service)) = self.acting.observe(record) else { return Ok(()) };
        let tree = self.acting.trees.get(&(host, service.clone()));
        let Some((pid, right)) = tree.and_then(|tree| Some((tree.pid, tree.acts.as_ref()?))) else {
            return Ok(());
        };
        if self.told.get(&(host, service.clone(), pid)).is_some_and(|told| told.contains(right)) {
            return Ok(());
        }
        Err(format!(
            "process {pid} of {service} on host {} was told that it leads {} in term {}, and its guard knows nothing of \
             that term",
            host.0, right.0, right.1
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{record, rendering};
    use super::*;

    const HOST: HostId = HostId(0);

    fn service() -> ServiceName {
        "redis".parse().expect("a name")
    }

    fn rendered(leads: Option<u64>) -> Record {
        record(What::Rendered { host: HOST, service: service(), rendering: Box::new(rendering(leads)) })
    }

    fn started() -> Record {
        record(What::ProcessStarted { host: HOST, service: service(), pid: 7 })
    }

    fn holds(term: Option<u64>) -> Record {
        let group: ServiceGroup = "redis.default".parse().expect("a group");
        let right = term.map(|term| (group, term));
        record(What::GuardHolds { host: HOST, service: service(), pid: 7, right })
    }

    fn run(records: &[Record]) -> Result<(), String> {
        let mut checker = GuardKnowsFirst::default();
        records.iter().try_for_each(|record| checker.observe(record))
    }

    #[test]
    fn the_guard_comes_before_files_and_processes() {
        assert_eq!(run(&[rendered(Some(1)), holds(Some(1)), started()]), Ok(()));
        assert_eq!(run(&[rendered(None), started(), holds(Some(1)), rendered(Some(1))]), Ok(()));
        let withdrawn = [holds(Some(1)), holds(None), rendered(Some(1))];
        assert_eq!(
            run(&[&[rendered(None), started()][..], &withdrawn].concat()),
            Ok(()),
            "its deadline stands"
        );
        for early in [
            &[rendered(Some(1)), started()][..],
            &[rendered(None), started(), rendered(Some(1))],
            &[rendered(None), started(), holds(Some(1)), rendered(Some(2))],
        ] {
            let message = run(early).expect_err("it has to fire");
            assert!(message.contains("its guard knows nothing of that term"), "{message}");
        }
    }
}
