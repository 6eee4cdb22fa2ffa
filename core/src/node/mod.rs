//! The composer: the only place that knows two features at once.
//!
//! | file | what |
//! |---|---|
//! | `on_datagram`, `on_stream`, `on_command`, `on_effect`, `on_timeout` | one for each kind of input |
//! | `wire_up` | what one component wants becomes another's input |
//! | `group_config` | configuration and files of service groups |
//! | `own_services` | what this member says about its own services |
//! | `surroundings` | what its services may know of the ring |
//! | `elections` | elections with services, rumors and the disk |
//! | `gossip` | hot rumors into datagrams and streams |
//! | `sync` | digest exchanges |
//! | `persist` | records on their way to the disk |
//! | `leave` | the way out |
//! | `invariants` | what holds between the components |

mod elections;
mod gossip;
mod group_config;
mod invariants;
mod leave;
mod on_command;
mod on_datagram;
mod on_effect;
mod on_stream;
mod on_timeout;
mod own_services;
mod persist;
mod surroundings;
mod sync;
#[cfg(test)]
mod tests;
mod wire_up;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use crate::election::Elections;
use crate::membership::Membership;
use crate::model::census::Census;
use crate::model::config::Config;
use crate::model::context::{Context, Outputs};
use crate::model::election::ElectionView;
use crate::model::event::EventKind;
use crate::model::id::{EffectId, Incarnation, InputId, MemberId};
use crate::model::io::{ExitReason, Input, Output, WakeReason};
use crate::model::member::MemberRecord;
use crate::model::metrics::Metrics;
use crate::model::planted::Bug;
use crate::model::rng::Rng;
use crate::model::rumor::{Rumor, RumorKey};
use crate::model::service::ServiceView;
use crate::model::time::{Instant, UnixTime};
use crate::rumor::{Heat, RumorStore};
use crate::service::{Beginning, Moment, Services};
use crate::store::history::History;
use crate::store::snapshot::Snapshot;
use elections::ElectionWires;
use leave::Departing;
use persist::Pending;
use surroundings::{News, Surroundings};
use sync::SyncTimer;

/// How far a node's life has come.
#[derive(Debug, PartialEq, Eq)]
enum Phase {
    /// Its identity is on its way to the disk; it says nothing yet.
    Starting,
    /// It takes part.
    Running,
    /// It is on its way out.
    Departing(Departing),
    /// It has asked the runtime to end.
    Exited,
}

/// One supervisor's mind. See the crate's documentation for the contract.
#[derive(Debug)]
pub struct Node {
    config: Config,
    me: MemberId,
    phase: Phase,
    now: Instant,
    wall: UnixTime,
    input: InputId,
    /// When this node last asked to be woken; being woken much later means that it was not running.
    expected: Instant,
    outputs: Outputs,
    metrics: Metrics,
    rng: Rng,
    membership: Membership,
    rumors: RumorStore,
    history: History,
    heat: Heat,
    services: Services,
    /// What the ring has said of their groups since they last heard of it.
    news: News,
    elections: Elections,
    election: ElectionWires,
    gossip_at: Instant,
    sync: SyncTimer,
    /// What effects are for whose results the node itself awaits.
    pending: BTreeMap<EffectId, Pending>,
    /// Records that changed since the last batch went to the disk.
    dirty: BTreeSet<RumorKey>,
    persist_at: Instant,
    collect_at: Instant,
    restored: bool,
}

/// Lends a component what it needs of the node beside itself.
macro_rules! ctx {
    ($node:ident) => {
        &mut Context {
            now: $node.now,
            input: $node.input,
            outputs: &mut $node.outputs,
            metrics: &mut $node.metrics,
        }
    };
}
use ctx;

/// When services are called, and whom they may ask meanwhile.
macro_rules! moment {
    ($node:ident) => {
        crate::service::Moment {
            now: $node.now,
            wall: $node.wall,
            around: &$crate::node::surroundings::Surroundings {
                me: $node.me,
                membership: &$node.membership,
                rumors: &$node.rumors,
                heat: &$node.heat,
            },
        }
    };
}
use moment;

/// Streams of the node's generator, one for each purpose.
mod stream {
    pub(super) const MEMBERSHIP: u64 = 1;
    pub(super) const SERVICES: u64 = 2;
    pub(super) const NODE: u64 = 3;
    pub(super) const ELECTIONS: u64 = 4;
}

/// A new life is a new incarnation: it prevails over whatever is still said about the last one.
fn first_incarnation(snapshot: &Snapshot, config: &Config) -> Incarnation {
    if snapshot.incarnation > Incarnation(0) && config.planted.has(Bug::RestartSameIncarnation) {
        return snapshot.incarnation;
    }
    snapshot.incarnation.next()
}

/// What the disk remembers of the ring's rumors, bans included.
fn restore_rumors(snapshot: &Snapshot, membership: &mut Membership, now: Instant) -> RumorStore {
    let mut rumors = RumorStore::default();
    for rumor in &snapshot.rumors {
        if let Rumor::Departure(d) = rumor {
            membership.restore_ban(now, d.member_id);
        }
        if !matches!(rumor, Rumor::Member(_)) {
            rumors.insert(now, rumor);
        }
    }
    rumors
}

impl Node {
    /// A node with this configuration, which must be valid, continuing from what its disk remembers.
    ///
    /// It has outputs at once: its identity goes to the disk before anything is sent.
    #[must_use]
    pub fn new(
        config: Config,
        restored: Option<Snapshot>,
        seed: [u8; 32],
        now: Instant,
        wall: UnixTime,
    ) -> Self {
        assert!(config.validate().is_ok(), "the runtime checks a configuration before it starts a node");
        let mut root = Rng::from_seed(seed);
        let mut id_bytes = [0; 16];
        root.fill(&mut id_bytes);
        let was_restored = restored.is_some();
        let snapshot = restored.unwrap_or_else(|| Snapshot::new(MemberId::from_random(id_bytes)));
        let me = snapshot.member_id;
        let incarnation = first_incarnation(&snapshot, &config);
        let mut membership = Membership::new(&config, me, incarnation, root.fork(stream::MEMBERSHIP), now);
        membership.reserve(snapshot.members.len());
        for record in &snapshot.members {
            membership.restore(now, *record);
        }
        let rumors = restore_rumors(&snapshot, &mut membership, now);
        let heat = Heat::default();
        let around = Surroundings { me, membership: &membership, rumors: &rumors, heat: &heat };
        let at = Moment { now, wall, around: &around };
        let beginning = Beginning::new(&config, snapshot.services, snapshot.running);
        let services = Services::new(at, beginning, root.fork(stream::SERVICES));
        let elections = Elections::new(&config, me, snapshot.votes, root.fork(stream::ELECTIONS), now);
        let mut node = Self {
            sync: SyncTimer::new(now, &config.timings),
            me,
            phase: Phase::Starting,
            now,
            wall,
            input: InputId(0),
            expected: now,
            outputs: Outputs::default(),
            metrics: Metrics::default(),
            rng: root.fork(stream::NODE),
            membership,
            rumors,
            history: History::new(snapshot.history),
            heat,
            services,
            news: News::default(),
            elections,
            election: ElectionWires::default(),
            gossip_at: Instant::FAR_FUTURE,
            pending: BTreeMap::new(),
            dirty: BTreeSet::new(),
            persist_at: Instant::FAR_FUTURE,
            collect_at: Instant::FAR_FUTURE,
            restored: was_restored,
            config,
        };
        if node.membership.is_banned(&me) {
            node.exit(ExitReason::Departed);
        } else {
            node.forget_orphans();
            node.persist_identity(incarnation, Pending::Start);
        }
        node.finish_input();
        node
    }

    /// Handles one input. Every output of the input before must have been drained, and time must not go back.
    pub fn handle_input(&mut self, now: Instant, wall: UnixTime, input: Input<'_>) {
        assert!(self.outputs.is_empty(), "the outputs of one input are drained before the next");
        assert!(now >= self.now, "time never goes back");
        self.now = now;
        self.wall = wall;
        self.input = InputId(self.input.0 + 1);
        self.notice_stall();
        match input {
            Input::Wake => {}
            Input::Datagram { from, bytes } => self.on_datagram(from, bytes),
            Input::Stream { from, bytes } => self.on_stream(from, bytes),
            Input::Refused { to } => self.on_refused(to),
            Input::Command(request, command) => self.on_command(request, command),
            Input::EffectDone(effect, result) => self.on_effect(effect, result),
        }
        self.on_timeout();
        self.finish_input();
    }

    /// The next output; none when all are drained. The last one of each input is `WakeAt`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop()
    }

    fn finish_input(&mut self) {
        self.wire_up();
        let (at, reason) = self.poll_timeout();
        self.expected = at;
        self.outputs.push(Output::WakeAt(at, reason));
    }

    /// A wake-up far too late means that this process was stopped, its host suspended, or its clock set forward.
    fn notice_stall(&mut self) {
        let late = self.now.saturating_since(self.expected);
        let unnoticed = self.config.planted.has(Bug::StallUnnoticed);
        if late > Duration::from_millis(self.config.timings.stall_ms) && self.is_heard() && !unnoticed {
            self.membership.handle_stall(ctx!(self), late);
        }
    }

    /// Whether this node takes part in the ring: it has an identity that is on disk and has not said farewell.
    fn is_heard(&self) -> bool {
        matches!(self.phase, Phase::Running | Phase::Departing(_))
    }

    /// The identity is on disk: from now on this node speaks.
    fn started(&mut self, incarnation: Incarnation) {
        assert!(self.phase == Phase::Starting, "a node starts once");
        self.phase = Phase::Running;
        let kind = EventKind::Started { member: self.me, incarnation, restored: self.restored };
        let ctx = ctx!(self);
        ctx.event(None, kind);
        if self.membership.is_banned(&self.me) {
            // An operator was faster than the disk.
            return self.begin_departing(ExitReason::Departed, true);
        }
        self.withdraw_restored_services();
        self.restore_outcomes();
        if self.restored {
            self.membership.rejoin(self.now);
        }
    }

    /// This member.
    #[must_use]
    pub const fn id(&self) -> MemberId {
        self.me
    }

    /// This member's incarnation.
    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        self.membership.own().incarnation
    }

    /// The configuration it was started with.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Whether it takes part in the ring and is not on its way out.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.phase == Phase::Running
    }

    /// Every known member, itself included, in order of id.
    #[must_use]
    pub fn members(&self) -> Vec<MemberRecord> {
        let mut members: Vec<MemberRecord> = self.membership.table().iter().copied().collect();
        members.sort_unstable_by_key(|m| m.id);
        members
    }

    /// Every known member, in no particular but a reproducible order, without copying.
    pub fn members_unsorted(&self) -> impl ExactSizeIterator<Item = &MemberRecord> {
        self.membership.table().iter()
    }

    /// One member.
    #[must_use]
    pub fn member(&self, id: &MemberId) -> Option<MemberRecord> {
        self.membership.table().get(id).copied()
    }

    /// How many members are in this state.
    #[must_use]
    pub fn count(&self, state: crate::model::member::State) -> usize {
        self.membership.table().count(state)
    }

    /// Whether an operator banned this member.
    #[must_use]
    pub fn is_banned(&self, id: &MemberId) -> bool {
        self.membership.is_banned(id)
    }

    /// Every rumor but the members' records, in order of key.
    pub fn rumors(&self) -> impl Iterator<Item = &Rumor> {
        self.rumors.iter()
    }

    /// The services of this supervisor, in order of name.
    #[must_use]
    pub fn services(&self) -> Vec<ServiceView> {
        self.services.views()
    }

    /// The elections of this member's groups, in order of group.
    #[must_use]
    pub fn elections(&self) -> Vec<ElectionView> {
        self.elections.views(self.now)
    }

    /// The service groups of the ring as this node sees them.
    #[must_use]
    pub fn census(&self) -> Census {
        let mut census = Census::build(self.me, &self.members(), self.rumors.iter());
        census.overlay(&self.elections());
        census
    }

    /// The groups that this member leads, with the term and the end of its lease.
    pub fn leads(&self) -> impl Iterator<Item = (&crate::model::id::ServiceGroup, u64, Instant)> {
        self.elections.leads()
    }

    /// Counters.
    #[must_use]
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Lifeguard's local health score; 0 is healthy.
    #[must_use]
    pub const fn local_health(&self) -> u32 {
        self.membership.local_health()
    }

    /// Rumors that are still being told, members' records included.
    #[must_use]
    pub fn hot_rumors(&self) -> usize {
        self.heat.len()
    }

    /// When this node wants to be woken next, and why.
    fn poll_timeout(&self) -> (Instant, WakeReason) {
        if self.phase == Phase::Starting {
            return (self.persist_at, WakeReason::Housekeeping);
        }
        if !self.is_heard() {
            return (Instant::FAR_FUTURE, WakeReason::Idle);
        }
        let service = self.services.poll_timeout().unwrap_or(Instant::FAR_FUTURE).min(self.news.at);
        [
            self.membership.poll_timeout(),
            (self.gossip_at, WakeReason::Gossip),
            (self.sync.next, WakeReason::Sync),
            (service, WakeReason::Service),
            (self.elections.poll_timeout(), WakeReason::Election),
            (self.persist_at.min(self.collect_at), WakeReason::Housekeeping),
            (self.departing_until(), WakeReason::Leaving),
        ]
        .into_iter()
        .min_by_key(|(at, _)| *at)
        .expect("the list is not empty")
    }
}
