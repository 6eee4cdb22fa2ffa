//! The composer: it feeds inputs to the components and carries the events of one to another. It is the only place that
//! may name two features, and it decides nothing that a feature can decide.
//!
//! | file | what |
//! |---|---|
//! | `on_datagram`, `on_stream`, `on_command`, `on_effect`, `on_timeout` | one for each kind of input |
//! | `admission` | whether a message is heard, by the number that it was sealed with |
//! | `wire_up` | the events of one component become verbs of another |
//! | `group_config` | configuration and files of service groups |
//! | `own_services` | this member's rumors about its own services |
//! | `own_word` | what members say of themselves |
//! | `repair` | what this member has told against what its store holds of it |
//! | `updates` | builds of services with services, rumors and the disk |
//! | `trust` | on whose word a rumor is believed |
//! | `waiting` | rumors of members that have not answered yet |
//! | `telling` | who knows already that a service here takes no work any more |
//! | `surroundings` | the ring as its services may see it |
//! | `elections` | elections with services, rumors and the disk |
//! | `keys` | the ring's keys with rumors, the disk and messages |
//! | `gossip` | hot rumors into datagrams and streams |
//! | `sync` | digest exchanges |
//! | `offers` | records that another member does not take |
//! | `journal` | records on their way to the disk |
//! | `collection` | tombstones that are old enough |
//! | `clock` | the time of the input that is being handled |
//! | `knowledge` | members and rumors, lent to gossip, sync and the journal |
//! | `transmit` | messages on their way out |
//! | `leave` | the way out |
//! | `invariants` | the invariants between the components |

mod admission;
mod clock;
mod collection;
mod elections;
mod gossip;
mod group_config;
mod invariants;
mod journal;
mod keys;
mod knowledge;
mod leave;
mod offers;
mod on_command;
mod on_datagram;
mod on_effect;
mod on_stream;
mod on_timeout;
mod own_services;
mod own_word;
mod repair;
mod surroundings;
mod sync;
mod telling;
#[cfg(test)]
mod tests;
mod transmit;
mod trust;
mod updates;
mod waiting;
mod whereabouts;
mod wire_up;

use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use crate::election::Elections;
use crate::keyring::{KeyRecord, Keyring};
use crate::membership::Membership;
use crate::model::census::Census;
use crate::model::command::Command;
use crate::model::config::Config;
use crate::model::context::{Context, Follows, Outputs, earliest};
use crate::model::election::{ElectionPurpose, ElectionView};
use crate::model::event::EventKind;
use crate::model::id::{Incarnation, MemberId, RequestId, ServiceGroup, ServiceName};
use crate::model::identity::{PublicKey, Signer};
use crate::model::io::{Input, Output, WakeReason};
use crate::model::member::MemberRecord;
use crate::model::metrics::Metrics;
use crate::model::planted::Bug;
use crate::model::rng::Rng;
use crate::model::rumor::{Rumor, RumorKey};
use crate::model::service::ServiceView;
use crate::model::time::{Instant, UnixTime};
use crate::replay::Replay;
use crate::rumor::RumorStore;
use crate::service::{Beginning, Services};
use crate::store::history::History;
use crate::store::snapshot::Snapshot;
use crate::update::Updates;
use clock::Clock;
use collection::Collection;
use elections::ElectionWires;
use gossip::Gossip;
use journal::{Journal, Pending};
use knowledge::Knowledge;
use leave::Departing;
use repair::Repair;
use surroundings::{News, Surroundings};
use sync::Sync;
use telling::Telling;
use trust::{Trust, Words};
use waiting::Waiting;

/// The phases of a node's life.
#[derive(Debug, PartialEq, Eq)]
enum Phase {
    /// Its identity is on its way to the disk; it says nothing yet.
    Starting,
    /// It takes part in the ring.
    Running,
    /// It is leaving.
    Departing(Departing),
    /// It has asked the runtime to end.
    Exited,
}

/// The state machine of one supervisor. See the crate's documentation for the contract.
#[derive(Debug)]
pub struct Node {
    config: Config,
    signer: Signer,
    trust: Trust,
    waiting: Waiting,
    me: MemberId,
    phase: Phase,
    /// Commands about services that came before the node had started.
    early: Vec<(RequestId, Command)>,
    clock: Clock,
    outputs: Outputs,
    metrics: Metrics,
    rng: Rng,
    membership: Membership,
    rumors: RumorStore,
    services: Services,
    updates: Updates,
    /// News of groups that the services have yet to hear.
    news: News,
    elections: Elections,
    election: ElectionWires,
    keyring: Keyring,
    gossip: Gossip,
    telling: Telling,
    sync: Sync,
    journal: Journal,
    collection: Collection,
    repair: Repair,
    replay: Replay,
}

/// Lends a component the context that its verbs need. A verb that the input leads to directly follows from that alone;
/// where the node carries one component's event to another, the event is named.
macro_rules! ctx {
    ($node:ident) => {
        ctx!($node, $crate::model::context::Follows::Input)
    };
    ($node:ident, $after:expr) => {
        &mut Context {
            now: $node.clock.now(),
            wall: $node.clock.wall(),
            input: $node.clock.input(),
            after: $after,
            outputs: &mut $node.outputs,
            metrics: &mut $node.metrics,
        }
    };
}
use ctx;

/// Lends the members and rumors, to be read.
macro_rules! know {
    ($node:ident) => {
        $crate::node::knowledge::Knowledge {
            me: $node.me,
            membership: &$node.membership,
            rumors: &$node.rumors,
            planted: $node.config.planted,
        }
    };
}
use know;

/// Lends services the view of the ring that they may ask.
macro_rules! around {
    ($node:ident) => {
        &$crate::node::surroundings::Surroundings {
            know: $crate::node::know!($node),
            gossip: &$node.gossip,
            telling: &$node.telling,
            updates: &$node.updates,
        }
    };
}
use around;

/// Streams of the node's generator, one for each purpose.
mod stream {
    pub(super) const MEMBERSHIP: u64 = 1;
    pub(super) const SERVICES: u64 = 2;
    pub(super) const NODE: u64 = 3;
    pub(super) const ELECTIONS: u64 = 4;
    pub(super) const REPLAY: u64 = 5;
    pub(super) const KEYRING: u64 = 6;
    pub(super) const UPDATES: u64 = 7;
}

/// A new life is a new incarnation: it prevails over every statement about the last one.
fn first_incarnation(snapshot: &Snapshot, config: &Config) -> Incarnation {
    if snapshot.incarnation > Incarnation(0) && config.planted.has(Bug::RestartSameIncarnation) {
        return snapshot.incarnation;
    }
    let incarnation = snapshot.incarnation.next();
    assert!(incarnation >= snapshot.incarnation, "a new life never goes back");
    incarnation
}

/// The keys of a member that goes on from what it had on disk.
fn keyring(config: &Config, me: MemberId, rumors: &RumorStore, rng: Rng) -> Keyring {
    Keyring::new(config, me, &KeyRecord::of(&me, rumors.iter()), rng)
}

/// Restores the ring's rumors from the disk, bans included.
fn restore_rumors(
    snapshot: &mut Snapshot,
    membership: &mut Membership,
    words: Words<'_>,
    now: Instant,
) -> RumorStore {
    let mut rumors = RumorStore::default();
    for told in core::mem::take(&mut snapshot.rumors) {
        let (key, had_word) = (told.rumor().key(), told.vouch().is_some());
        let Some(told) = words.restore(told) else {
            snapshot.outdated.push(key);
            continue;
        };
        if told.vouch().is_some() && !had_word {
            snapshot.outdated.push(key);
        }
        let rumor = told.rumor();
        if let Rumor::Departure(ban) = rumor
            && !ban.lifted
        {
            membership.restore_ban(now, ban);
        }
        if !matches!(rumor, Rumor::Member(_)) {
            rumors.insert(now, &told);
        }
    }
    rumors
}

impl Node {
    /// A node with this configuration, which must be valid, continuing from its snapshot. Its id is that of the key that
    /// signs; records of another member are taken over.
    ///
    /// It has outputs at once: its identity goes to the disk before anything is sent.
    #[must_use]
    pub fn new(
        config: Config,
        signer: Signer,
        restored: Option<Snapshot>,
        seed: [u8; 32],
        now: Instant,
        wall: UnixTime,
    ) -> Self {
        assert!(config.validate().is_ok(), "the runtime checks a configuration before it starts a node");
        let root = Rng::from_seed(seed);
        let me = signer.id();
        let was_restored = restored.is_some();
        let mut snapshot = restored.unwrap_or_else(|| Snapshot::new(me));
        let takeover = snapshot.take_over(me);
        let incarnation = first_incarnation(&snapshot, &config);
        let mut membership = Membership::new(&config, me, incarnation, root.fork(stream::MEMBERSHIP), now);
        membership.reserve(snapshot.members.len());
        for record in &snapshot.members {
            membership.restore(now, *record);
        }
        let words = Words { signer: &*signer, planted: config.planted };
        let rumors = restore_rumors(&mut snapshot, &mut membership, words, now);
        let gossip = Gossip::new(&config);
        let know = Knowledge { me, membership: &membership, rumors: &rumors, planted: config.planted };
        let telling = Telling::default();
        let updates = Updates::new(&config, snapshot.builds, root.fork(stream::UPDATES));
        let around = Surroundings { know, gossip: &gossip, telling: &telling, updates: &updates };
        let clock = Clock::new(now, wall);
        let (mut outputs, mut metrics) = (Outputs::default(), Metrics::default());
        let ctx = &mut Context {
            now,
            wall,
            input: clock.input(),
            after: Follows::Input,
            outputs: &mut outputs,
            metrics: &mut metrics,
        };
        let election = ElectionWires::new(&snapshot.running);
        let beginning = Beginning::new(&config, snapshot.services, snapshot.running);
        let services = Services::new(ctx, &around, beginning, root.fork(stream::SERVICES));
        let (votes, rng) = (snapshot.votes, root.fork(stream::ELECTIONS));
        let elections = Elections::new(&config, me, incarnation, votes, rng, now);
        let history = History::new(snapshot.history);
        let mut node = Self {
            sync: Sync::new(now, &config.timings),
            journal: Journal::new(&config, me, history, was_restored, snapshot.outdated, takeover),
            collection: Collection::new(&config),
            repair: Repair::default(),
            replay: Replay::new(&me, root.fork(stream::REPLAY), config.planted),
            signer,
            trust: Trust::default(),
            waiting: Waiting::default(),
            me,
            phase: Phase::Starting,
            early: Vec::new(),
            clock,
            outputs,
            metrics,
            keyring: keyring(&config, me, &rumors, root.fork(stream::KEYRING)),
            rng: root.fork(stream::NODE),
            membership,
            rumors,
            services,
            updates,
            news: News::default(),
            elections,
            election,
            gossip,
            telling,
            config,
        };
        node.begin(incarnation);
        node.finish_input();
        node
    }

    /// Asks the disk for this incarnation, in which the node will speak.
    fn begin(&mut self, incarnation: Incarnation) {
        assert!(self.incarnation() == incarnation, "a node speaks in the incarnation that it stores");
        self.journal.store_identity(ctx!(self), incarnation, Pending::Start);
    }

    /// Handles one input. Every output of the input before must have been drained, and time must not go back.
    pub fn handle_input(&mut self, now: Instant, wall: UnixTime, input: Input<'_>) {
        assert!(self.outputs.is_empty(), "the outputs of one input are drained before the next");
        let late = self.clock.begin(now, wall);
        self.notice_stall(late);
        match input {
            Input::Wake => {}
            Input::Datagram { from, key, bytes, stamp } => self.on_datagram((from, key), bytes, stamp),
            Input::Stream { from, key, bytes, stamp } => self.on_stream((from, key), bytes, stamp),
            Input::Refused { to } => self.on_refused(to),
            Input::Command(request, command) => self.on_command(request, command),
            Input::EffectDone(effect, result) => self.on_effect(effect, result),
        }
        self.on_timeout();
        self.finish_input();
    }

    /// The next output; none when all are drained. The last one of each input is `WakeAt`.
    pub fn poll_output(&mut self) -> Option<Output> {
        let mut output = self.outputs.pop();
        if let Some(Output::Transmit(transmit)) = &mut output {
            transmit.key = self.keyring.key_for(transmit.to);
            self.address(transmit);
        }
        output
    }

    fn finish_input(&mut self) {
        self.wire_up();
        self.ask_told();
        let (at, reason) = self.poll_timeout();
        assert!(self.phase != Phase::Exited || at == Instant::FAR_FUTURE, "a node that has exited sleeps");
        self.clock.expect(at);
        self.outputs.push(Output::WakeAt(at, reason));
    }

    /// A wake-up far too late means that this process was stopped, its host suspended, or its clock set forward.
    fn notice_stall(&mut self, late: Duration) {
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
        let kind = EventKind::Started { member: self.me, incarnation, restored: self.journal.is_restored() };
        let ctx = ctx!(self);
        // The disk's answer about the identity is the input.
        let started = ctx.event(Follows::Input, kind);
        if let Some(former) = self.journal.take_former() {
            ctx.event(Follows::Event(started), EventKind::IdentityTakenOver { former });
        }
        if self.membership.is_banned(&self.me) {
            self.ask_for_lift(Follows::Event(started));
            return self.take_early_commands();
        }
        self.forget_orphans();
        self.forget_pushed_out();
        for key in self.journal.take_outdated() {
            self.mark_dirty(key);
        }
        // What the last life told is taken back before any service of this life may take a step.
        self.withdraw_restored_services();
        self.start_keyring();
        self.resume_leads();
        self.restore_outcomes();
        if self.journal.is_restored() {
            self.membership.handle_rejoin(ctx!(self));
        }
        self.state_itself_at_start();
        self.take_early_commands();
    }

    /// This member.
    #[must_use]
    pub const fn id(&self) -> MemberId {
        self.me
    }

    /// The key with which this member signs; its id is the hash of it.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.signer.public_key()
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

    /// How many members this one knows by hearsay alone: none of them has answered it.
    #[must_use]
    pub fn hearsay_count(&self) -> usize {
        self.membership.hearsay_count()
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

    /// The rumor that this member holds under this key; none also for members' records.
    #[must_use]
    pub fn rumor(&self, key: &RumorKey) -> Option<&Rumor> {
        self.rumors.get(key)
    }

    /// The member on whose word the rumor under this key is held: who answered for it to an operator, where an operator
    /// gave it. None where none is held or none vouches for it.
    #[must_use]
    pub fn vouched_by(&self, key: &RumorKey) -> Option<MemberId> {
        self.rumors.vouch(key).map(|vouch| self.signer.id_of(&vouch.key))
    }

    /// The rumor under this key as it is told, with its author's word.
    #[must_use]
    pub fn told(&self, key: &RumorKey) -> Option<Vec<u8>> {
        self.rumors.told(key)
    }

    /// Every rumor but the members' records, in order of key.
    pub fn rumors(&self) -> impl Iterator<Item = &Rumor> {
        self.rumors.iter()
    }

    /// The services of this supervisor, in order of name.
    #[must_use]
    pub fn services(&self) -> Vec<ServiceView> {
        let mut views = self.services.views();
        views.iter_mut().for_each(|view| view.update = self.updates.view(&view.spec.name()));
        views
    }

    /// One service of this supervisor.
    #[must_use]
    pub fn service(&self, name: &ServiceName) -> Option<ServiceView> {
        let mut view = self.services.view(name)?;
        view.update = self.updates.view(name);
        Some(view)
    }

    /// The elections of this member's groups, in order of group and purpose.
    #[must_use]
    pub fn elections(&self) -> Vec<ElectionView> {
        self.elections.views(self.clock.now())
    }

    /// The service groups of the ring as this node sees them.
    #[must_use]
    pub fn census(&self) -> Census {
        let mut census = Census::build(self.me, &self.members(), self.rumors.iter());
        census.overlay(&self.elections());
        census
    }

    /// The groups that this member leads, with the term and the end of its lease.
    pub fn leads(&self) -> impl Iterator<Item = (&ServiceGroup, u64, Instant)> {
        let leads = self.elections.leads().filter(|(id, ..)| id.purpose == ElectionPurpose::Leader);
        leads.map(|(id, term, until)| (&id.group, term, until))
    }

    /// Counters.
    #[must_use]
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Where a second supervisor runs with a copy of this one's identity; none while there is no sign of one.
    #[must_use]
    pub fn copy_of_me(&self) -> Option<SocketAddr> {
        self.membership.copy_of_me(self.clock.now())
    }

    /// Lifeguard's local health score; 0 is healthy.
    #[must_use]
    pub const fn local_health(&self) -> u32 {
        self.membership.local_health()
    }

    /// Rumors that are still being told, members' records included.
    #[must_use]
    pub fn hot_rumors(&self) -> usize {
        self.gossip.len()
    }

    /// When this node wants to be woken next, and why.
    fn poll_timeout(&self) -> (Instant, WakeReason) {
        if self.phase == Phase::Starting {
            return self.journal.poll_identity().unwrap_or((Instant::FAR_FUTURE, WakeReason::Housekeeping));
        }
        if !self.is_heard() {
            return (Instant::FAR_FUTURE, WakeReason::Idle);
        }
        let deadlines = [
            self.membership.poll_timeout(),
            self.gossip.poll_timeout(),
            self.telling.poll_timeout(),
            self.sync.poll_timeout(),
            self.services.poll_timeout(),
            self.updates.poll_timeout(),
            self.news.poll_timeout(),
            self.elections.poll_timeout(),
            self.journal.poll_timeout(),
            self.collection.poll_timeout(),
            self.repair.poll_timeout(),
            self.keyring.poll_timeout(),
            self.departing_until(),
        ];
        let never = (Instant::FAR_FUTURE, WakeReason::Idle);
        earliest(deadlines.map(|deadline| deadline.unwrap_or(never))).unwrap_or(never)
    }
}
