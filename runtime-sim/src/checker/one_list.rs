//! Elections: the number of an electorate names one list, for ever. A leader that leads on after a restart knows every
//! list that it told in its last life, because it stored each one first; otherwise two lists could have one number, and
//! quorums of the two need not meet.

use std::collections::BTreeMap;

use annulus_core::{ElectionEvent, ElectionId, EventKind};

use super::Checker;
use crate::action::HostId;
use crate::action::world::{Record, What};

/// The checker of the property that this module states.
#[derive(Debug, Default)]
pub struct OneList {
    /// The host that put each list down, by election, term and number.
    written: BTreeMap<(ElectionId, u64, u64), HostId>,
}

impl Checker for OneList {
    fn name(&self) -> &'static str {
        "one_list"
    }

    fn observe(&mut self, record: &Record) -> Result<(), String> {
        let What::Event { host, event } = &record.what else { return Ok(()) };
        let EventKind::Election { election, term, what } = &event.kind else { return Ok(()) };
        let ElectionEvent::ElectorateChanged { version, .. } = what else { return Ok(()) };
        match self.written.insert((election.clone(), *term, *version), *host) {
            None => Ok(()),
            Some(before) => Err(format!(
                "host {} puts list {version} of term {term} of {election} down, which host {} has put down before",
                host.0, before.0
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::event;
    use super::*;

    #[test]
    fn a_number_is_given_once() {
        let changed = |term, version| {
            let election = ElectionId::leader("redis.default".parse().expect("a group"));
            let what = ElectionEvent::ElectorateChanged { version, voters: 3 };
            event(0, EventKind::Election { election, term, what })
        };
        let run = |records: &[Record]| {
            let mut checker = OneList::default();
            records.iter().try_for_each(|record| checker.observe(record))
        };
        assert_eq!(run(&[changed(1, 2), changed(1, 3), changed(2, 2)]), Ok(()));
        let error = run(&[changed(1, 2), changed(1, 2)]).expect_err("it has to fire");
        assert!(error.contains("list 2 of term 1"), "{error}");
    }
}
