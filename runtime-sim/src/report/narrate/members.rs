//! Judgements of members in sentences: which member is the first to judge, and when all agree.

use annulus_core::{Incarnation, Instant, MemberId, State, Why};

use super::{FailedProbe, Narrator, Spreading};
use crate::action::HostId;

impl Narrator {
    pub(super) fn member_changed(
        &mut self,
        at: Instant,
        host: HostId,
        member: MemberId,
        (from, to): (Option<State>, State),
        incarnation: Incarnation,
        why: &Why,
    ) {
        self.views.hold(host, member, Some(to));
        if self.members.get(&host) == Some(&member) {
            return self.check_whole(at);
        }
        if from != Some(to) && from.is_some() {
            if !self.spreading.contains_key(&(member, to)) {
                // The story of the host's former member is over.
                self.spreading.retain(|(other, _), _| *other != member);
                if to == State::Alive {
                    self.accusers_told.remove(&member);
                }
                self.spreading.insert((member, to), Spreading { first: at, all_told: false });
                self.first(at, host, member, to, incarnation, why);
            }
            self.check_all(at, member, to);
        }
        self.check_whole(at);
    }

    /// `host` is the first to hold `member` so.
    fn first(
        &mut self,
        at: Instant,
        host: HostId,
        member: MemberId,
        to: State,
        incarnation: Incarnation,
        why: &Why,
    ) {
        let (name, subject) = (self.name(host).to_owned(), self.who(&member));
        let text = match (to, why) {
            (State::Suspect, Why::ProbeFailed) => {
                format!("{name} suspects {subject}: {}.", self.silence(host, member))
            }
            (State::Confirmed, Why::SuspicionExpired { accusers }) => {
                let accused = if *accusers == 1 {
                    String::from("no other member could reach it or speak for it")
                } else {
                    format!("{accusers} members accused it and none spoke for it")
                };
                format!("{name} gives {subject} up for dead: while the suspicion lasted, {accused}.")
            }
            (State::Departed, Why::GoneTooLong) => {
                format!("{name} counts {subject} as gone: it has been dead too long.")
            }
            (State::Departed, _) => format!("{name} hears that {subject} is no longer of the ring."),
            (State::Alive, Why::Contact) => {
                format!(
                    "{name} hears from {subject} itself and holds it alive again (incarnation {incarnation})."
                )
            }
            (State::Alive, Why::Rumor { from }) => {
                let from = self.who(from);
                let teller = if from == subject { String::from("itself") } else { format!("through {from}") };
                format!(
                    "{name} hears {teller} that {subject} is alive after all (incarnation {incarnation}).",
                )
                .replace("hears itself that", "hears from it that")
            }
            (state, Why::Rumor { from }) => {
                let word = match state {
                    State::Suspect => "is suspected",
                    _ => "is held dead",
                };
                format!("{name} hears from {} that {subject} {word}.", self.who(from))
            }
            (state, _) => format!("{name} now holds {subject} {state}."),
        };
        self.say(at, &text);
    }

    /// Why `host` got no answer from `member`.
    fn silence(&self, host: HostId, member: MemberId) -> String {
        match self.probes.get(&(host, member)) {
            Some(FailedProbe { refused: true, .. }) => {
                String::from("its host answered that no supervisor listens there")
            }
            Some(FailedProbe { asked_others: true, nacks: 0, .. }) => {
                String::from("its ping got no answer, and asking others to try brought none either")
            }
            Some(FailedProbe { asked_others: true, nacks: 1, .. }) => String::from(
                "its ping got no answer, and another member that it asked could not reach it either",
            ),
            Some(FailedProbe { asked_others: true, nacks, .. }) => {
                format!(
                    "its ping got no answer, and {nacks} other members that it asked could not reach it either"
                )
            }
            _ => String::from("its ping got no answer, and there was no other member to ask"),
        }
    }

    pub(super) fn suspicion_confirmed(&mut self, at: Instant, member: MemberId, by: MemberId, accusers: u32) {
        let told = self.accusers_told.entry(member).or_insert(1);
        if accusers > *told {
            *told = accusers;
            let text = format!(
                "{} cannot reach {} either: {accusers} members accuse it, so it has less time to answer.",
                self.who(&by),
                self.who(&member)
            );
            self.say(at, &text);
        }
    }

    /// Whether by now every running member holds `member` so.
    pub(super) fn check_all(&mut self, at: Instant, member: MemberId, state: State) {
        let several = self.views.running() > 2;
        let all_hold = self.views.all_hold(member, state, self.hosts.get(&member).copied());
        let Some(spreading) = self.spreading.get_mut(&(member, state)) else { return };
        if !all_hold || spreading.all_told || !several {
            return;
        }
        spreading.all_told = true;
        let after = at.saturating_since(spreading.first).as_millis();
        let who = self.who(&member);
        let what = match state {
            State::Alive => format!("knows that {who} is alive"),
            State::Suspect => format!("has heard that {who} is suspected"),
            State::Confirmed => format!("holds {who} dead"),
            State::Departed => format!("knows that {who} is gone"),
        };
        let text =
            format!("every running member {what}, {}.{:03}s after the first.", after / 1000, after % 1000);
        self.say(at, &text);
    }

    /// Whether by now every running member holds every other one alive.
    pub(super) fn check_whole(&mut self, at: Instant) {
        let whole = self.views.is_whole();
        if whole && !self.whole {
            let text = match self.views.running() {
                2 => String::from("the ring is whole: both members hold each other alive."),
                all => format!("the ring is whole: all {all} members hold each other alive."),
            };
            self.say(at, &text);
        }
        self.whole = whole;
    }

    pub(super) fn local_health(&mut self, at: Instant, host: HostId, score: u32) {
        let name = self.name(host);
        // One failed probe raises the score to one; that is no news beside the suspicion itself.
        let (text, changed) = match score {
            0 => (format!("{name} trusts its own connection again."), self.struggling.remove(&host)),
            1 => return,
            _ => (
                format!(
                    "{name} doubts its own connection (health score {score}) and gives others more time."
                ),
                self.struggling.insert(host),
            ),
        };
        if changed {
            self.say(at, &text);
        }
    }
}
