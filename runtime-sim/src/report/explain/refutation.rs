//! The accused member's side: whether it heard of the accusation, whether it answered, and whether that arrived.

use std::collections::BTreeMap;

use annulus_core::{EventKind, State, Why};

use super::chain::Walk;
use super::fate::time;
use super::load::{Event, Nanos, Packet};

impl<'a> Walk<'a> {
    /// Tells why no refutation came between the first accusation and the verdict.
    pub(super) fn refutation(&mut self, first: &'a Event, verdict: &'a Event, incarnation: u64) {
        let (began, ended) = (first.t, verdict.t);
        if let Some((since, why)) = self.trace.down(&self.host, ended) {
            return self.gone(began, since, why);
        }
        let refuted = self.refuted(began, Nanos::MAX, incarnation);
        if let Some(refuted) = refuted.filter(|refuted| refuted.t <= ended) {
            return self.refuted_in_vain(refuted, verdict);
        }
        self.unheard(began, ended, incarnation);
        if let Some(refuted) = refuted {
            let text = format!("Only then did {} hear of it and refute it.", self.called);
            self.story.push(refuted.t, text);
        }
    }

    fn gone(&mut self, began: Nanos, since: Nanos, why: &str) {
        let host = self.host.clone();
        let fault = self.trace.last(since, |act| {
            matches!(act.name.as_str(), "crash" | "kill" | "leave" | "depart") && act.to.contains(&host)
        });
        self.faults.extend(fault.map(|(index, _)| index));
        let text = format!(
            "No refutation came, and rightly so: {}'s supervisor did not run any more ({why} at {}).",
            self.called,
            time(since)
        );
        self.story.push(began.max(since), text);
    }

    /// The member's answer to being accused in this incarnation.
    fn refuted(&self, from: Nanos, to: Nanos, incarnation: u64) -> Option<&'a Event> {
        self.trace.events.iter().find(|e| {
            e.host == self.host
                && (from..=to).contains(&e.t)
                && matches!(e.kind, EventKind::Refuted { incarnation: i, .. } if i.0 > incarnation)
        })
    }

    /// The member refuted, and its word did not arrive.
    fn refuted_in_vain(&mut self, refuted: &'a Event, verdict: &'a Event) {
        let EventKind::Refuted { incarnation, .. } = refuted.kind else { return };
        let incarnation = incarnation.0;
        let words = self.trace.packets.values().filter(|p| {
            (refuted.t..=verdict.t).contains(&p.t)
                && p.to.as_deref() == Some(verdict.host.as_str())
                && self.carries(p, incarnation)
        });
        let words: Vec<&'a Packet> = words.collect();
        let details = self.fates(&words, &verdict.host);
        let text = format!(
            "{} refuted the accusation with incarnation {incarnation}, but {} did not hear it in time.",
            self.called, verdict.host
        );
        let step = self.story.push(refuted.t, text);
        step.details = details;
        step.packets.extend(words.iter().map(|p| p.id));
    }

    /// Whether a packet tells that the member lives in this incarnation: all packets of its own do.
    fn carries(&self, packet: &Packet, incarnation: u64) -> bool {
        packet.speaker == Some(self.member)
            || packet.tells.iter().any(|t| t.member == self.member && t.incarnation >= incarnation)
    }

    /// The fates of many packets, counted.
    fn fates(&mut self, packets: &[&'a Packet], to: &str) -> Vec<String> {
        if packets.is_empty() {
            return vec![format!("no member sent {to} a packet that carried it")];
        }
        let mut counts: BTreeMap<String, (usize, u64)> = BTreeMap::new();
        for packet in packets {
            let words = match self.trace.trouble(packet) {
                Some(fate) => self.blame(fate),
                None => format!("arrived at {to}"),
            };
            let entry = counts.entry(words).or_insert((0, packet.id));
            entry.0 += 1;
        }
        let told = |(words, (count, first)): (String, (usize, u64))| match count {
            1 => format!("packet {first}: {words}"),
            count => format!("{count} packets, the first of them {first}: {words}"),
        };
        counts.into_iter().map(told).collect()
    }

    /// The member did not refute in time: did it hear of the accusation at all?
    fn unheard(&mut self, began: Nanos, ended: Nanos, incarnation: u64) {
        let accusing = |p: &&Packet| {
            (began..=ended).contains(&p.t)
                && p.to.as_deref() == Some(self.host.as_str())
                && p.tells.iter().any(|t| {
                    t.member == self.member && t.state != State::Alive && t.incarnation >= incarnation
                })
        };
        let accusing: Vec<&'a Packet> = self.trace.packets.values().filter(accusing).collect();
        let heard = accusing.iter().any(|p| self.trace.trouble(p).is_none());
        let host = self.host.clone();
        let details = self.fates(&accusing, &host);
        let text = if let Some((index, act)) = self.trace.frozen(&self.host, ended) {
            self.faults.insert(index);
            format!("No refutation came: {} was frozen since {} and heard nothing.", self.called, time(act.t))
        } else if heard {
            format!("{} heard of the accusation, but its refutation was not made by then.", self.called)
        } else {
            format!("No refutation came, because {} never heard that it was accused.", self.called)
        };
        let step = self.story.push(began, text);
        step.details = details;
        step.packets.extend(accusing.iter().map(|p| p.id));
    }

    /// The member is held alive again: because of its refutation or its restart, and after which accusation.
    pub(super) fn alive_again(&mut self, verdict: &'a Event, incarnation: u64) {
        self.heard_again(verdict);
        let answer = self.trace.events.iter().rev().find(|e| {
            e.host == self.host
                && e.t <= verdict.t
                && match e.kind {
                    EventKind::Refuted { incarnation: i, .. } | EventKind::Started { incarnation: i, .. } => {
                        i.0 == incarnation
                    }
                    _ => false,
                }
        });
        if let Some(answer) = answer {
            self.answered(answer, incarnation);
            self.on_the_way(answer, verdict, incarnation);
        }
        let trace = self.trace;
        let accused = trace.events.iter().rfind(|e| {
            e.host == verdict.host
                && e.t < verdict.t
                && matches!(e.kind, EventKind::MemberChanged { member, to, .. } if member == self.member && to != State::Alive)
        });
        if let Some(accused) = accused {
            self.changed(accused);
        }
    }

    /// How the news arrived: straight from the member, or by word of others.
    fn heard_again(&mut self, verdict: &'a Event) {
        let packet = self.packet_of(verdict);
        let EventKind::MemberChanged { why, from, incarnation, .. } = &verdict.kind else { return };
        let by = match why {
            Why::Rumor { from } if *from != self.member => format!("{} told it so", self.trace.called(from)),
            _ => format!("{} itself said so", self.called),
        };
        let with = packet.map_or_else(String::new, |p| format!(" ({})", super::chain::named(p)));
        let before = from.map_or("unknown", super::chain::held);
        let text = format!(
            "{} holds {} alive again, in incarnation {incarnation}, after it had held it {before}: {by}{with}.",
            verdict.host, self.called
        );
        self.story.push(verdict.t, text).packets.extend(packet.map(|p| p.id));
    }

    /// The fates of the packets that should have brought the answer earlier.
    fn on_the_way(&mut self, answer: &'a Event, verdict: &'a Event, incarnation: u64) {
        let trace = self.trace;
        let late = trace.packets.values().filter(|p| {
            (answer.t..verdict.t).contains(&p.t)
                && p.to.as_deref() == Some(verdict.host.as_str())
                && self.carries(p, incarnation)
                && trace.trouble(p).is_some()
        });
        let late: Vec<&'a Packet> = late.collect();
        if late.is_empty() {
            return;
        }
        let details = self.fates(&late, &verdict.host);
        let text = format!("The news did not reach {} at once.", verdict.host);
        let step = self.story.push(answer.t, text);
        step.details = details;
        step.packets.extend(late.iter().map(|p| p.id));
    }

    /// The member's answer and the accusation that it answered.
    fn answered(&mut self, answer: &'a Event, incarnation: u64) {
        let packet = self.packet_of(answer);
        let text = match &answer.kind {
            EventKind::Refuted { accusation, .. } => {
                let by = packet
                    .map_or_else(String::new, |p| format!(" from {} ({})", p.from, super::chain::named(p)));
                format!(
                    "{} heard{by} that it was called {accusation} and refuted it: it took incarnation \
                     {incarnation}, which outweighs every accusation of a lower one.",
                    self.called
                )
            }
            _ => format!("{} started again, in incarnation {incarnation}.", self.called),
        };
        self.story.push(answer.t, text).packets.extend(packet.map(|p| p.id));
        let thaw = self.trace.last(answer.t, |act| act.name == "resume" && act.to.contains(&self.host));
        let stalled = self.trace.events.iter().any(|e| {
            e.host == self.host
                && e.t <= answer.t
                && e.t + 2_000_000_000 >= answer.t
                && matches!(e.kind, EventKind::Stalled { .. })
        });
        if let (Some((_, act)), true) = (thaw, stalled) {
            let text = format!("It could do so because it ran again: {}", act.text);
            self.story.push(act.t, text);
        }
    }
}
