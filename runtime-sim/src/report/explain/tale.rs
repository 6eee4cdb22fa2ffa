//! What the explanations of groups, services and versions have in common: an event in words, the events that led to it,
//! and the fates of many packets, counted.

use std::collections::{BTreeMap, BTreeSet};

use annulus_core::{ElectionEvent, EventKind, LeaseEnd, MemberId, RumorKey, ServiceState};

use super::fate::{Fate, time};
use super::load::{Act, Event, Nanos, Packet, Trace};
use super::tell::Story;

/// Events that a cause is followed back through.
const LINKS_MAX: usize = 24;
/// An action that led to an event at the same host came at most so long before it.
const SOON: Nanos = 2_000_000_000;

/// An ordered stop, with all that it waits for, takes at most so long.
const ORDERLY: Nanos = 60_000_000_000;
/// Digits of a member's id where a text shortens it.
const SHORT: usize = 8;

/// Whether operators give it, by hand.
fn is_given(key: &RumorKey) -> bool {
    matches!(key.name(), "service_config" | "service_file")
}

/// A story in the making.
pub(super) struct Tale<'a> {
    pub(super) trace: &'a Trace,
    /// Actions that are to blame.
    pub(super) faults: BTreeSet<usize>,
    pub(super) story: Story,
    /// Events that were told.
    told: BTreeSet<*const Event>,
}

impl<'a> Tale<'a> {
    pub(super) fn new(trace: &'a Trace, question: String) -> Self {
        let story = Story { question, steps: Vec::new(), faults: Vec::new() };
        Self { trace, faults: BTreeSet::new(), story, told: BTreeSet::new() }
    }

    /// The story with the actions that are to blame.
    pub(super) fn end(mut self) -> Story {
        for index in &self.faults {
            if let Some(act) = self.trace.acts.get(*index) {
                self.story.faults.push((act.t, act.text.clone()));
            }
        }
        self.story
    }

    pub(super) fn blame(&mut self, fate: Fate) -> String {
        self.faults.extend(fate.fault);
        fate.words
    }

    /// Blames the last action of one of these names at a host that came before `t`, about the service if it names one.
    pub(super) fn blame_act(
        &mut self,
        names: &[&str],
        host: &str,
        service: Option<&str>,
        t: Nanos,
    ) -> Option<&'a Act> {
        let trace = self.trace;
        let fits = |act: &Act| {
            names.contains(&act.name.as_str())
                && act.to.iter().any(|to| to == host)
                && (service.is_none() || act.service.is_none() || act.service.as_deref() == service)
        };
        let (index, act) = trace.last(t, fits)?;
        self.faults.insert(index);
        Some(act)
    }

    /// The fates of packets in words, each with how many had it. Those that arrived are told as `arrived` says.
    pub(super) fn fates(
        &mut self,
        packets: &[&'a Packet],
        arrived: &dyn Fn(&Packet) -> String,
    ) -> Vec<String> {
        let mut counts: BTreeMap<String, (usize, u64)> = BTreeMap::new();
        for packet in packets {
            let words = match self.trace.trouble(packet) {
                Some(fate) => self.blame(fate),
                None => arrived(packet),
            };
            counts.entry(words).or_insert((0, packet.id)).0 += 1;
        }
        let told = |(words, (count, first)): (String, (usize, u64))| match count {
            1 => format!("packet {first}: {words}"),
            count => format!("{count} packets, the first of them {first}: {words}"),
        };
        counts.into_iter().map(told).collect()
    }

    /// Tells an event and the events that led to it, as far as the trace knows them.
    pub(super) fn follow(&mut self, event: &'a Event) {
        self.follow_until(event, &|_| false);
    }

    /// As `follow`, up to the event before the first one that is an end.
    pub(super) fn follow_until(&mut self, event: &'a Event, is_end: &dyn Fn(&Event) -> bool) {
        let mut next = Some(event);
        for _ in 0..LINKS_MAX {
            let Some(event) = next.filter(|event| !is_end(event)) else { break };
            if !self.told.insert(std::ptr::from_ref(event)) {
                return;
            }
            let packet = self.packet_of(event);
            if let Some(words) = self.words(event) {
                let by = packet.map_or_else(String::new, |p| format!(" ({})", super::chain::named(p)));
                let step = self.story.push(event.t, format!("{words}{by}."));
                step.packets.extend(packet.map(|packet| packet.id));
            }
            self.roots(event);
            next = match event.after {
                Some(id) => self.trace.event_of(event, id),
                None => self.source(event),
            };
        }
    }

    /// The event with which the teller of a rumor had taken it.
    fn source(&self, event: &Event) -> Option<&'a Event> {
        let EventKind::RumorAccepted { key, from: Some(from) } = &event.kind else { return None };
        let teller = self.trace.host_of(from)?;
        let mut theirs = self.trace.events.iter().filter(|other| {
            other.host == teller
                && other.t <= event.t
                && matches!(&other.kind, EventKind::RumorAccepted { key: same, .. } if same == key)
        });
        theirs.next_back()
    }

    /// A rumor's key in words, its owner by the name of its host.
    fn key(&self, key: &RumorKey) -> String {
        let text = key.to_string();
        let Some(owner) = key.owner() else { return text };
        let id = owner.to_string();
        let short: String = id.chars().take(SHORT).collect();
        text.replace(&id, &self.trace.called(owner)).replace(&short, &self.trace.called(owner))
    }

    /// The packet that led to an event.
    fn packet_of(&self, event: &Event) -> Option<&'a Packet> {
        let id = self.trace.received.get(&(event.host.clone(), event.life, event.input))?;
        self.trace.packets.get(id)
    }

    /// Blames the action that an event came of, where one did.
    fn roots(&mut self, event: &Event) {
        let host = event.host.as_str();
        match &event.kind {
            EventKind::ServiceChanged { service, to, .. } => {
                let names: &[&str] = match to {
                    Some(ServiceState::Loaded | ServiceState::Starting) => {
                        &["load-service", "start-service", "update-service"]
                    }
                    Some(ServiceState::Backoff | ServiceState::Failed) => {
                        &["crash-service", "kill-guard", "package"]
                    }
                    Some(ServiceState::Stopping | ServiceState::Down) | None => {
                        &["stop-service", "unload-service", "update-service", "leave"]
                    }
                    _ => return,
                };
                let recent = self.trace.last(event.t, |act| {
                    names.contains(&act.name.as_str())
                        && act.to.iter().any(|to| to == host)
                        && act.service.as_deref().is_none_or(|of| of == service.as_str())
                        && act.t + SOON >= event.t
                });
                self.faults.extend(recent.map(|(index, _)| index));
            }
            EventKind::Leaving => {
                self.blame_act(&["leave", "depart"], host, None, event.t);
            }
            EventKind::Started { .. } => {
                self.blame_act(&["restart", "crash", "kill", "kill-launcher"], host, None, event.t);
            }
            EventKind::Election {
                what: ElectionEvent::HandedOver { .. } | ElectionEvent::Lost { .. },
                election,
                ..
            } => {
                let service = Some(election.group.service());
                let names = [
                    "leave",
                    "stop-service",
                    "unload-service",
                    "drain-service",
                    "update-service",
                    "maintain-service",
                    "crash-service",
                    "kill-guard",
                    "package",
                ];
                let recent = self.trace.last(event.t, |act| {
                    names.contains(&act.name.as_str())
                        && act.to.iter().any(|to| to == host)
                        && (act.service.is_none() || act.service.as_deref() == service)
                        && act.t + ORDERLY >= event.t
                });
                self.faults.extend(recent.map(|(index, _)| index));
            }
            EventKind::RumorAccepted { key, from: None } if is_given(key) => {
                let recent = self.trace.last(event.t, |act| {
                    act.name == "give" && act.to.iter().any(|to| to == host) && act.t + SOON >= event.t
                });
                self.faults.extend(recent.map(|(index, _)| index));
            }
            EventKind::MemberChanged { member, .. } => {
                if let Some(of) = self.trace.host_of(member).map(str::to_owned)
                    && let Some((since, _)) = self.trace.down(&of, event.t)
                {
                    self.blame_act(&["crash", "kill", "leave", "depart", "kill-launcher"], &of, None, since);
                }
            }
            _ => {}
        }
    }

    /// An event as the beginning of a sentence; none when it explains nothing.
    fn words(&self, event: &Event) -> Option<String> {
        let host = &event.host;
        Some(match &event.kind {
            EventKind::Election { election, term, what } => {
                self.step(host, &election.to_string(), *term, what)?
            }
            EventKind::ServiceChanged { service, to, reason, .. } => {
                let because = if reason.is_empty() { String::new() } else { format!(": {reason}") };
                match to {
                    Some(ServiceState::Stopping) => format!("{host} told {service} to stop{because}"),
                    Some(ServiceState::Starting) => format!("{host} made {service} ready{because}"),
                    Some(ServiceState::Loaded) => format!("{service} was loaded on {host}{because}"),
                    Some(state) => {
                        format!("{service} on {host} came into the state {}{because}", state.name())
                    }
                    None => format!("{service} is no longer loaded on {host}{because}"),
                }
            }
            EventKind::MemberChanged { member, to, .. } => {
                format!("{host} came to hold {} {}", self.trace.called(member), super::chain::held(*to))
            }
            EventKind::RumorAccepted { key, from } => match from {
                Some(from) => {
                    format!("{host} took news of the {} from {}", self.key(key), self.trace.called(from))
                }
                None if is_given(key) => format!("an operator gave {host} the {}", self.key(key)),
                None => return None,
            },
            EventKind::Started { restored, .. } => {
                let what = if *restored { "with what its disk remembered" } else { "with an empty disk" };
                format!("the supervisor on {host} started, {what}")
            }
            EventKind::Stalled { for_ms } => format!("{host} had not run for {}", time(for_ms * 1_000_000)),
            EventKind::Leaving => format!("{host} was asked to leave the ring"),
            EventKind::Synced { with, .. } => {
                format!("{host} compared what it knows with {}", self.trace.called(with))
            }
            EventKind::ProbeFailed { member, .. } => {
                format!("{host}'s probe of {} got no answer on any path", self.trace.called(member))
            }
            _ => return None,
        })
    }

    /// A step of an election as the beginning of a sentence.
    pub(super) fn step(&self, host: &str, group: &str, term: u64, what: &ElectionEvent) -> Option<String> {
        let called = |member: &MemberId| self.trace.called(member);
        Some(match what {
            ElectionEvent::Started => format!("{host} found {group} without a leader and asked for votes"),
            ElectionEvent::Voted { candidate } => {
                format!("{host} voted for {} in term {term} of {group}", called(candidate))
            }
            ElectionEvent::Won { votes, voters } => {
                format!("{host} won term {term} of {group} with {votes} of {voters} votes")
            }
            ElectionEvent::Resumed => {
                format!("{host} went on leading {group} in term {term} after its restart")
            }
            ElectionEvent::Learned { leader } => {
                format!("{host} learned that {} leads {group} in term {term}", called(leader))
            }
            ElectionEvent::Lost { why: LeaseEnd::NoQuorum } => {
                format!(
                    "{host} gave up leading {group} in term {term}: too few voters renewed its lease in time"
                )
            }
            ElectionEvent::Lost { why: LeaseEnd::Outdone } => {
                format!("{host} stopped leading {group}: another member leads in a later term than {term}")
            }
            ElectionEvent::HandedOver { to: Some(to) } => {
                format!("{host} handed {group} over to {} after term {term}", called(to))
            }
            ElectionEvent::HandedOver { to: None } => {
                format!("{host} stopped leading {group} after term {term} and knew no member that could")
            }
            ElectionEvent::ElectorateChanged { .. } => return None,
        })
    }
}
