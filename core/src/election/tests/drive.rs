//! Drives a bench from step to step, and asks it who leads.

use super::*;
use crate::model::ballot::{Body, Step, Verdict};

/// The number of a request that no member of a bench sends by itself.
const ROUND: u64 = 1 << 40;

impl Bench {
    /// Carries out events until none is left for this instant; messages arrive a millisecond later.
    pub(super) fn settle(&mut self) {
        let numbers: vec::Vec<u8> = self.members.keys().copied().collect();
        for n in numbers {
            while let Some(event) = self.with(n, |elections, _| elections.poll_event()).flatten() {
                match event {
                    ElectionsEvent::Send { to, message } => {
                        self.sent += 1;
                        self.assert_stored(n, to, &message);
                        let ms = self.chance.between(1, self.delay_ms_max.max(1));
                        let at = self.now + Duration::from_millis(ms);
                        self.wire.push_back((at, n, to.as_bytes()[0], message));
                    }
                    ElectionsEvent::Store { election, write } => {
                        let at = self.now + STEP * self.members[&n].disk_steps;
                        self.stores.push_back(Pending { at, owner: n, election, write });
                    }
                    ElectionsEvent::Role { election, role, .. } => {
                        if election.purpose == ElectionPurpose::Leader {
                            self.follow(n, role);
                        }
                    }
                    ElectionsEvent::Yield { election } => {
                        if election.purpose == ElectionPurpose::Update {
                            self.with(n, |elections, ctx| elections.handle_demoted(ctx, &election));
                        } else if self.members[&n].demotes {
                            self.demoted(n);
                        }
                    }
                    ElectionsEvent::Tell { outcome, .. } => self.told.push_back(outcome),
                }
            }
        }
    }

    /// A promise is on the disk of the voter before it is given, and a list on the disk of the leader that tells it.
    fn assert_stored(&self, n: u8, to: MemberId, message: &Message) {
        let row = || self.row(n, &message.election).expect("it was stored");
        match &message.body {
            Body::Answer { to: Step::Vote, verdict: Verdict::Yes, .. } => {
                let (term, candidate) = (row().term, row().candidate);
                assert!(
                    term > message.term || (term, candidate) == (message.term, Some(to)),
                    "{n}: {message:?}"
                );
            }
            Body::Answer { to: Step::Renew, verdict: Verdict::Yes, .. } => {
                assert!(row().term >= message.term, "{n}: {message:?}");
            }
            Body::Renew { electorate, .. } if electorate.is_founded() => {
                assert!(row().electorate.stamp() >= electorate.stamp(), "{n}: {message:?}");
            }
            Body::Ask { .. }
            | Body::Vote { .. }
            | Body::Renew { .. }
            | Body::Answer { .. }
            | Body::Release { .. } => {}
        }
    }

    /// The row that its disk holds of an election.
    pub(super) fn row(&self, n: u8, election: &ElectionId) -> Option<Vote> {
        let rows = self.members[&n].disk.iter().map(|(key, value)| vote::decode(key, value));
        rows.map(|row| row.expect("its own row")).find(|(id, _)| id == election).map(|(_, row)| row)
    }

    /// The service does what its role asks of it; its guard knows how long it leads before it does so itself.
    pub(super) fn follow(&mut self, n: u8, role: Role) {
        let member = self.members.get_mut(&n).expect("a member");
        match role {
            Role::Leader { term, until } => {
                (member.acts_until, member.resume) = (Some(until), Some((term, until)));
            }
            Role::Follower { .. } | Role::Waiting { .. } if member.demotes => member.acts_until = None,
            Role::Follower { .. } | Role::Waiting { .. } => {}
        }
        member.role = Some(role);
    }

    pub(super) fn step(&mut self) {
        self.now = self.now + STEP;
        for pending in core::mem::take(&mut self.stores) {
            if pending.at > self.now {
                self.stores.push_back(pending);
                continue;
            }
            let Pending { owner, election, write, .. } = pending;
            let member = self.members.get_mut(&owner).expect("a member");
            let stored = !member.disk_fails;
            if stored {
                member.disk.insert(write.key, write.value.expect("votes are never deleted"));
            }
            self.with(owner, |elections, ctx| elections.handle_stored(ctx, &election, stored));
        }
        for (at, from, to, message) in core::mem::take(&mut self.wire) {
            if at > self.now {
                self.wire.push_back((at, from, to, message));
            } else if self.reaches(from, to) {
                self.with(to, |elections, ctx| elections.handle_message(ctx, id(from), message));
            }
        }
        for outcome in core::mem::take(&mut self.told) {
            let numbers: vec::Vec<u8> = self.members.keys().copied().collect();
            for n in numbers {
                if self.reaches(n, outcome.leader.as_bytes()[0]) {
                    self.with(n, |elections, ctx| elections.handle_outcome(ctx, &outcome));
                }
            }
        }
        let numbers: vec::Vec<u8> = self.members.keys().copied().collect();
        for n in numbers {
            self.with(n, |elections, ctx| {
                if is_due(elections.poll_timeout(), ctx.now) {
                    elections.handle_timeout(ctx);
                }
            });
        }
        self.settle();
        for purpose in ElectionPurpose::ALL {
            let acting = self.acting_for(purpose);
            assert!(acting.len() <= 1, "{acting:?} act for {purpose:?} at {}", self.now);
        }
        let processes = self.processes();
        assert!(processes.len() <= 1, "the processes of {processes:?} act at {}", self.now);
    }

    pub(super) fn run(&mut self, ms: u64) {
        for _ in 0..ms {
            self.step();
        }
    }

    /// A message of another member reaches this one.
    pub(super) fn hear(&mut self, n: u8, from: u8, term: u64, body: Body) {
        let message = Message { election: election(), term, round: ROUND, body };
        self.with(n, |elections, ctx| elections.handle_message(ctx, id(from), message));
        self.settle();
    }

    /// The same; its answer, if one comes within the time that a voter waits for better candidates.
    pub(super) fn answer(&mut self, n: u8, from: u8, term: u64, body: Body) -> Option<Verdict> {
        self.hear(n, from, term, body);
        for _ in 0..150 {
            let answer = self.wire.iter().find_map(|(_, by, to, message)| match &message.body {
                Body::Answer { verdict, .. } if (*by, *to, message.round) == (n, from, ROUND) => {
                    Some(verdict.clone())
                }
                _ => None,
            });
            if answer.is_some() {
                return answer;
            }
            self.step();
        }
        None
    }

    /// Runs for so long; the number of messages of a kind that a member sends meanwhile. They take a millisecond each.
    pub(super) fn count(&mut self, n: u8, ms: u64, is_counted: impl Fn(&Body) -> bool) -> usize {
        assert_eq!(self.delay_ms_max, 1, "each message is seen once");
        let mut sent = 0;
        for _ in 0..ms {
            self.step();
            sent += self.wire.iter().filter(|(_, from, _, m)| *from == n && is_counted(&m.body)).count();
        }
        sent
    }

    /// Runs until a member leads; returns how long that took, in milliseconds.
    pub(super) fn elect(&mut self, ms_max: u64) -> (u8, u64) {
        for ms in 0..ms_max {
            if let Some(leader) = self.acting().first() {
                return (*leader, ms);
            }
            self.step();
        }
        panic!("no member leads after {ms_max} ms");
    }

    pub(super) fn view(&self, n: u8) -> Option<ElectionView> {
        self.view_of(n, ElectionPurpose::Leader)
    }

    pub(super) fn view_of(&self, n: u8, purpose: ElectionPurpose) -> Option<ElectionView> {
        let views = self.members[&n].elections.as_ref()?.views(self.now);
        views.into_iter().find(|view| view.election.purpose == purpose)
    }

    /// The members a process of which acts as the leader, whatever has become of their supervisors.
    pub(super) fn processes(&self) -> vec::Vec<u8> {
        let acts = |member: &Member| member.acts_until.is_some_and(|until| until > self.now);
        self.members.iter().filter(|(_, member)| acts(member)).map(|(n, _)| *n).collect()
    }

    pub(super) fn term(&self, n: u8) -> u64 {
        self.view(n).expect("a view").term
    }

    pub(super) fn acting(&self) -> vec::Vec<u8> {
        self.acting_for(ElectionPurpose::Leader)
    }

    pub(super) fn acting_for(&self, purpose: ElectionPurpose) -> vec::Vec<u8> {
        let acts = |n: &u8| {
            let view = self.view_of(*n, purpose);
            view.is_some_and(|view| view.acting_until.is_some_and(|until| until > self.now))
        };
        self.members.keys().copied().filter(acts).collect()
    }
}
