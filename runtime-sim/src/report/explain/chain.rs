//! The chain itself: from a verdict to the event before it, at whichever member that event was.

use std::collections::BTreeSet;

use annulus_core::{EventId, EventKind, MemberId, State, Why};

use super::fate::{Fate, time};
use super::load::{Event, Nanos, Packet, Trace};
use super::tell::Story;

/// Members through which a rumor is followed back.
const HOPS_MAX: usize = 32;

/// Follows a verdict about `member` back to its causes.
pub(super) fn tell(trace: &Trace, member: MemberId, verdict: &Event) -> Story {
    let judged = match &verdict.kind {
        EventKind::MemberChanged { to, .. } => held(*to),
        _ => "judged",
    };
    let called = trace.called(&member);
    let mut walk = Walk {
        trace,
        member,
        host: trace.host_of(&member).unwrap_or("?").to_owned(),
        called: called.clone(),
        faults: BTreeSet::new(),
        story: Story {
            question: format!("Why {} holds {called} {judged} since {}:", verdict.host, time(verdict.t)),
            steps: Vec::new(),
            faults: Vec::new(),
        },
    };
    walk.verdict(verdict);
    for index in &walk.faults {
        if let Some(act) = trace.acts.get(*index) {
            walk.story.faults.push((act.t, act.text.clone()));
        }
    }
    walk.story
}

/// A state as an adjective.
pub(super) fn held(state: State) -> &'static str {
    match state {
        State::Alive => "alive",
        State::Suspect => "suspect",
        State::Confirmed => "dead",
        State::Departed => "departed",
    }
}

/// A story in the making.
pub(super) struct Walk<'a> {
    pub(super) trace: &'a Trace,
    /// The member whose story it is: id, host, and both in words.
    pub(super) member: MemberId,
    pub(super) host: String,
    pub(super) called: String,
    /// Actions that are to blame.
    pub(super) faults: BTreeSet<usize>,
    pub(super) story: Story,
}

impl<'a> Walk<'a> {
    /// Remembers which action is to blame and hands on the words.
    pub(super) fn blame(&mut self, fate: Fate) -> String {
        self.faults.extend(fate.fault);
        fate.words
    }

    fn verdict(&mut self, verdict: &'a Event) {
        let EventKind::MemberChanged { from, to, incarnation, .. } = &verdict.kind else { return };
        if *to == State::Alive && from.is_some() {
            self.alive_again(verdict, incarnation.0);
            return;
        }
        let first = self.changed(verdict);
        if matches!(to, State::Suspect | State::Confirmed) {
            self.refutation(first, verdict, incarnation.0);
        }
    }

    /// Tells a change of mind and what led to it; returns the earliest of these events.
    pub(super) fn changed(&mut self, verdict: &'a Event) -> &'a Event {
        let mut event = verdict;
        for _ in 0..HOPS_MAX {
            let Some(next) = self.link(event) else { break };
            event = next;
        }
        event
    }

    /// Tells one change of mind; returns the event that led to it, if another one did.
    fn link(&mut self, event: &'a Event) -> Option<&'a Event> {
        let EventKind::MemberChanged { from, to, why, .. } = &event.kind else { return None };
        let now = format!("{} holds {} {}", event.host, self.called, held(*to));
        match why {
            Why::SuspicionExpired { .. } => return self.expired(event, &now),
            Why::ProbeFailed => self.own_probe(event, *to),
            Why::Rumor { from: teller } => return self.by_rumor(event, teller, *from, *to),
            Why::Contact if *to == State::Departed => {
                self.story.push(event.t, format!("{now}: {} itself said farewell.", self.called));
                self.fault_before(event.t, "leave");
            }
            Why::Contact => self.by_contact(event, &now),
            Why::Operator => {
                self.story.push(event.t, format!("{now}, because an operator banned it from the ring."));
                self.fault_before(event.t, "depart");
            }
            Why::GoneTooLong => {
                self.story
                    .push(event.t, format!("{now}: it was held dead for so long that it counts as gone."));
                return self.before(event);
            }
            Why::Restored => {
                self.story.push(event.t, format!("{now}: that is what its disk remembered."));
            }
            Why::Own => {
                self.story.push(event.t, format!("{now}: it is that member itself."));
            }
        }
        None
    }

    /// The state that the same host held the member in before.
    fn before(&self, event: &Event) -> Option<&'a Event> {
        let before = self.trace.events.iter().take_while(|e| !std::ptr::eq(*e, event));
        before.filter(|e| e.host == event.host && self.concerns(e)).last()
    }

    fn concerns(&self, event: &Event) -> bool {
        matches!(&event.kind, EventKind::MemberChanged { member, .. } if *member == self.member)
    }

    fn fault_before(&mut self, t: Nanos, name: &str) {
        let host = self.host.clone();
        let fault = self.trace.last(t, |act| act.name == name && act.to.contains(&host));
        self.faults.extend(fault.map(|(index, _)| index));
    }

    /// The packet that led to an event.
    pub(super) fn packet_of(&self, event: &Event) -> Option<&'a Packet> {
        let id = self.trace.received.get(&(event.host.clone(), event.life, event.input))?;
        self.trace.packets.get(id)
    }

    /// The event of the same process with this number.
    fn event(&self, of: &Event, id: EventId) -> Option<&'a Event> {
        self.trace.events.iter().find(|e| e.host == of.host && e.life == of.life && e.id == id)
    }

    fn by_contact(&mut self, event: &Event, now: &str) {
        let packet = self.packet_of(event);
        let by = packet.map_or_else(String::new, |p| format!(" ({})", named(p)));
        let text = format!("{now}: {} itself spoke to it{by}.", self.called);
        self.story.push(event.t, text).packets.extend(packet.map(|p| p.id));
    }

    /// A suspicion ran out.
    fn expired(&mut self, event: &'a Event, now: &str) -> Option<&'a Event> {
        let began = event.after.and_then(|id| self.event(event, id)).filter(|e| self.concerns(e));
        let lasted = began.map_or(0, |b| event.t.saturating_sub(b.t));
        let step = self.story.push(
            event.t,
            format!(
                "{now}: the suspicion it had of {} ran out after {} without a refutation.",
                self.called,
                time(lasted)
            ),
        );
        let began = began?;
        let (host, member, trace) = (&event.host, self.member, self.trace);
        let confirmed = trace
            .events
            .iter()
            .filter(|e| e.host == *host && e.life == event.life && (began.t..=event.t).contains(&e.t));
        for e in confirmed {
            if let EventKind::SuspicionConfirmed { member: m, by: by_id, .. } = &e.kind
                && *m == member
            {
                let by = trace.called(by_id);
                let buried = trace.events.iter().any(|other| {
                    other.t <= e.t
                        && trace.host_of(by_id) == Some(other.host.as_str())
                        && matches!(other.kind, EventKind::MemberChanged { member: m, to: State::Confirmed, .. } if m == member)
                });
                let text = if buried {
                    format!("{}: {by} held it dead by now, which cuts the suspicion short", time(e.t))
                } else if by == *host {
                    format!("{}: its own probe confirmed the suspicion, which shortens it", time(e.t))
                } else {
                    format!("{}: {by} accused it too, which shortens the suspicion", time(e.t))
                };
                if !step.details.contains(&text) {
                    step.details.push(text);
                }
            }
        }
        if step.details.is_empty() {
            step.details
                .push(String::from("no other member confirmed it, so it lasted as long as a suspicion can"));
        }
        Some(began)
    }

    /// Another member told it so.
    fn by_rumor(
        &mut self,
        event: &'a Event,
        from: &MemberId,
        before: Option<State>,
        to: State,
    ) -> Option<&'a Event> {
        let packet = self.packet_of(event);
        let teller = self.trace.called(from);
        let by = packet.map_or_else(String::new, |p| format!(" with {}", named(p)));
        let verb = match (before, to) {
            (None, _) => format!("{} first heard of {} and holds it {}", event.host, self.called, held(to)),
            (_, State::Suspect) => format!("{} began to suspect {}", event.host, self.called),
            _ => format!("{} came to hold {} {}", event.host, self.called, held(to)),
        };
        let text = format!("{verb}, because {teller} told it so{by}.");
        self.story.push(event.t, text).packets.extend(packet.map(|p| p.id));
        let sent = packet.map_or(event.t, |p| p.t);
        let source = self.trace.host_of(from)?;
        let mut theirs = self.trace.events.iter().filter(|e| {
            e.host == source
                && e.t <= sent
                && matches!(e.kind, EventKind::MemberChanged { member, to: t, .. } if member == self.member && t == to)
        });
        theirs.next_back()
    }

    /// This member's own probe failed.
    fn own_probe(&mut self, event: &'a Event, to: State) {
        let failed = event.after.and_then(|id| self.event(event, id));
        let text = if to == State::Confirmed {
            format!(
                "{} came to hold {} dead: another member said so, and its own look got no answer either.",
                event.host, self.called
            )
        } else {
            format!(
                "{} began to suspect {}: its own probe got no answer on any path.",
                event.host, self.called
            )
        };
        self.story.push(event.t, text);
        if let Some(failed) = failed {
            self.probe(failed);
        }
    }
}

/// A packet's name in a sentence.
pub(super) fn named(packet: &Packet) -> String {
    let kind = if packet.message.is_empty() { "message" } else { packet.message.as_str() };
    let way = if packet.stream { " over a stream" } else { "" };
    format!("{kind} packet {}{way}, sent at {}", packet.id, time(packet.t))
}
