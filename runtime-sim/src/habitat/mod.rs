//! A model of how a ring elects leaders by Habitat's published rules, to set beside ours on the same faults.
//!
//! It is a model, not a port: time goes in ticks, one rumor store per member, no packets. It keeps the rules that
//! decide about leaders: which members count for quorum, how candidacies are joined, when an election is restarted,
//! how long a member is doubted before it is held dead, and that a healed netsplit needs a permanent peer. Where it
//! simplifies, it favours Habitat: hot rumors never cool, a push reaches every member that can be reached, disks keep
//! every rumor, no member is slow, and only a cut loses packets of an established exchange.
//!
//! The model leaves out slow processors, clocks that run apart, and copied or old disks, because they only make
//! Habitat's results worse.

mod election;
mod health;
mod reach;

use std::time::Duration;

use annulus_core::{Instant, Rng};

use crate::action::{Action, Calm, HostId, LoadService};
use crate::scenario::Plan;
use election::{Election, Status};
use health::{Health, View};
use reach::Reach;

/// One step of the model. Habitat's own loops are slower: 500 ms and more.
const TICK_MS: u64 = 100;
/// Between two pushes of rumors, and between two looks at the election.
const ROUND_MS: u64 = 1_000;
/// Members that one push goes to.
const FANOUT: usize = 5;

/// A member of the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Voter {
    /// Where its supervisor runs.
    pub host: HostId,
    /// The number of its suitability hook.
    pub suitability: u64,
    /// When its service is loaded.
    pub loaded: Instant,
}

/// The figures of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Times that a member began to lead.
    pub elections: u64,
    /// Times that the new leader was another member than the one before.
    pub changes: u64,
    /// How long no member acted between two leaders, each time.
    pub without_leader: Vec<Duration>,
    /// How long two or more members acted as leader at once, in all.
    pub two_leaders: Duration,
}

/// The members of the first group with a leader that `plan` loads services of.
#[must_use]
pub fn voters(plan: &Plan) -> Vec<Voter> {
    let mut voters: Vec<Voter> = Vec::new();
    let mut group: Option<(&str, Option<&str>)> = None;
    for timed in &plan.actions {
        if let Action::LoadService(LoadService { host, service, how }) = &timed.action
            && how.leader
            && *group.get_or_insert((service, how.group.as_deref())) == (service, how.group.as_deref())
            && voters.iter().all(|voter| voter.host != *host)
        {
            let suitability = how.suitability.unwrap_or(0);
            voters.push(Voter { host: *host, suitability, loaded: timed.time });
        }
    }
    voters
}

/// Runs the faults of `plan` over the group that `voters` form, until `end`.
#[must_use]
pub fn run(plan: &Plan, voters: &[Voter], end: Instant) -> Figures {
    let mut model = Model::new(plan, voters);
    let mut actions = plan.actions.iter().peekable();
    let mut now = Instant::from_millis(0);
    while now < end {
        while let Some(timed) = actions.next_if(|timed| timed.time <= now) {
            model.act(now, &timed.action);
        }
        model.tick(now);
        now = now + Duration::from_millis(TICK_MS);
    }
    model.figures
}

/// One supervisor of the group.
struct Node {
    voter: Voter,
    view: View,
    election: Option<Election>,
    /// It was the leader when its templates were last rendered in a finished election: its process acts.
    acts: bool,
    next_push: Instant,
}

struct Model {
    reach: Reach,
    nodes: Vec<Node>,
    /// The members' names as they compare: Habitat's are random.
    names: Vec<u64>,
    rng: Rng,
    figures: Figures,
    last_leader: Option<usize>,
    leaderless_since: Option<Instant>,
}

impl Model {
    fn new(plan: &Plan, voters: &[Voter]) -> Self {
        let mut key = [0x4a; 32];
        key[..8].copy_from_slice(&plan.seed.to_le_bytes());
        let mut rng = Rng::from_seed(key);
        let permanent: Vec<bool> = voters
            .iter()
            .map(|voter| plan.hosts.get(voter.host.0 as usize).is_some_and(|host| host.permanent))
            .collect();
        let nodes = voters.iter().enumerate().map(|(me, voter)| Node {
            voter: *voter,
            view: View::new(me, permanent.clone(), plan.hosts.len(), &mut rng),
            election: None,
            acts: false,
            next_push: Instant::from_millis(rng.below(ROUND_MS)),
        });
        let nodes: Vec<Node> = nodes.collect();
        let names = nodes.iter().map(|_| rng.next_u64()).collect();
        Self {
            reach: Reach::new(plan.hosts.len()),
            nodes,
            names,
            rng,
            figures: Figures::default(),
            last_leader: None,
            leaderless_since: None,
        }
    }

    fn act(&mut self, now: Instant, action: &Action) {
        for host in self.reach.act(action) {
            let Some(me) = self.nodes.iter().position(|node| node.voter.host == host) else { continue };
            match action {
                Action::Restart(_) | Action::Join(_) | Action::Calm(Calm) => {
                    self.nodes[me].view.restarted(now)
                }
                // A departing member says farewell to the members that it reaches.
                Action::Leave(_) => self.farewell(now, me),
                _ => {}
            }
            // A process does not outlive its supervisor's host, nor a supervisor that leaves.
            self.nodes[me].acts = false;
        }
    }

    fn farewell(&mut self, now: Instant, me: usize) {
        let incarnation = self.nodes[me].view.depart();
        for other in 0..self.nodes.len() {
            if other != me && self.passes_at_leave(me, other) {
                self.nodes[other].view.hear(now, me, incarnation, Health::Departed);
            }
        }
    }

    /// Whether a last message passes: the sender counts as down already.
    fn passes_at_leave(&self, from: usize, to: usize) -> bool {
        self.reach.is_open(self.nodes[from].voter.host, self.nodes[to].voter.host)
            && self.reach.runs(self.nodes[to].voter.host)
    }

    fn passes(&self, from: usize, to: usize) -> bool {
        self.reach.passes(self.nodes[from].voter.host, self.nodes[to].voter.host)
    }

    fn tick(&mut self, now: Instant) {
        for me in 0..self.nodes.len() {
            if !self.reach.runs(self.nodes[me].voter.host) {
                continue;
            }
            self.probe(now, me);
            self.nodes[me].view.expire(now);
            if self.nodes[me].next_push <= now {
                self.nodes[me].next_push = now + Duration::from_millis(ROUND_MS);
                self.push(now, me);
                self.look(now, me);
            }
        }
        self.measure(now);
    }

    /// One member after the other, 3.1 s for each, whether it is of the group or not.
    fn probe(&mut self, now: Instant, me: usize) {
        let Some(target) = self.nodes[me].view.next_probe(now, &mut self.rng) else { return };
        let (mine, theirs) = (self.nodes[me].voter.host, self.nodes[target].voter.host);
        if self.reach.answers(mine, theirs) {
            let incarnation = self.nodes[target].view.incarnation();
            self.nodes[me].view.contact(now, target, incarnation);
            // The ping carries the state that its sender holds of the receiver, and the receiver refutes it.
            let held = self.nodes[me].view.held(target);
            self.nodes[target].view.hear(now, target, held.0, held.1);
            let incarnation = self.nodes[me].view.incarnation();
            self.nodes[target].view.contact(now, me, incarnation);
        } else if !self.reach.answers_by_relay(mine, theirs) {
            self.nodes[me].view.suspect(now, target);
        }
    }

    /// Sends every rumor to some of the members that are not held dead.
    fn push(&mut self, now: Instant, me: usize) {
        let mut targets = self.nodes[me].view.pingable();
        self.rng.shuffle(&mut targets);
        for target in targets.into_iter().take(FANOUT) {
            if !self.passes(me, target) || !self.passes(target, me) {
                continue;
            }
            for about in 0..self.nodes.len() {
                let (incarnation, health) = self.nodes[me].view.held(about);
                self.told(now, target, about, incarnation, health);
            }
            if let Some(rumor) = self.nodes[me].election.clone() {
                self.receive(now, target, &rumor);
            }
        }
    }

    /// Takes in a rumor about a member. A death on hearsay is looked into first.
    fn told(&mut self, now: Instant, me: usize, about: usize, incarnation: u64, health: Health) {
        let held = self.nodes[me].view.held(about);
        let doubted = health == Health::Confirmed && held.1 <= Health::Suspect && incarnation >= held.0;
        let (mine, theirs) = (self.nodes[me].voter.host, self.nodes[about].voter.host);
        if about != me && doubted && self.reach.answers(mine, theirs) {
            // The ping says what state its sender holds of the receiver, and the ack carries the refutation.
            self.nodes[about].view.hear(now, about, incarnation, health);
            let incarnation = self.nodes[about].view.incarnation();
            self.nodes[me].view.contact(now, about, incarnation);
        } else {
            self.nodes[me].view.hear(now, about, incarnation, health);
        }
    }

    fn is_voter(&self, now: Instant, who: usize) -> bool {
        self.nodes[who].voter.loaded <= now
    }

    /// More than half of the group's members that are not departed are alive in this member's view.
    fn has_quorum(&self, now: Instant, me: usize) -> bool {
        let group = (0..self.nodes.len()).filter(|who| self.is_voter(now, *who));
        let healths = group.map(|who| self.nodes[me].view.held(who).1);
        let known: Vec<Health> = healths.filter(|h| *h != Health::Departed).collect();
        let alive = known.iter().filter(|h| **h == Health::Alive).count();
        alive > known.len() / 2
    }

    fn electorate(&self, now: Instant, me: usize) -> Vec<usize> {
        let alive = |who: &usize| self.nodes[me].view.held(*who).1 == Health::Alive;
        (0..self.nodes.len()).filter(|who| self.is_voter(now, *who)).filter(alive).collect()
    }

    fn start(&mut self, now: Instant, me: usize, term: u64, suitability: u64) {
        let quorum = self.has_quorum(now, me);
        self.nodes[me].election = Some(Election::candidacy(me, term, suitability, quorum));
    }

    fn receive(&mut self, now: Instant, me: usize, rumor: &Election) {
        let mut incoming = rumor.clone();
        if self.is_voter(now, me) {
            let hook = self.nodes[me].voter.suitability;
            match self.nodes[me].election.as_ref().map(|held| (held.term, held.candidate)) {
                None => self.start(now, me, incoming.term, hook),
                Some((term, candidate)) if incoming.term > term => {
                    if candidate == me {
                        self.start(now, me, incoming.term, u64::MAX);
                    } else if incoming.candidate == candidate {
                        self.start(now, me, incoming.term, hook);
                    } else {
                        return;
                    }
                }
                Some(_) => {}
            }
            let quorum = self.has_quorum(now, me);
            if incoming.candidate == me {
                let electorate = self.electorate(now, me);
                incoming.count(&electorate, quorum);
            }
            if incoming.status != Status::Finished {
                incoming.status = if quorum { Status::Running } else { Status::NoQuorum };
            }
        }
        match &mut self.nodes[me].election {
            Some(held) => held.merge(&incoming, &self.names),
            none => *none = Some(incoming),
        }
    }

    /// Once a second: whether the election of the group has to be started or started again.
    fn look(&mut self, now: Instant, me: usize) {
        if !self.is_voter(now, me) {
            return;
        }
        let hook = self.nodes[me].voter.suitability;
        let Some(held) = self.nodes[me].election.clone() else { return self.start(now, me, 0, hook) };
        if held.candidate == me && held.status != Status::Finished {
            // The member's own rumor comes back to it, if only from itself.
            self.receive(now, me, &held);
        }
        if held.status == Status::Finished {
            let leads = held.candidate == me;
            let dead = !leads && self.nodes[me].view.held(held.candidate).1 >= Health::Confirmed;
            if dead || (leads && !self.has_quorum(now, me)) {
                self.start(now, me, held.term + 1, if leads { u64::MAX } else { hook });
            }
        }
        if let Some(held) = &self.nodes[me].election
            && held.status == Status::Finished
        {
            // Only a finished election reaches the service's process: a leader that lost its quorum goes on acting.
            self.nodes[me].acts = held.candidate == me;
        }
    }

    fn measure(&mut self, now: Instant) {
        let loaded = self.nodes.iter().map(|node| node.voter.loaded).max();
        if loaded.is_none_or(|loaded| loaded > now) {
            return;
        }
        let acting: Vec<usize> = (0..self.nodes.len())
            .filter(|who| self.nodes[*who].acts && self.reach.runs(self.nodes[*who].voter.host))
            .collect();
        if acting.len() > 1 {
            self.figures.two_leaders += Duration::from_millis(TICK_MS);
        }
        match (acting.first(), self.leaderless_since) {
            (None, None) => self.leaderless_since = Some(now),
            (Some(leader), since) => {
                if let Some(since) = since {
                    if self.last_leader.is_some() {
                        self.figures.without_leader.push(now.saturating_since(since));
                    }
                    self.figures.elections += 1;
                    self.leaderless_since = None;
                }
                // With two leaders, the one that led before still counts.
                let same = self.last_leader.is_some_and(|last| acting.contains(&last));
                if !same {
                    self.figures.changes += u64::from(self.last_leader.is_some());
                    self.last_leader = Some(*leader);
                }
            }
            (None, Some(_)) => {}
        }
    }
}

#[cfg(test)]
mod tests;
