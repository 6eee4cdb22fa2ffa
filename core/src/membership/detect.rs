//! This member's own judgement of others: it probes them, suspects them, and confirms them dead when a timeout runs
//! out. Nothing that others say is judged here; `hear` does that.

use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use super::probe::{Probe, Purpose, times};
use super::suspicion::Suspicion;
use super::{Heard, Membership, MembershipEvent, Urgency};
use crate::model::accusers::Accusers;
use crate::model::context::{Context, Follows};
use crate::model::event::{EventKind, Why};
use crate::model::id::{EventId, MemberId};
use crate::model::limits::{Limit, VERIFICATIONS_MAX};
use crate::model::member::{MemberRecord, State};
use crate::model::mutant::mutated;
use crate::model::planted::Bug;
use crate::model::time::Instant;
use crate::wire::swim::Body;

/// Pings that one probe sends directly, the first included.
const PINGS: u32 = 3;

const _: () = assert!(PINGS > 1, "one lost datagram is no suspicion");

impl Membership {
    /// Begins the period's probe.
    pub(super) fn run_round(&mut self, ctx: &mut Context<'_>) {
        if self.prober.next_round > ctx.now {
            return;
        }
        let period = Duration::from_millis(self.health.stretch_ms(self.timings.probe_period_ms));
        // The round keeps its phase, so that members stay spread over the period.
        let planned = self.prober.next_round + period;
        self.prober.next_round = if planned > ctx.now { planned } else { ctx.now + period };
        assert!(self.prober.next_round > ctx.now, "one round is followed by a pause");
        if self.leaving || self.prober.round_under_way() {
            return;
        }
        let me = *self.own();
        if let Some(target) = self.prober.next_target(&self.table, &me, &mut self.rng) {
            assert!(target.id != self.me, "a member does not probe itself");
            if self.planted.has(Bug::ProbeSkipsOne) && self.table.iter().all(|r| r.id >= target.id) {
                return;
            }
            self.begin_probe(ctx, &target, Purpose::Round, Follows::Input);
        }
    }

    fn begin_probe(
        &mut self,
        ctx: &mut Context<'_>,
        target: &MemberRecord,
        purpose: Purpose,
        cause: Follows,
    ) -> bool {
        if self.is_banned(&self.me) {
            // No member answers a banned one: their silence says nothing of them.
            return false;
        }
        let timeout_ms = self.health.stretch_ms(self.timings.probe_timeout_ms);
        let verdict_ms = self.health.stretch_ms(self.timings.probe_verdict_ms);
        let (direct_by, verdict_by) = times(ctx.now, timeout_ms, verdict_ms);
        assert!(ctx.now < direct_by && direct_by <= verdict_by, "the ways of a probe follow each other");
        assert!(target.id != self.me, "a member does not probe itself");
        let seq = self.prober.seq();
        let again_at = ctx.now + Duration::from_millis(timeout_ms / u64::from(PINGS));
        let probe = Probe {
            target: target.id,
            seq,
            purpose,
            ping: ctx.input,
            again_at,
            again: mutated!(PingNotRepeated, PINGS - 1, 0),
            indirect: None,
            direct_by,
            verdict_by,
            helpers: 0,
            asked: Vec::new(),
            nacks: 0,
            refused: false,
            cause,
        };
        if !self.prober.begin(probe) {
            return false;
        }
        ctx.metrics.probes += 1;
        let accuse = (target.state != State::Alive).then_some(*target);
        self.events.push_back(MembershipEvent::Send {
            to: target.swim_addr(),
            body: Body::Ping { seq, forward_to: None },
            accuse,
        });
        true
    }

    /// Probes a member that others accuse, unless its own probe is under way.
    pub(super) fn check(&mut self, ctx: &mut Context<'_>, id: &MemberId, cause: Follows) {
        let Some(target) = self.table.get(id).copied() else { return };
        if self.begin_probe(ctx, &target, Purpose::Check, cause) {
            let now = ctx.now;
            self.update_suspicion(id, |s| s.asked = Some(now));
        }
    }

    /// Puts a second-hand death on the list of members to probe.
    pub(super) fn plan_verification(&mut self, ctx: &mut Context<'_>, told: &MemberRecord) -> Heard {
        let listed = self.verifications.iter().any(|v| v.id == told.id && v.incarnation >= told.incarnation);
        if listed || self.prober.is_probing(&told.id) {
            return Heard::Known;
        }
        if self.verifications.len() >= VERIFICATIONS_MAX {
            ctx.limit_reached(Limit::Verifications);
            return Heard::Known;
        }
        assert!(told.id != self.me, "this member knows of itself");
        assert!(told.state == State::Confirmed, "only a death is looked into");
        self.verifications.push_back(*told);
        self.run_verifications(ctx);
        Heard::Known
    }

    /// Pings as many of the supposedly dead as probes are free, and tells each that it is accused.
    pub(super) fn run_verifications(&mut self, ctx: &mut Context<'_>) {
        while self.prober.has_room() {
            let Some(told) = self.verifications.pop_front() else { return };
            let current = self.table.get(&told.id).copied();
            let Some(held) = current.filter(|held| held.state <= State::Suspect && told.prevails_over(held))
            else {
                continue;
            };
            assert!(held.id == told.id, "a member is held under its id");
            let target = MemberRecord { incarnation: told.incarnation, state: State::Confirmed, ..held };
            // Another member's accusation began this probe, and this node reports no event of it before the probe ends.
            self.begin_probe(ctx, &target, Purpose::Verify, Follows::Input);
        }
    }

    /// The host at an address answered that no process listens there: stronger evidence than silence.
    pub(crate) fn handle_refused(&mut self, ctx: &mut Context<'_>, to: SocketAddr) {
        let at_address = |r: &&MemberRecord| r.swim_addr() == to || r.gossip_addr() == to;
        let targets: Vec<MemberId> =
            self.table.iter().filter(at_address).map(|r| r.id).filter(|id| *id != self.me).collect();
        for id in targets {
            self.prober.refused(&id, ctx.now);
            self.relays.refused(&id, ctx.now);
        }
        self.run_probes(ctx);
        self.run_relays(ctx);
    }

    /// Carries probes on whose time has come.
    pub(super) fn run_probes(&mut self, ctx: &mut Context<'_>) {
        while let Some(mut probe) = self.prober.take_due(ctx.now) {
            let repeats = probe.again > 0 && probe.verdict_by > ctx.now && !probe.hopeless();
            if probe.indirect.is_some() && !repeats {
                self.probe_failed(ctx, &probe);
                continue;
            }
            assert!(probe.target != self.me, "a member does not probe itself");
            let Some(target) = self.table.get(&probe.target).copied() else { continue };
            if probe.indirect.is_some() {
                // Each way through a helper has four legs; where datagrams are lost, three ways are few.
                probe.again = 0;
                self.ask_helpers(&mut probe, &target);
                self.prober.put_back(probe);
                continue;
            }
            if probe.again > 0 && probe.direct_by > ctx.now {
                self.ping_again(ctx.now, probe, &target);
                continue;
            }
            probe.indirect = Some(ctx.input);
            probe.helpers = self.ask_helpers(&mut probe, &target);
            // Helpers that are asked later cannot send a nack in time, so they are not counted.
            probe.again = u32::from(!probe.refused);
            probe.again_at = ctx.now + probe.verdict_by.saturating_since(ctx.now) * 2 / 5;
            if mutated!(NoStreamPing, !probe.refused, false) {
                // Where datagrams are lost or filtered a stream may still pass (as memberlist does).
                let to = target.gossip_addr();
                self.events.push_back(MembershipEvent::StreamPing { to, seq: probe.seq });
            }
            self.prober.put_back(probe);
        }
    }

    /// Asks others to probe for this member; returns how many.
    fn ask_helpers(&mut self, probe: &mut Probe, target: &MemberRecord) -> u32 {
        let helpers = self.choose_helpers(probe);
        assert!(
            helpers.iter().all(|helper| helper.id != probe.target),
            "a member does not help to probe itself"
        );
        for helper in &helpers {
            let body = Body::PingReq { seq: probe.seq, target: *target };
            self.events.push_back(MembershipEvent::Send { to: helper.swim_addr(), body, accuse: None });
            if !probe.asked.contains(&helper.id) {
                probe.asked.push(helper.id);
            }
        }
        helpers.len() as u32
    }

    /// Repeats the ping: it or its ack may have been lost.
    fn ping_again(&mut self, now: Instant, mut probe: Probe, target: &MemberRecord) {
        assert!(probe.again > 0, "a ping is repeated so often and no more");
        assert!(probe.indirect.is_none(), "once others are asked, pings have had their time");
        let left = probe.direct_by.saturating_since(now);
        probe.again_at = now + left / probe.again.max(1);
        probe.again -= 1;
        let accuse = (target.state != State::Alive).then_some(*target);
        let body = Body::Ping { seq: probe.seq, forward_to: None };
        self.events.push_back(MembershipEvent::Send { to: target.swim_addr(), body, accuse });
        self.prober.put_back(probe);
    }

    fn probe_failed(&mut self, ctx: &mut Context<'_>, probe: &Probe) {
        assert!(probe.indirect.is_some(), "a probe fails after others were asked");
        if self.is_banned(&self.me) {
            return;
        }
        assert!(probe.nacks <= probe.helpers, "a helper answers once");
        ctx.metrics.probes_failed += 1;
        let event = ctx.event(
            probe.cause,
            EventKind::ProbeFailed {
                member: probe.target,
                ping: probe.ping,
                indirect: probe.indirect,
                refused: probe.refused,
                nacks: probe.nacks,
            },
        );
        // Lifeguard: helpers that stay silent too say something about this member's own network.
        let doubt = if probe.refused {
            0
        } else if probe.helpers > 0 {
            mutated!(DoubtForWholeHelp, probe.helpers - probe.nacks, probe.helpers)
        } else {
            1
        };
        let news = self.table.get(&probe.target).is_some_and(|r| r.state <= State::Suspect);
        if probe.purpose == Purpose::Round && news && doubt > 0 && self.health.worse(1) {
            ctx.event(Follows::Event(event), EventKind::LocalHealth { score: self.health.score() });
        }
        if probe.purpose == Purpose::Verify {
            self.bury(ctx, &probe.target, event);
        } else {
            self.accuse(ctx, &probe.target, event);
        }
        self.run_verifications(ctx);
    }

    /// Another member buried this one, and it did not answer us either (as in Habitat).
    fn bury(&mut self, ctx: &mut Context<'_>, id: &MemberId, after: EventId) {
        let Some(mut record) = self.table.get(id).copied() else { return };
        assert!(*id != self.me, "a member does not bury itself");
        if record.state <= State::Suspect {
            record.state = State::Confirmed;
            self.change(ctx, record, Accusers::default(), Why::ProbeFailed, Follows::Event(after));
        }
    }

    /// This member accuses another of its own knowledge.
    fn accuse(&mut self, ctx: &mut Context<'_>, id: &MemberId, after: EventId) {
        let Some(mut record) = self.table.get(id).copied() else { return };
        let me = self.me;
        assert!(*id != me, "a member does not accuse itself");
        match record.state {
            State::Alive => {
                record.state = State::Suspect;
                self.change(ctx, record, Accusers::one(me), Why::ProbeFailed, Follows::Event(after));
                assert!(self.suspicions.contains_key(id), "a suspect has a suspicion");
                // Lifeguard's buddy system: the suspect hears it first.
                let body = Body::Gossip;
                self.events.push_back(MembershipEvent::Send {
                    to: record.swim_addr(),
                    body,
                    accuse: mutated!(SuspectNotTold, Some(record), None),
                });
            }
            State::Suspect => {
                let mut changed = false;
                self.update_suspicion(id, |s| {
                    changed = mutated!(OwnAccusationNotAdded, s.accusers.add(me), false)
                });
                if changed {
                    let accusers = self.suspicions.get(id).map_or(0, |s| s.accusers.len() as u32);
                    let kind = EventKind::SuspicionConfirmed { member: *id, by: me, accusers };
                    let after = Follows::Event(ctx.event(Follows::Event(after), kind));
                    let urgency = Urgency::Death;
                    self.events.push_back(MembershipEvent::Changed { id: *id, urgency, after });
                }
            }
            State::Confirmed | State::Departed => {}
        }
    }

    /// Tells requesters that their targets did not answer this member either.
    pub(super) fn run_relays(&mut self, ctx: &mut Context<'_>) {
        while let Some(relay) = self.relays.take_due(ctx.now) {
            assert!(relay.nack_at <= ctx.now, "a helper gives the target its time");
            let body = mutated!(NoNack, Body::Nack { seq: relay.seq, target: relay.target }, Body::Gossip);
            self.events.push_back(MembershipEvent::Send { to: relay.reply_to, body, accuse: None });
        }
    }

    pub(super) fn begin_suspicion(
        &mut self,
        now: Instant,
        record: &MemberRecord,
        accusers: Accusers,
        event: EventId,
    ) {
        assert!(record.state == State::Suspect, "only a suspect has a suspicion");
        assert!(record.id != self.me, "a member does not suspect itself");
        let asked = accusers.iter().any(|accuser| accuser == self.me).then_some(now);
        let suspicion = Suspicion {
            accusers,
            started: now,
            due: now,
            event,
            asked,
            heard: None,
            check_at: None,
            confirmed_elsewhere: false,
        };
        self.suspicions_due.insert((now, record.id));
        self.suspicions.insert(record.id, suspicion);
        self.update_suspicion(&record.id, |_| {});
        assert!(self.suspicions.len() <= self.suspicions_due.len(), "every suspicion is due");
    }

    pub(super) fn end_suspicion(&mut self, id: &MemberId) -> Option<Suspicion> {
        let suspicion = self.suspicions.remove(id)?;
        let was_due = self.suspicions_due.remove(&(suspicion.due, *id));
        assert!(was_due, "every suspicion is due");
        Some(suspicion)
    }

    /// Changes a suspicion and works out when it is due next.
    pub(super) fn update_suspicion(&mut self, id: &MemberId, change: impl FnOnce(&mut Suspicion)) {
        let members = self.ring_size();
        let Some(suspicion) = self.suspicions.get_mut(id) else { return };
        let before = suspicion.due;
        change(suspicion);
        suspicion.due = suspicion.next_step(&self.timings, members).0;
        let due = suspicion.due;
        if due != before {
            let was_due = self.suspicions_due.remove(&(before, *id));
            let is_new = self.suspicions_due.insert((due, *id));
            assert!(was_due && is_new, "every suspicion is due once");
        }
    }

    /// Decides whether this member checks a suspicion that it heard of, and when: some members do in every ring, so
    /// that confirmations arrive within a probe's time, but not all in a large one, so that they do not stampede.
    pub(super) fn plan_corroboration(&mut self, now: Instant, id: &MemberId) {
        let others = self.ring_size().saturating_sub(2).max(1) as u64;
        let wanted = u64::from(self.timings.corroborators);
        assert!(*id != self.me, "a member does not check itself");
        let chosen = self.rng.chance(wanted.min(others), others);
        let wait_ms = self.rng.below(self.timings.probe_timeout_ms.max(1)) / 2;
        if mutated!(NeverCorroborates, chosen, false) {
            self.update_suspicion(id, |s| s.check_at = Some(now + Duration::from_millis(wait_ms)));
        }
    }

    /// Carries suspicions on whose time has come.
    pub(super) fn run_suspicions(&mut self, ctx: &mut Context<'_>) {
        while let Some((due, id)) = self.suspicions_due.first().copied() {
            if due > ctx.now {
                return;
            }
            let members = self.ring_size();
            let Some(suspicion) = self.suspicions.get(&id) else {
                self.suspicions_due.remove(&(due, id));
                continue;
            };
            assert!(suspicion.due == due, "a suspicion is due when it is said to be");
            let (step_due, step) = suspicion.next_step(&self.timings, members);
            let (event, accusers) = (suspicion.event, suspicion.accusers.len() as u32);
            if step_due > ctx.now {
                // The ring's size changed since this was planned.
                self.update_suspicion(&id, |_| {});
                continue;
            }
            self.take_step(ctx, &id, step, event, accusers);
        }
    }

    fn take_step(&mut self, ctx: &mut Context<'_>, id: &MemberId, step: Step, event: EventId, accusers: u32) {
        let now = ctx.now;
        match step {
            Step::Check => {
                self.update_suspicion(id, |s| s.check_at = None);
                self.check(ctx, id, Follows::Event(event));
            }
            Step::Ask => {
                self.update_suspicion(id, |s| s.asked = Some(now));
                // The check goes by the indirect way too: the answer carries the incarnation, in case only the rumor of
                // it was lost.
                self.check(ctx, id, Follows::Event(event));
                // A member that knows better, or reaches the suspect on another path, hears the suspicion once more.
                let (urgency, after) = (Urgency::Death, Follows::Event(event));
                self.events.push_back(MembershipEvent::Changed { id: *id, urgency, after });
            }
            Step::Confirm => {
                let has_woken =
                    mutated!(WokenJudges, self.doubt_until.is_some_and(|until| until > now), false);
                if has_woken || self.is_banned(&self.me) {
                    // A process that has just woken must hear from another member before it confirms one dead, and a
                    // banned one hears from none.
                    let wait = Duration::from_millis(self.timings.probe_verdict_ms);
                    self.update_suspicion(id, |s| s.heard = Some(now + wait));
                    return;
                }
                if let Some(mut record) = self.table.get(id).copied() {
                    assert!(record.state == State::Suspect, "only a suspicion runs out");
                    record.state = State::Confirmed;
                    let why = Why::SuspicionExpired { accusers };
                    self.change(ctx, record, Accusers::default(), why, Follows::Event(event));
                }
            }
        }
    }
}

/// The next step of a suspicion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// This member probes the suspect itself.
    Check,
    /// This member tells the suspect of the accusation once more, in time for a refutation.
    Ask,
    /// The suspicion ran out.
    Confirm,
}
