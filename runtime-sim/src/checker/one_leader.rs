//! Elections, E2: at no instant of true time do two members act as the leader of one group. A leader whose supervisor
//! was killed or stands still goes on acting until its lease ends, because its service does.

use std::collections::BTreeMap;

use annulus_core::{Instant, ServiceGroup};

use super::Checker;
use crate::action::HostId;
use crate::action::world::{Record, What};

/// The checker of the property that this module states.
#[derive(Debug, Default)]
pub struct OneLeader {
    acting: BTreeMap<ServiceGroup, BTreeMap<HostId, (u64, Instant)>>,
}

impl Checker for OneLeader {
    fn name(&self) -> &'static str {
        "one_leader"
    }

    fn observe(&mut self, record: &Record) -> Result<(), String> {
        let What::Leads { host, group, term, until } = &record.what else { return Ok(()) };
        let acting = self.acting.entry(group.clone()).or_default();
        acting.retain(|_, (_, until)| *until > record.at);
        let Some(until) = until.filter(|until| *until > record.at) else {
            acting.remove(host);
            return Ok(());
        };
        acting.insert(*host, (*term, until));
        match acting.iter().find(|(other, _)| *other != host) {
            None => Ok(()),
            Some((other, (older, end))) => Err(format!(
                "host {} acts as the leader of {group} in term {term} until {until}, and so does host {} in term \
                 {older} until {end}",
                host.0, other.0
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leads(at_ms: u64, host: u32, term: u64, until_ms: Option<u64>) -> Record {
        let group = "redis.default".parse().expect("a group");
        let what = What::Leads { host: HostId(host), group, term, until: until_ms.map(Instant::from_millis) };
        Record { at: Instant::from_millis(at_ms), what }
    }

    #[test]
    fn a_lease_ends_before_the_next_begins() {
        let run = |records: &[Record]| {
            let mut checker = OneLeader::default();
            records.iter().try_for_each(|record| checker.observe(record))
        };
        assert_eq!(run(&[leads(0, 0, 1, Some(1_000)), leads(1_000, 1, 2, Some(2_000))]), Ok(()));
        let given_up = [leads(0, 0, 1, Some(1_000)), leads(500, 0, 1, None), leads(600, 1, 2, Some(2_000))];
        assert_eq!(run(&given_up), Ok(()));
        let both = run(&[leads(0, 0, 1, Some(1_000)), leads(999, 1, 2, Some(2_000))]);
        assert!(both.expect_err("it has to fire").contains("and so does host 0 in term 1"));
    }
}
