//! The composer.
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::config::Config;
use crate::error::SnapshotError;
use crate::id::{Incarnation, MemberId};
use crate::io::{Input, Output, WakeReason};
use crate::membership::MemberRecord;
use crate::metrics::Metrics;
use crate::rng::Rng;
use crate::rumor::Rumor;
use crate::service::ServiceView;
use crate::snapshot::{Snapshot, Table};
use crate::time::{Instant, UnixTime};

/// One supervisor's mind.
#[derive(Debug)]
pub struct Node {
    id: MemberId,
    incarnation: Incarnation,
    outputs: VecDeque<Output>,
    metrics: Metrics,
}

impl Node {
    /// A node.
    #[must_use]
    pub fn new(
        config: Config,
        restored: Option<Snapshot>,
        seed: [u8; 32],
        now: Instant,
        wall: UnixTime,
    ) -> Self {
        let mut rng = Rng::from_seed(seed);
        let mut bytes = [0; 16];
        rng.fill(&mut bytes);
        let _ = (config, wall);
        let mut outputs = VecDeque::new();
        outputs.push_back(Output::WakeAt(now, WakeReason::Idle));
        Self {
            id: restored.map_or(MemberId::from_random(bytes), |s| s.member_id),
            incarnation: Incarnation(1),
            outputs,
            metrics: Metrics::default(),
        }
    }

    /// Handles one input; every output of the one before must have been drained.
    pub fn handle_input(&mut self, now: Instant, wall: UnixTime, input: Input<'_>) {
        let _ = (wall, input);
        self.outputs.push_back(Output::WakeAt(now + core::time::Duration::from_secs(1), WakeReason::Idle));
    }

    /// The next output; none when all are drained.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// This member.
    #[must_use]
    pub fn id(&self) -> MemberId {
        self.id
    }

    /// This member's incarnation.
    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// Every known member, itself included, in order of id.
    #[must_use]
    pub fn members(&self) -> Vec<MemberRecord> {
        Vec::new()
    }

    /// One member.
    #[must_use]
    pub fn member(&self, id: &MemberId) -> Option<MemberRecord> {
        let _ = id;
        None
    }

    /// Every rumor but the members' records, in order of key.
    pub fn rumors(&self) -> impl Iterator<Item = &Rumor> {
        [].iter()
    }

    /// The services of this supervisor, in order of name.
    #[must_use]
    pub fn services(&self) -> Vec<ServiceView> {
        Vec::new()
    }

    /// Counters.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Lifeguard's local health score; 0 is healthy.
    #[must_use]
    pub fn local_health(&self) -> u32 {
        0
    }
}

impl Snapshot {
    /// Reads the rows back.
    ///
    /// # Errors
    /// A damaged row.
    pub fn decode<'a>(
        rows: impl IntoIterator<Item = (Table, &'a [u8], &'a [u8])>,
    ) -> Result<Option<Self>, SnapshotError> {
        let _ = rows.into_iter().count();
        Ok(None)
    }
}
