//! What is to be known of a package's install hook while the files of a service are made ready: that it runs, and that an
//! order ends it. Runs none.

use std::time::Duration;

use annulus_core::{Instant, ServiceName, UnixTime};

use super::hook::Ended;
use crate::launcher::identity;
use crate::prepare::Overseer;
use crate::supervisor::ledger::{Installs, Ledger};

/// One service that is made ready.
pub(super) struct Preparing {
    pub(super) service: ServiceName,
    pub(super) ledger: Ledger,
    /// Says when its hooks are to end.
    pub(super) ended: Ended,
    /// The time at which it began to be made ready, by both clocks.
    pub(super) began: (Instant, UnixTime),
    /// The process beside which that happens, which outlived the last supervisor.
    pub(super) adopted: Option<u32>,
}

impl Overseer for Preparing {
    fn is_ended(&self) -> bool {
        self.ended.is_ordered()
    }

    fn is_beside_process(&self) -> bool {
        self.adopted.is_some_and(|pid| identity::start_ticks(pid).is_some())
    }

    fn begins(&self, timeout: Duration) {
        let limit_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        self.ledger.set_installs(&self.service, Some(Installs { since: self.began, limit_ms }));
    }

    fn ends(&self) {
        self.ledger.set_installs(&self.service, None);
    }
}
