//! What a member has told of its services is what its store holds, whatever its disk's pace.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use super::{PORT, UnixTime};
use crate::model::command::{Command, CommandError, Reply};
use crate::model::config::Config;
use crate::model::event::EventKind;
use crate::model::id::{EffectId, Incarnation, MemberId, RequestId, ServiceGroup};
use crate::model::identity::{KeyedHash, Sign as _};
use crate::model::io::{Effect, EffectResult, Input, Output};
use crate::model::planted::Planted;
use crate::model::prepared::Prepared;
use crate::model::rumor::{Rumor, RumorKey, ServiceRumor, Told};
use crate::model::service::{ServiceSpec, Topology};
use crate::model::time::Instant;
use crate::node::Node;
use crate::store::snapshot::{RunningService, Snapshot};
use core::time::Duration;

const KEY: KeyedHash = KeyedHash::new([1; 32]);

fn me() -> MemberId {
    KEY.id()
}

fn group() -> ServiceGroup {
    "redis.default".parse().expect("a valid group")
}

fn key() -> RumorKey {
    RumorKey::Service { group: group(), member: me() }
}

/// What the last life told of the service.
fn last_word() -> ServiceRumor {
    ServiceRumor {
        member_id: me(),
        group: group(),
        incarnation: Incarnation(7),
        initialized: true,
        pkg: "core/redis/1.0/20260101000000".parse().expect("a valid ident"),
        cfg: Vec::new(),
        sys: Default::default(),
        pkg_incarnation: 0,
        tombstone: false,
        accepting: true,
        maintenance: None,
        config_incarnation: 0,
        electorate_min: 3,
        versions_digest: 0,
        held_back: BTreeSet::new(),
        slow_hook: None,
    }
}

/// A host that boots again: its disk holds a service with a leader, and what the last life told of it.
struct Host {
    node: Node,
    now: Instant,
    effects: Vec<(EffectId, Effect)>,
    replies: Vec<Reply>,
    repaired: usize,
}

impl Host {
    fn boot(planted: Planted) -> Self {
        let rumors = alloc::vec![Told::from(Rumor::Service(last_word()))];
        Self::boot_with(planted, Snapshot { rumors, ..Snapshot::new(me()) })
    }

    fn boot_with(planted: Planted, snapshot: Snapshot) -> Self {
        let ident = "core/redis/1.0/20260101000000".parse().expect("a valid ident");
        let spec = ServiceSpec { topology: Topology::Leader, ..ServiceSpec::new(ident) };
        let snapshot = Snapshot { services: alloc::vec![spec], ..snapshot };
        let config = Config { planted, ..Config::new(PORT) };
        let now = Instant::from_millis(1);
        let node = Node::new(config, Box::new(KEY), Some(snapshot), [7; 32], now, UnixTime::default());
        let mut host = Self { node, now, effects: Vec::new(), replies: Vec::new(), repaired: 0 };
        host.drain();
        host
    }

    fn drain(&mut self) {
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Effect(id, effect) => self.effects.push((id, effect)),
                Output::Reply(_, reply) => self.replies.push(reply),
                Output::Event(event) => {
                    self.repaired += usize::from(matches!(event.kind, EventKind::RumorRepaired { .. }));
                }
                Output::Transmit(_) | Output::WakeAt(..) => {}
            }
        }
    }

    fn input(&mut self, input: Input<'_>) {
        self.node.handle_input(self.now, UnixTime::default(), input);
        self.drain();
    }

    fn run_ms(&mut self, ms: u64) {
        for _ in 0..ms {
            self.now = self.now + Duration::from_millis(1);
            self.input(Input::Wake);
        }
    }

    fn take(&mut self, wanted: impl Fn(&Effect) -> bool) -> Option<EffectId> {
        let at = self.effects.iter().position(|(_, effect)| wanted(effect))?;
        Some(self.effects.remove(at).0)
    }

    fn prepared(&mut self) -> bool {
        let Some(id) = self.take(|effect| matches!(effect, Effect::Prepare { .. })) else { return false };
        let ident = "core/redis/1.0/20260101000000".parse().expect("a valid ident");
        self.input(Input::EffectDone(id, EffectResult::Prepared(Prepared::new(ident, 1_000))));
        true
    }

    /// The boot of a daemon: at once each service is to be rendered with the operator's own configuration; the package
    /// is ready after a few milliseconds and the disk has synced after `sync_ms`.
    fn start(&mut self, sync_ms: u64) {
        let identity = self.take(|effect| matches!(effect, Effect::Persist { .. })).expect("its identity");
        let service = "redis".parse().expect("a valid name");
        self.input(Input::Command(RequestId(1), Command::RenderService { service }));
        let mut was_prepared = false;
        for ms in 0..sync_ms.max(10) {
            self.run_ms(1);
            was_prepared |= ms >= 3 && self.prepared();
            if ms + 1 == sync_ms {
                self.input(Input::EffectDone(identity, EffectResult::Persisted));
            }
        }
        self.run_ms(5);
        assert!(was_prepared || self.prepared(), "the service is prepared");
    }

    fn is_told(&self) -> bool {
        matches!(self.node.rumor(&key()), Some(Rumor::Service(told)) if !told.tombstone && !told.initialized)
    }
}

#[test]
fn a_service_is_announced_after_the_last_lifes_word_was_withdrawn() {
    for sync_ms in [1, 5, 25, 400] {
        let mut host = Host::boot(Planted::default());
        host.start(sync_ms);
        assert!(host.is_told(), "{sync_ms} ms for a sync: {:?}", host.node.rumor(&key()));
        assert_eq!(host.replies, [Reply::Done], "the command waited and was carried out");
        host.run_ms(2_500);
        assert!(host.is_told() && host.repaired == 0, "nothing had to be repaired");
    }
}

#[test]
fn what_the_store_lost_is_told_again_within_a_second() {
    let mut host = Host::boot(Planted::default());
    host.start(5);
    host.node.retract(&group());
    host.drain();
    host.run_ms(1);
    assert!(!host.is_told());
    host.run_ms(1_100);
    assert!(host.is_told(), "{:?}", host.node.rumor(&key()));
    assert_eq!(host.repaired, 2, "the service and its health");
    host.run_ms(5_000);
    assert_eq!(host.repaired, 2, "a repair is made once");
    // Long after the last word of its services.
    assert_eq!(host.node.rumors.forget_owned_by(&me()).len(), 2);
    host.run_ms(1_100);
    assert!(host.is_told() && host.repaired == 4, "and again when it has to be");
}

#[test]
fn what_no_book_knows_is_withdrawn_with_the_next_exchange() {
    let mut host = Host::boot(Planted::default());
    host.start(5);
    let Some(Rumor::Service(told)) = host.node.rumor(&key()).cloned() else { panic!("it is told") };
    let stray = ServiceRumor { group: "redis.other".parse().expect("a valid group"), ..told };
    let stray_key = RumorKey::Service { group: stray.group.clone(), member: me() };
    host.node.tell_own(Rumor::Service(stray), Incarnation(0));
    host.drain();
    host.run_ms(40_000);
    assert!(host.node.rumor(&stray_key).is_some_and(Rumor::is_tombstone));
    assert!(host.is_told() && host.repaired == 1);
}

#[test]
fn commands_that_wait_for_the_start_are_answered_when_there_is_none() {
    let mut host = Host::boot(Planted::default());
    let service = "redis".parse().expect("a valid name");
    host.input(Input::Command(RequestId(1), Command::StartService { service }));
    assert!(host.replies.is_empty());
    host.input(Input::Command(RequestId(2), Command::Leave { drain: true }));
    assert_eq!(host.replies, [Reply::Done, Reply::Failed(CommandError::Leaving)]);
}

#[test]
fn nothing_is_written_before_the_identity_but_the_identity() {
    let mut host = Host::boot(Planted::default());
    host.run_ms(60_000);
    let writes = host.effects.iter().filter(|(_, effect)| matches!(effect, Effect::Persist { .. })).count();
    assert_eq!(writes, 1, "the disk is asked once and is waited for");
    let id = host.take(|effect| matches!(effect, Effect::Persist { .. })).expect("its identity");
    host.input(Input::EffectDone(id, EffectResult::PersistFailed(String::from("disk full"))));
    host.run_ms(1_100);
    assert!(host.take(|effect| matches!(effect, Effect::Persist { .. })).is_some(), "it is stored again");
}

/// The planted defects are what was there once: on a disk that takes longer to sync than a package to get ready, the
/// announcement of this life is taken back.
#[cfg(feature = "planted-bugs")]
#[test]
fn late_withdrawal_loses_an_announcement_and_only_a_repair_brings_it_back() {
    use crate::model::planted::Bug;
    for (bug, is_repaired) in [(Bug::RestoredWithdrawnLate, true), (Bug::ToldNeverRepaired, false)] {
        let mut host = Host::boot(Planted::only(bug));
        host.start(25);
        assert!(!host.is_told());
        host.run_ms(40_000);
        assert_eq!((host.is_told(), host.repaired > 0), (is_repaired, is_repaired));
    }
}

#[test]
fn a_process_that_serves_on_is_not_withdrawn_for_what_the_disk_had_not_heard() {
    let running = RunningService {
        service: "redis".parse().expect("a valid name"),
        pid: 7,
        ident: "core/redis/1.0/20260101000000".parse().expect("a valid ident"),
        since: UnixTime::default(),
        restarts: 0,
        shutdown_timeout_ms: None,
        resume: None,
        health: None,
    };
    let mut host = Host::boot_with(
        Planted::default(),
        Snapshot { running: alloc::vec![running], ..Snapshot::new(me()) },
    );
    let identity = host.take(|effect| matches!(effect, Effect::Persist { .. })).expect("its identity");
    host.input(Input::EffectDone(identity, EffectResult::Persisted));
    host.node.hear_of_own(&Told::from(Rumor::Service(last_word())));
    host.drain();
    host.run_ms(10);
    let held = host.node.rumor(&key());
    assert!(matches!(held, Some(Rumor::Service(told)) if !told.tombstone && told.accepting), "{held:?}");
    assert_eq!(host.repaired, 0);
}
