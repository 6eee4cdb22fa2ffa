//! Judges statements of others: messages from members, rumors about members, accusations of this one. A member that
//! speaks itself is believed to be alive; hearsay alone never confirms a member dead that this one holds alive.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use super::relay::Relay;
use super::{Contact, Heard, Membership, MembershipEvent, Urgency};
use crate::model::accusers::Accusers;
use crate::model::context::{Context, Follows};
use crate::model::event::{EventKind, Why};
use crate::model::id::{Incarnation, MemberId, ProbeSeq};
use crate::model::limits::{ACCUSERS_MAX, INCARNATION_MAX, Limit};
use crate::model::member::{MemberRecord, State, UNSPECIFIED};
use crate::model::mutant::mutated;
use crate::model::planted::Bug;
use crate::model::reach;
use crate::model::time::{Instant, UnixTime};
use crate::wire::swim::Body;

/// How often a member outbids an incarnation of its own that it never used before it takes that for a second daemon.
const OUTBID_MAX: u32 = 4;
/// Accusers that a refutation goes to directly.
const ACCUSERS_TOLD_MAX: usize = 8;

const _: () = assert!(ACCUSERS_TOLD_MAX >= ACCUSERS_MAX, "every accuser that matters hears the refutation");
const _: () = assert!(OUTBID_MAX > 1, "a backup that was restored is outbid once");

impl Membership {
    /// Handles a datagram's body. Contact with its sender was noted before; `reply_to` is where it came from.
    pub(crate) fn handle_message(
        &mut self,
        ctx: &mut Context<'_>,
        from: &MemberRecord,
        reply_to: SocketAddr,
        body: Body,
    ) {
        match body {
            Body::Ping { seq, forward_to } => {
                let accuse = self.accusation_of(from);
                let body = Body::Ack { seq, forward_to };
                self.events.push_back(MembershipEvent::Send { to: reply_to, body, accuse });
            }
            Body::Ack { seq, forward_to } => self.hear_ack(ctx, from, reply_to, seq, forward_to),
            Body::PingReq { seq, target } => self.hear_ping_req(ctx, from, reply_to, seq, &target),
            Body::Nack { seq, target } => {
                self.ways.failed(&target.id, &from.id);
                self.prober.nacked(&target.id, seq);
                self.run_probes(ctx);
            }
            Body::Gossip | Body::Ballot(_) | Body::Challenge { .. } | Body::Answer(_) | Body::Unknown => {}
        }
    }

    fn hear_ack(
        &mut self,
        ctx: &mut Context<'_>,
        from: &MemberRecord,
        reply_to: SocketAddr,
        seq: ProbeSeq,
        forward_to: Option<MemberRecord>,
    ) {
        assert!(from.id != self.me, "a member hears others only");
        match forward_to {
            Some(requester) if requester.id != self.me => {
                let was_asked = self.relays.answered(&requester.id, &from.id, seq);
                // Nothing goes to an address that no member that asked for it has spoken from.
                let known = self.table.get(&requester.id).map(MemberRecord::swim_addr);
                let is_elsewhere = was_asked && requester.address != UNSPECIFIED;
                let to = if is_elsewhere { Some(requester.swim_addr()) } else { known };
                // An ack never goes back to its source: a requester that has become another member in the meantime
                // would forward it to its own address for ever.
                if let Some(to) = to.filter(|to| mutated!(AckNotForwarded, *to != reply_to, false)) {
                    let body = Body::Ack { seq, forward_to: Some(requester) };
                    self.events.push_back(MembershipEvent::Forward { to, from: *from, body });
                }
            }
            Some(_) => {
                self.note_way(&from.id, reply_to);
                self.ask_where_a_helper_reached(from);
                self.handle_probe_answer(ctx, &from.id, seq);
            }
            None => self.handle_probe_answer(ctx, &from.id, seq),
        }
    }

    /// A helper reached a member at another address than this one has. Either may be right: behind a gateway it has two,
    /// and a stranger may have spoken in its name from elsewhere. The member's own answer from there decides; without
    /// this, two members that hold wrong addresses of each other would never meet again.
    fn ask_where_a_helper_reached(&mut self, answered: &MemberRecord) {
        let Some(held) = self.table.get(&answered.id).copied() else { return };
        assert!(held.id == answered.id, "a member is held under its id");
        if answered.address != UNSPECIFIED && answered.address != held.address {
            let to = SocketAddr::new(answered.address, held.swim_port);
            let body = Body::Ping { seq: self.prober.seq(), forward_to: None };
            self.events.push_back(MembershipEvent::Send { to, body, accuse: None });
        }
    }

    /// An ack, by a direct, indirect or stream path.
    pub(crate) fn handle_probe_answer(&mut self, ctx: &mut Context<'_>, from: &MemberId, seq: ProbeSeq) {
        let Some(probe) = self.prober.acked(from, seq) else { return };
        self.run_verifications(ctx);
        if probe.purpose == super::probe::Purpose::Round && self.health.better() {
            ctx.event(Follows::Input, EventKind::LocalHealth { score: self.health.score() });
        }
    }

    fn hear_ping_req(
        &mut self,
        ctx: &mut Context<'_>,
        from: &MemberRecord,
        reply_to: SocketAddr,
        seq: ProbeSeq,
        target: &MemberRecord,
    ) {
        assert!(from.id != self.me, "a member hears others only");
        if target.id == self.me {
            // The requester asks this member to probe itself: it answers for itself.
            let body = Body::Ack { seq, forward_to: None };
            self.events.push_back(MembershipEvent::Send { to: reply_to, body, accuse: None });
            return;
        }
        // Only members are asked, where this one knows them: any host could have made up another one.
        let told = *target;
        let Some(target) = self.table.get(&told.id).copied() else { return };
        if target.incarnation > told.incarnation {
            // The requester missed a refutation; that is all the answer it needs.
            self.events.push_back(MembershipEvent::Send {
                to: reply_to,
                body: Body::Gossip,
                accuse: Some(target),
            });
        }
        if target.address == UNSPECIFIED || self.banned.contains_key(&target.id) {
            return;
        }
        // The nack must arrive before the requester's verdict.
        let wait_ms = self.timings.probe_verdict_ms.saturating_sub(self.timings.probe_timeout_ms) * 4 / 5;
        let relay = Relay {
            requester: from.id,
            reply_to,
            target,
            seq,
            nack_at: ctx.now + Duration::from_millis(wait_ms),
        };
        if !self.relays.begin(relay) {
            ctx.limit_reached(Limit::Relays);
            return;
        }
        let requester = MemberRecord { address: reply_to.ip(), swim_port: reply_to.port(), ..*from };
        let body = Body::Ping { seq, forward_to: Some(requester) };
        self.events.push_back(MembershipEvent::Send { to: target.swim_addr(), body, accuse: None });
    }

    /// Notes that a member itself spoke to this one. `record` is its own word, with its address filled in.
    ///
    /// Contact proves that the member runs, but others cannot follow at its old incarnation: a member that is held to
    /// be worse than alive is told so, and refutes. A member that is not known is a
    /// stranger until it has answered.
    ///
    /// `first_hand`: it came from the member's own socket, so its source address is its address. A record of the same
    /// incarnation from another member may hold an address that only that member can reach.
    pub(crate) fn handle_contact(
        &mut self,
        ctx: &mut Context<'_>,
        record: &MemberRecord,
        first_hand: bool,
    ) -> Contact {
        assert!(record.id != self.me, "a member does not contact itself");
        if self.banned.contains_key(&record.id) && !self.planted.has(Bug::BanUndoneByContact) {
            return Contact::Banned;
        }
        // Its own word counts as far as it may leap. A member that has outbid a forger's number is followed in a few steps.
        let incarnation = Incarnation(record.incarnation.0.min(self.believed_up_to(&record.id, ctx.wall)));
        let record = &MemberRecord { incarnation, ..*record };
        let Some(held) = self.table.get(&record.id).copied() else {
            if self.planted.has(Bug::UnaskedBelieved) {
                self.meet(ctx, *record, Accusers::default(), Why::Contact);
                self.events.push_back(MembershipEvent::Healed { id: record.id });
                return Contact::Member;
            }
            self.note_hearsay(ctx, record, record.id);
            return Contact::Stranger;
        };
        self.doubt_until = None;
        if record.state == State::Departed && !self.planted.has(Bug::LeaveUnsigned) {
            // That it leaves counts by its signed word alone.
            return Contact::Member;
        }
        let departs = record.state == State::Departed && held.state != State::Departed;
        if record.incarnation > held.incarnation || (departs && record.prevails_over(&held)) {
            let record = &MemberRecord { permanent: held.permanent, ..*record };
            self.change(ctx, *record, Accusers::default(), Why::Contact, Follows::Input);
            if mutated!(
                NoHealOnReturn,
                matches!(held.state, State::Confirmed | State::Departed) && record.state == State::Alive,
                false
            ) {
                self.events.push_back(MembershipEvent::Healed { id: record.id });
            }
            return Contact::Member;
        }
        if held.state == State::Suspect {
            let now = ctx.now;
            self.update_suspicion(&record.id, |s| s.heard = Some(now));
        }
        // What comes from this member's own address in another's name was not sent by that other.
        let is_forged = record.swim_addr() == self.own().swim_addr();
        let moved = mutated!(MoveUnnoticed, first_hand, false)
            && !is_forged
            && record.incarnation == held.incarnation
            && (record.swim_addr(), record.gossip_port) != (held.swim_addr(), held.gossip_port);
        if moved || held.address == UNSPECIFIED {
            let (address, swim_port, gossip_port) = (record.address, record.swim_port, record.gossip_port);
            self.put(MemberRecord { address, swim_port, gossip_port, ..held });
        }
        Contact::Member
    }

    /// The record that a member must be told of itself: this node holds it to be worse than alive, or newer than it
    /// says (an old disk was restored), or it is new here and may not know its address.
    pub(crate) fn accusation_of(&mut self, spoken: &MemberRecord) -> Option<MemberRecord> {
        let held = self.table.get(&spoken.id)?;
        assert!(held.id == spoken.id, "a member is held under its id");
        let owed = mutated!(NotTellingTheDead, held.state != State::Alive, held.state == State::Suspect)
            || mutated!(NewerNotTold, held.incarnation > spoken.incarnation, false);
        (owed && spoken.state != State::Departed).then_some(*held)
    }

    /// The highest incarnation of a member that is believed now.
    pub(super) fn believed_up_to(&self, id: &MemberId, wall: UnixTime) -> u64 {
        let held = self.table.get(id).map_or(0, |held| held.incarnation.0);
        assert!(held <= INCARNATION_MAX, "only what can be outbid was ever taken in");
        reach::believed_up_to(held, wall)
    }

    /// Takes in a rumor about a member.
    pub(crate) fn handle_rumor(
        &mut self,
        ctx: &mut Context<'_>,
        told: &MemberRecord,
        accusers: &Accusers,
        from: &MemberId,
    ) -> Heard {
        assert!(*from != self.me, "a member hears others only");
        let believed = self.believed_up_to(&told.id, ctx.wall);
        if told.id == self.me {
            // What others hold of this member it outbids in as many steps as it takes.
            let incarnation = Incarnation(told.incarnation.0.min(believed));
            if mutated!(EqualAnsweredAgain, incarnation >= Incarnation(INCARNATION_MAX), false) {
                // No higher one follows: an answer in the same incarnation would be accused again, and answered, for ever.
                return Heard::Known;
            }
            return self.hear_of_self(ctx, &MemberRecord { incarnation, ..*told }, from);
        }
        if told.incarnation.0 > believed {
            return Heard::Stale;
        }
        if self.banned.contains_key(&told.id) {
            return if told.state == State::Departed { Heard::Known } else { Heard::Stale };
        }
        let why = Why::Rumor { from: *from };
        let Some(held) = self.table.get(&told.id).copied() else {
            if self.planted.has(Bug::HearsayBelieved) && told.address != UNSPECIFIED {
                return if self.meet(ctx, *told, *accusers, why) { Heard::New } else { Heard::Known };
            }
            self.note_hearsay(ctx, told, *from);
            return Heard::Known;
        };
        // Whether it is permanent is its own to say, and whether it leaves.
        let told = &MemberRecord { permanent: held.permanent, ..*told };
        if told.state == State::Departed && !self.may_have_departed(ctx.now, &held) {
            return Heard::Known;
        }
        let stale_alive = told.incarnation == held.incarnation
            && (told.state, held.state) == (State::Alive, State::Suspect);
        let accepted = stale_alive && self.planted.has(Bug::StaleAliveAccepted);
        if !accepted && !told.prevails_over(&held) {
            return self.hear_nothing_worse(ctx, told, &held, accusers, from);
        }
        let look_first = !self.planted.has(Bug::BuryOnHearsay);
        if told.state == State::Confirmed && held.state <= State::Suspect && look_first {
            if held.state == State::Suspect && held.incarnation == told.incarnation {
                return self.hear_death_of_suspect(ctx, &told.id, from);
            }
            // A member that this one holds alive is not confirmed dead on hearsay; it is probed first.
            return self.plan_verification(ctx, told);
        }
        let unknown = |address: IpAddr| address == UNSPECIFIED;
        if told.state == held.state && told.incarnation == held.incarnation {
            // Only the address differs. Others may reach the member at another one; this node keeps the address that it
            // has seen.
            let seen = mutated!(HearsaySetsAddress, !unknown(held.address), false);
            let address = if seen { held.address } else { told.address };
            self.put(MemberRecord { address, permanent: told.permanent, ..held });
            return Heard::Known;
        }
        assert!(accepted || told.prevails_over(&held), "only a prevailing statement replaces a record");
        // Where it is, it says itself: if it is there that it is said to be, it answers from there.
        let is_seen = mutated!(HearsayMovesMembers, !unknown(held.address), unknown(told.address));
        let seen = if is_seen { held } else { *told };
        let (address, swim_port, gossip_port) = (seen.address, seen.swim_port, seen.gossip_port);
        let record = MemberRecord { address, swim_port, gossip_port, ..*told };
        self.change(ctx, record, *accusers, why, Follows::Input);
        if told.state == State::Alive && !unknown(told.address) && told.swim_addr() != record.swim_addr() {
            self.ask_elsewhere(ctx.now, told.swim_addr());
        }
        if told.state == State::Suspect {
            mutated!(SuspectRumorUnheard, self.plan_corroboration(ctx.now, &told.id), ());
        }
        Heard::New
    }

    /// Members that are dead for long depart, here a little earlier than there. One that is alive departs by its own word.
    fn may_have_departed(&self, now: Instant, held: &MemberRecord) -> bool {
        let half = Duration::from_millis(self.timings.departed_after_ms / 2);
        let is_old = self.since.get(&held.id).is_some_and(|gone| gone.since + half <= now);
        self.planted.has(Bug::LeaveUnsigned) || (held.state == State::Confirmed && is_old)
    }

    fn hear_nothing_worse(
        &mut self,
        ctx: &mut Context<'_>,
        told: &MemberRecord,
        held: &MemberRecord,
        accusers: &Accusers,
        from: &MemberId,
    ) -> Heard {
        assert!(told.id == held.id, "statements about one member are compared");
        assert!(!told.prevails_over(held), "a prevailing statement is taken in");
        let same_suspicion = told.state == State::Suspect
            && held.state == State::Suspect
            && told.incarnation == held.incarnation;
        if same_suspicion {
            return self.hear_accusers(ctx, &told.id, accusers, from);
        }
        if told.incarnation == held.incarnation && told.state == held.state {
            Heard::Known
        } else {
            Heard::Stale
        }
    }

    /// Other members accuse a member that this one suspects too.
    fn hear_accusers(
        &mut self,
        ctx: &mut Context<'_>,
        id: &MemberId,
        accusers: &Accusers,
        from: &MemberId,
    ) -> Heard {
        let (mut new, mut after) = (None, Follows::Input);
        self.update_suspicion(id, |s| {
            // Accusers that only take the places of others shorten nothing; they are kept, but not told on as news.
            new = accusers.iter().find(|a| !s.accused_by(a)).filter(|_| s.accusers.len() < ACCUSERS_MAX);
            after = Follows::Event(s.event);
            mutated!(AccusersNotMerged, s.accusers.merge(accusers), false);
        });
        let Some(by) = new else { return Heard::Known };
        let accusers = self.suspicions.get(id).map_or(0, |s| s.accusers.len() as u32);
        assert!(accusers > 0, "a suspicion that was confirmed has accusers");
        let by = if by == self.me { *from } else { by };
        let event = ctx.event(after, EventKind::SuspicionConfirmed { member: *id, by, accusers });
        let after = Follows::Event(event);
        self.events.push_back(MembershipEvent::Changed { id: *id, urgency: Urgency::Death, after });
        Heard::New
    }

    /// Another member confirmed a member dead that this one only suspects.
    fn hear_death_of_suspect(&mut self, ctx: &mut Context<'_>, id: &MemberId, from: &MemberId) -> Heard {
        assert!(*from != self.me, "a member hears others only");
        let mut first = None;
        self.update_suspicion(id, |s| {
            if !s.confirmed_elsewhere {
                s.confirmed_elsewhere = true;
                first = Some(Follows::Event(s.event));
            }
        });
        let Some(after) = first else { return Heard::Known };
        let accusers = self.suspicions.get(id).map_or(0, |s| s.accusers.len() as u32);
        ctx.event(after, EventKind::SuspicionConfirmed { member: *id, by: *from, accusers });
        Heard::New
    }

    /// Only this member raises its incarnation, so a higher one from elsewhere is its own past, which is over once
    /// it is outbid, or a second daemon that runs with a copy of its disk. Two that outbid each other would go on
    /// for ever: the one at the lower address stays, the other falls silent. `copy` finds the other one by a question; this
    /// is for two that cannot reach each other.
    fn yields_identity(&mut self, ctx: &mut Context<'_>, told: &MemberRecord, newest: Incarnation) -> bool {
        let own = *self.own();
        let (mine, theirs) = (own.swim_addr(), told.swim_addr());
        assert!(told.id == own.id, "an identity is yielded to a copy of it");
        let known = own.address != UNSPECIFIED && told.address != UNSPECIFIED;
        if told.state != State::Alive || told.incarnation <= newest || !known || mine == theirs {
            return false;
        }
        self.outbid = self.outbid.saturating_add(1);
        if self.outbid <= OUTBID_MAX {
            return false;
        }
        self.found_copy(ctx, theirs);
        self.yields_to_copy(ctx.now)
    }

    /// Those that accuse this member hear the refutation before the rest of the ring.
    fn note_accuser(&mut self, from: &MemberId) {
        let has_room = self.accused_by.len() < mutated!(RefutedOnce, ACCUSERS_TOLD_MAX, 1);
        if has_room && !self.accused_by.contains(from) {
            self.accused_by.push(*from);
        }
        assert!(self.accused_by.len() <= ACCUSERS_TOLD_MAX, "so many accusers are told");
    }

    /// Refutation (SWIM section 4.2): a member that is called worse than alive says otherwise, one incarnation higher.
    fn hear_of_self(&mut self, ctx: &mut Context<'_>, told: &MemberRecord, from: &MemberId) -> Heard {
        let own = *self.own();
        assert!(told.id == own.id && *from != own.id, "others speak of this member");
        if self.leaving || self.banned.contains_key(&self.me) {
            // A member that leaves or is banned has nothing to refute.
            return Heard::Known;
        }
        if told.incarnation == own.incarnation && told.state == State::Alive {
            let is_of_copy = self.copy_of_me(ctx.now) == Some(told.swim_addr());
            if own.address == UNSPECIFIED && told.address != UNSPECIFIED && !is_of_copy {
                self.put(MemberRecord { address: told.address, ..own });
            }
            self.suspect_copy(ctx.now, told.swim_addr());
            return Heard::Known;
        }
        if told.incarnation > own.incarnation {
            self.suspect_copy(ctx.now, told.swim_addr());
        }
        if self.yields_to_copy(ctx.now) {
            // The other one answers for both.
            return Heard::Known;
        }
        self.note_accuser(from);
        let newest = self.raising.unwrap_or(own.incarnation);
        if self.yields_identity(ctx, told, newest) {
            return Heard::Known;
        }
        // A newer incarnation than the own one dates from before a restored backup: this member rises above it too.
        if mutated!(
            OldAccusationAnswered,
            told.incarnation > newest,
            told.incarnation >= Incarnation(newest.0.saturating_sub(1))
        ) || (told.incarnation == newest && told.state != State::Alive)
        {
            if self.raising.is_some() {
                // The disk gets one incarnation at a time: a higher one is taken when this one is stored.
                self.outdone = self.outdone.max(told.incarnation);
                return Heard::Known;
            }
            let mut incarnation = told.incarnation.next();
            if self.planted.has(Bug::RefuteSameIncarnation) {
                incarnation = told.incarnation;
            }
            assert!(incarnation >= newest, "an incarnation never goes back");
            self.raising = Some(incarnation);
            ctx.metrics.refutations += 1;
            let kind = EventKind::Refuted { accusation: told.state, incarnation };
            let event = ctx.event(Follows::Input, kind);
            self.refuted = Some(event);
            if told.state != State::Alive && self.health.worse(1) {
                ctx.event(Follows::Event(event), EventKind::LocalHealth { score: self.health.score() });
            }
            self.events.push_back(MembershipEvent::Raise { incarnation });
            // The refutation is the answer, and the node may not send it before its incarnation is on disk.
            return Heard::Known;
        }
        if self.raising.is_some() {
            return Heard::Known;
        }
        // The accusation was refuted before: its sender has not heard the refutation yet.
        self.accused_by.clear();
        if let Some(to) = self.table.get(from).map(MemberRecord::swim_addr) {
            let body = Body::Ping { seq: self.prober.seq(), forward_to: None };
            self.events.push_back(MembershipEvent::Send { to, body, accuse: None });
        }
        // The rumor is told again without a new event.
        let after = Follows::Input;
        mutated!(
            RefutationNotRepeated,
            self.events.push_back(MembershipEvent::Changed {
                id: self.me,
                urgency: Urgency::Refutation,
                after
            }),
            ()
        );
        Heard::Stale
    }
}
