//! Elections, E2 and E3 as processes see it: at no instant do process trees on two hosts act as the leader of one group,
//! hand-overs included. A tree that was told that it leads acts until it is gone, killed, or told otherwise by a
//! reconfigure hook that succeeded, whatever its supervisor says meanwhile; a hook that was told so acts until it ends.

use super::Checker;
use super::acting::Acting;
use crate::action::world::Record;

/// The checker of the property that this module states.
#[derive(Debug, Default)]
pub struct OneActingTree {
    acting: Acting,
}

impl Checker for OneActingTree {
    fn name(&self) -> &'static str {
        "one_acting_tree"
    }

    fn observe(&mut self, record: &Record) -> Result<(), String> {
        let Some(place) = self.acting.observe(record) else { return Ok(()) };
        let Some((who, group, term)) = self.acting.at(&place) else { return Ok(()) };
        let mut others = self.acting.everywhere().filter(|((host, _), _)| *host != place.0);
        match others.find(|(_, (_, led, _))| *led == group) {
            None => Ok(()),
            Some(((host, _), (other, _, other_term))) => Err(format!(
                "{who} on host {} was told that it leads {group} in term {term}, while {other} on host {} acts as its \
                 leader in term {other_term}",
                place.0.0, host.0
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use annulus_core::{ExitStatus, Hook};

    use super::super::testing::{at, rendering};
    use super::*;
    use crate::action::HostId;
    use crate::action::world::What;

    fn rendered(host: u32, leads: Option<u64>) -> Record {
        let service = "redis".parse().expect("a name");
        at(1, What::Rendered { host: HostId(host), service, rendering: Box::new(rendering(leads)) })
    }

    fn started(host: u32) -> Record {
        let service = "redis".parse().expect("a name");
        at(2, What::ProcessStarted { host: HostId(host), service, pid: 7 })
    }

    fn exited(host: u32) -> Record {
        let (service, status) = ("redis".parse().expect("a name"), ExitStatus::Signal(15));
        at(3, What::ProcessExited { host: HostId(host), service, pid: 7, status })
    }

    fn reconfigured(host: u32, succeeded: bool, leads: Option<u64>) -> Record {
        let (service, hook) = ("redis".parse().expect("a name"), Hook::Reconfigure);
        let rendering = Some(Box::new(rendering(leads)));
        at(3, What::HookEnded { host: HostId(host), service, hook, succeeded, rendering })
    }

    fn run(records: &[Record]) -> Result<(), String> {
        let mut checker = OneActingTree::default();
        records.iter().try_for_each(|record| checker.observe(record))
    }

    #[test]
    fn one_after_the_other_passes() {
        let first = [rendered(0, Some(1)), started(0), rendered(1, None), started(1)];
        assert_eq!(run(&[&first[..], &[exited(0), rendered(1, Some(2))]].concat()), Ok(()));
        let demoted = [rendered(0, None), reconfigured(0, true, None), rendered(1, Some(2))];
        assert_eq!(run(&[&first[..], &demoted].concat()), Ok(()));
        // Files of a service that does not run lead nothing.
        assert_eq!(run(&[rendered(0, Some(1)), rendered(1, None), started(1), rendered(1, Some(2))]), Ok(()));
    }

    #[test]
    fn two_at_a_time_fire() {
        let first = [rendered(0, Some(1)), started(0), rendered(1, None), started(1)];
        let message = run(&[&first[..], &[rendered(1, Some(2))]].concat()).expect_err("it has to fire");
        assert!(message.contains("while process 7 on host 0 acts as its leader in term 1"), "{message}");
        // A new file alone ends nothing, nor does a hook that failed.
        assert!(run(&[&first[..], &[rendered(0, None), rendered(1, Some(2))]].concat()).is_err());
        let failed = [rendered(0, None), reconfigured(0, false, None), rendered(1, Some(2))];
        assert!(run(&[&first[..], &failed].concat()).is_err());
        assert!(run(&[&first[..2], &[rendered(1, Some(2)), started(1)]].concat()).is_err());
    }
}
