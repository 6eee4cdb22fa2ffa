//! Nothing exceeds its limit: no datagram is longer than every receiver takes, no stream message either, and no
//! supervisor keeps more members or tells more rumors than it may.
//!
//! The limits are those of `annulus_core::limits`. The world counts after every input and records each excess.

use super::Checker;
use crate::action::world::{Record, What};

/// The checker of the property that this module states.
#[derive(Debug, Default)]
pub struct Limits;

impl Checker for Limits {
    fn name(&self) -> &'static str {
        "limits"
    }

    fn observe(&mut self, record: &Record) -> Result<(), String> {
        match &record.what {
            What::BeyondLimit { host, what, count, limit } => {
                Err(format!("host {} has {what} of {count}; the limit is {limit}", host.0))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{record, started};
    use super::*;
    use crate::action::HostId;

    #[test]
    fn what_is_beyond_a_limit_fires() {
        let beyond =
            What::BeyondLimit { host: HostId(2), what: "a datagram's bytes", count: 1_025, limit: 1_024 };
        let message = Limits.observe(&record(beyond)).expect_err("it has to fire");
        assert_eq!(message, "host 2 has a datagram's bytes of 1025; the limit is 1024");
        assert_eq!(Limits.observe(&started(0, 1, false)), Ok(()));
    }
}
