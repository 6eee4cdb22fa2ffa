//! Whether what a scenario expects holds, by looking into the nodes and listening to what they report.

use std::time::Duration;

use annulus_core::{EventKind, Incarnation, Instant, MemberId, RumorKey, ServiceName, ServiceState, State};

use super::plan::{Expectation, Leads, Plan, What, When, Who};
use super::schema::EventWord;
use crate::action::HostId;
use crate::action::world::Record;
use crate::engine::host::HostState;
use crate::engine::record;
use crate::engine::scene::Scene;

/// An expectation that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmet {
    /// The line of the file.
    pub line: usize,
    /// The expectation in the file's words.
    pub text: String,
    /// When it had to hold.
    pub when: When,
    /// When it was given up.
    pub at: Instant,
    /// How the world looked then.
    pub found: String,
}

/// Follows the expectations of one run.
#[derive(Debug)]
pub(crate) struct Judge<'p> {
    plan: &'p Plan,
    cases: Vec<Case<'p>>,
    /// Who every host was at the times with which expectations compare.
    remembered: Vec<(Instant, Vec<Identity>)>,
    /// How much later than a scenario says things may happen; zero in a simulated world.
    tolerance: Duration,
}

#[derive(Debug)]
struct Case<'p> {
    expectation: &'p Expectation,
    settled: bool,
    /// Whether it has been looked at.
    seen: bool,
    /// Events that count for `occurred` and `never`.
    heard: Option<String>,
    /// Since when one view has been shared.
    shared: Option<Instant>,
}

/// How often views are compared with each other, which costs too much to do after everything that happens.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The same for rings of more than [`BIG`] members, where it costs the square of their number.
const LOOK_EVERY_BIG: Duration = Duration::from_secs(2);
const BIG: usize = 200;

type Identity = Option<(MemberId, Incarnation)>;

impl<'p> Judge<'p> {
    pub(crate) fn new(plan: &'p Plan) -> Self {
        let cases = plan
            .expectations
            .iter()
            .map(|expectation| Case { expectation, settled: false, seen: false, heard: None, shared: None })
            .collect();
        Self { plan, cases, remembered: Vec::new(), tolerance: Duration::ZERO }
    }

    /// A judge of a real ring, in which everything may take this much longer.
    #[cfg(feature = "beds")]
    pub(crate) fn lenient(plan: &'p Plan, tolerance: Duration) -> Self {
        Self { tolerance, ..Self::new(plan) }
    }

    /// Every instant at which the world has to be looked at, whatever happens then.
    pub(crate) fn instants(&self) -> Vec<Instant> {
        let mut instants = Vec::new();
        for case in &self.cases {
            let when = case.expectation.when;
            instants.extend([when.start(), when.end()]);
            instants.extend(since(&case.expectation.what));
            if matches!(case.expectation.what, What::OneView { .. }) {
                let mut at = when.start();
                while at < when.end() {
                    instants.push(at);
                    at = at + if self.plan.hosts.len() > BIG { LOOK_EVERY_BIG } else { LOOK_EVERY };
                }
            }
        }
        instants
    }

    /// Whether nothing that happens can change any verdict.
    pub(crate) fn is_settled(&self) -> bool {
        self.cases.iter().all(|case| case.settled)
    }

    /// When each expectation of one view came true.
    pub(crate) fn shared_since(&self) -> Option<Instant> {
        self.cases.iter().filter_map(|case| case.shared).max()
    }

    /// Takes note of what a node reports.
    pub(crate) fn hear(&mut self, world: &dyn Scene, record: &Record) {
        let record::What::Event { host, event } = &record.what else { return };
        if let Some((word, subject)) = word_of(*host, &event.kind, |member| world.host_by_member(member)) {
            self.note(record.at, *host, word, subject);
        }
    }

    /// Takes note that the node on `host` reported this about `subject`; none: about a member of no host.
    pub(crate) fn note(&mut self, at: Instant, host: HostId, word: EventWord, subject: Option<HostId>) {
        for case in &mut self.cases {
            let What::Event { event, of, seen_by, occurred } = &case.expectation.what else { continue };
            let (start, end) = lenient(case.expectation.when, *occurred, self.tolerance);
            if case.heard.is_some() || *event != word || at < start || at > end {
                continue;
            }
            let named = |who: &Who, host: HostId| match who {
                Who::Running => true,
                Who::Hosts(hosts) => hosts.contains(&host),
            };
            let about = subject.is_some_and(|subject| named(of, subject)) || *of == Who::Running;
            if about && named(seen_by, host) {
                let subject = subject.map_or("a member of no host", |subject| self.plan.name(subject));
                case.heard = Some(format!(
                    "{} reported {} about {subject} at {at}",
                    self.plan.name(host),
                    word.word()
                ));
            }
        }
    }

    /// Looks at what must hold now. `ends`: it is the last look at this instant before anything else is done.
    pub(crate) fn look(&mut self, world: &dyn Scene, ends: bool) -> Result<(), Unmet> {
        let now = world.now();
        if ends && self.cases.iter().any(|case| since(&case.expectation.what) == Some(now)) {
            let all = self.plan.host_ids().map(|host| world.identity(host)).collect();
            self.remembered.push((now, all));
        }
        for index in 0..self.cases.len() {
            let case = &self.cases[index];
            let when = case.expectation.when;
            if case.settled || now < when.start() || now > when.end() {
                continue;
            }
            let last = ends && now == when.end();
            if matches!(when, When::At(_)) && !last {
                continue;
            }
            // What begins now is looked at after what is done now.
            if ends && now == when.start() && !last {
                continue;
            }
            if let What::OneView { lasting } = case.expectation.what {
                self.cases[index].seen = true;
                if !ends {
                    continue;
                }
                let case = &mut self.cases[index];
                let found = world.difference(&self.plan.host_ids().collect::<Vec<_>>());
                case.shared = if found.is_none() { case.shared.or(Some(now)) } else { None };
                case.settled = case.shared.is_some_and(|since| now >= since + lasting);
                if last && !case.settled {
                    let found = found.unwrap_or_else(|| String::from("one view came too late"));
                    return Err(unmet(self.cases[index].expectation, now, found));
                }
                continue;
            }
            let held = self.holds(world, case);
            match (when, held) {
                (When::By { .. }, Ok(())) | (When::At(_), Ok(())) => self.cases[index].settled = true,
                (When::Always { .. }, Ok(())) => self.cases[index].settled = last,
                (When::By { .. }, Err(_)) if !last => {}
                (_, Err(found)) => return Err(unmet(self.cases[index].expectation, now, found)),
            }
        }
        Ok(())
    }

    /// Looks at a real ring, which can be asked now and then only. Whether nothing is left to wait for.
    #[cfg(feature = "beds")]
    pub(crate) fn glance(&mut self, scene: &dyn Scene) -> Result<bool, Unmet> {
        let now = scene.now();
        let missed: Vec<Instant> =
            self.cases.iter().filter_map(|case| since(&case.expectation.what)).collect();
        for at in missed {
            if at <= now && !self.remembered.iter().any(|(known, _)| *known == at) {
                let all = self.plan.host_ids().map(|host| scene.identity(host)).collect();
                self.remembered.push((at, all));
            }
        }
        for index in 0..self.cases.len() {
            let case = &self.cases[index];
            let event = matches!(case.expectation.what, What::Event { .. });
            let wanted = !matches!(case.expectation.when, When::Always { .. });
            let (start, end) = lenient(case.expectation.when, wanted, self.tolerance);
            if case.settled || now < start {
                continue;
            }
            let over = now >= end;
            // A span that is over has been looked at, unless it is shorter than the time between two looks.
            let held = if over && !wanted && !event && case.seen { Ok(()) } else { self.holds(scene, case) };
            self.cases[index].seen = true;
            match held {
                Ok(()) => self.cases[index].settled = wanted || over,
                Err(_) if wanted && !over => {}
                Err(found) => return Err(unmet(self.cases[index].expectation, now, found)),
            }
        }
        Ok(self.cases.iter().all(|case| case.settled))
    }

    fn holds(&self, world: &dyn Scene, case: &Case<'_>) -> Result<(), String> {
        let view = View { world, plan: self.plan };
        match &case.expectation.what {
            What::AllAlive => view.all_alive(),
            What::OneView { .. } => {
                world.difference(&self.plan.host_ids().collect::<Vec<_>>()).map_or(Ok(()), Err)
            }
            What::InState { of, state, seen_by } => view.in_state(of, *state, seen_by),
            What::Running { on, running } => view.running(on, *running),
            What::Split(groups) => view.split(groups),
            What::Count { least, most, state, seen_by } => view.count(*least..=*most, *state, seen_by),
            What::Service { service, up, on, seen_by } => view.service(service, *up, on, seen_by.as_ref()),
            What::Leader { service, wanted } => view.leader(service, wanted),
            What::Lost { least, most } => view.lost(u64::from(*least)..=u64::from(*most)),
            What::Version { key, version, seen_by } => view.version(key, *version, seen_by),
            What::Incarnation { of, raised, since } => self.compare(world, of, *since, |before, now| {
                let (before, now) = (before.1, now.1);
                let ok = if *raised { now > before } else { now == before };
                if ok { Ok(()) } else { Err(format!("has incarnation {now} and had {before}")) }
            }),
            What::Identity { of, new, since } => self.compare(world, of, *since, |before, now| {
                let (before, now) = (before.0, now.0);
                let ok = (before != now) == *new;
                if ok { Ok(()) } else { Err(format!("is member {now} and was {before}")) }
            }),
            What::Event { event, occurred, .. } => match (&case.heard, occurred) {
                (Some(_), true) | (None, false) => Ok(()),
                (Some(heard), false) => Err(heard.clone()),
                (None, true) => Err(format!("no {} was reported", event.word())),
            },
        }
    }

    fn compare(
        &self,
        world: &dyn Scene,
        of: &[HostId],
        since: Instant,
        check: impl Fn((MemberId, Incarnation), (MemberId, Incarnation)) -> Result<(), String>,
    ) -> Result<(), String> {
        let Some((_, all)) = self.remembered.iter().find(|(at, _)| *at == since) else {
            return Err(format!("{since} has not come yet"));
        };
        for host in of {
            let name = self.plan.name(*host);
            let before = all.get(host.0 as usize).copied().flatten();
            let before = before.ok_or_else(|| format!("{name} did not run at {since}"))?;
            let now = world.identity(*host).ok_or_else(|| format!("{name} does not run"))?;
            check(before, now).map_err(|found| format!("{name} {found} at {since}"))?;
        }
        Ok(())
    }
}

fn unmet(expectation: &Expectation, at: Instant, found: String) -> Unmet {
    Unmet { line: expectation.line, text: expectation.text.clone(), when: expectation.when, at, found }
}

/// The span of an expectation in a ring in which things may happen later than in a simulated one: what is wanted
/// may come later, and what must hold throughout need not hold at first.
fn lenient(when: When, wanted: bool, tolerance: Duration) -> (Instant, Instant) {
    let (start, end) = (when.start(), when.end());
    match wanted {
        true => (start, end + tolerance),
        false if start == Instant::ZERO => (start, end),
        false => ((start + tolerance).min(end), end),
    }
}

fn since(what: &What) -> Option<Instant> {
    match what {
        What::Incarnation { since, .. } | What::Identity { since, .. } => Some(*since),
        _ => None,
    }
}

/// A scenario's word for an event, and whom it is about; none when it has no word for it.
fn word_of(
    at: HostId,
    kind: &EventKind,
    host_of: impl Fn(&MemberId) -> Option<HostId>,
) -> Option<(EventWord, Option<HostId>)> {
    let word = match kind {
        EventKind::MemberChanged { member, from, to, .. } if from != &Some(*to) => {
            return Some((EventWord::of_state(*to), host_of(member)));
        }
        EventKind::ProbeFailed { member, .. } => return Some((EventWord::ProbeFailed, host_of(member))),
        EventKind::Banned { member } => return Some((EventWord::Banned, host_of(member))),
        EventKind::Refuted { .. } => EventWord::Refuted,
        EventKind::Stalled { .. } => EventWord::Stalled,
        EventKind::VersionLost { .. } => EventWord::VersionLost,
        EventKind::ServiceChanged { to, .. } => EventWord::of_service((*to)?)?,
        _ => return None,
    };
    Some((word, Some(at)))
}

/// The world as the statements of a scenario see it.
#[derive(Clone, Copy)]
struct View<'a> {
    world: &'a dyn Scene,
    plan: &'a Plan,
}

impl<'a> View<'a> {
    fn name(&self, host: HostId) -> &'a str {
        self.plan.name(host)
    }

    /// Hosts whose supervisor runs and is not paused.
    fn live(&self) -> Vec<HostId> {
        let live = |host: &HostId| self.world.state(*host) == HostState::Running && self.runs(*host);
        self.plan.host_ids().filter(live).collect()
    }

    /// Those who look. Somebody who is named must run.
    fn observers(&self, who: &Who) -> Result<Vec<HostId>, String> {
        let hosts = match who {
            Who::Running => self.live(),
            Who::Hosts(hosts) => hosts.clone(),
        };
        match hosts.iter().find(|host| !self.runs(**host)) {
            None => Ok(hosts),
            Some(host) => Err(format!("{} does not run and sees nobody", self.name(*host))),
        }
    }

    fn runs(&self, host: HostId) -> bool {
        self.world.identity(host).is_some()
    }

    fn held(&self, by: HostId, of: HostId) -> Option<State> {
        self.world.member_id(of).and_then(|member| self.world.held(by, &member))
    }

    fn all_alive(&self) -> Result<(), String> {
        let live = self.live();
        if live.is_empty() {
            return Err(String::from("nobody runs"));
        }
        self.in_state(&Who::Running, Some(State::Alive), &Who::Running)?;
        for host in self.observers(&Who::Running)? {
            let alive = self.world.count(host, Some(State::Alive));
            if alive != live.len() {
                return Err(format!(
                    "{} holds {alive} members alive although {} run",
                    self.name(host),
                    live.len()
                ));
            }
        }
        Ok(())
    }

    fn in_state(&self, of: &Who, state: Option<State>, seen_by: &Who) -> Result<(), String> {
        let of = match of {
            Who::Running => self.live(),
            Who::Hosts(hosts) => hosts.clone(),
        };
        for host in self.observers(seen_by)? {
            for subject in &of {
                // What a member holds of itself is no news, unless it is asked for by name.
                if host == *subject && *seen_by == Who::Running {
                    continue;
                }
                let held = self.held(host, *subject);
                if held != state {
                    let held = held.map_or("does not know", |state| match state {
                        State::Alive => "holds alive",
                        State::Suspect => "suspects",
                        State::Confirmed => "holds dead",
                        State::Departed => "holds departed",
                    });
                    return Err(format!("{} {held}: {}", self.name(host), self.name(*subject)));
                }
            }
        }
        Ok(())
    }

    fn running(&self, on: &[HostId], running: bool) -> Result<(), String> {
        for host in on {
            if self.runs(*host) != running {
                let does = if running { "does not run" } else { "runs" };
                return Err(format!("{} {does}", self.name(*host)));
            }
        }
        Ok(())
    }

    fn split(&self, groups: &[Vec<HostId>]) -> Result<(), String> {
        for group in groups {
            let seen_by = Who::Hosts(group.clone());
            self.in_state(&seen_by, Some(State::Alive), &seen_by)?;
            for host in self.observers(&seen_by)? {
                for stranger in groups.iter().flatten().filter(|stranger| !group.contains(stranger)) {
                    if self.held(host, *stranger) == Some(State::Alive) {
                        return Err(format!(
                            "{} holds {} of another group alive",
                            self.name(host),
                            self.name(*stranger)
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    fn count(
        &self,
        wanted: std::ops::RangeInclusive<u32>,
        state: Option<State>,
        seen_by: &Who,
    ) -> Result<(), String> {
        for host in self.observers(seen_by)? {
            let count = self.world.count(host, state);
            if !u32::try_from(count).is_ok_and(|count| wanted.contains(&count)) {
                let state = state.map_or("known", State::name);
                return Err(format!("{} has {count} {state} members", self.name(host)));
            }
        }
        Ok(())
    }

    fn leader(&self, service: &ServiceName, wanted: &Leads) -> Result<(), String> {
        let acting = self.world.acting(service);
        let names: Vec<&str> = acting.iter().map(|host| self.name(*host)).collect();
        let found = match names.as_slice() {
            [] => String::from("nobody acts as the leader"),
            [one] => format!("{one} acts as the leader"),
            more => format!("{} act as the leader", more.join(" and ")),
        };
        let holds = match wanted {
            Leads::Host(host) => acting == [*host],
            Leads::OneSeenBy(_) => acting.len() == 1,
            Leads::Nobody => acting.is_empty(),
        };
        if !holds {
            return Err(found);
        }
        let (Leads::OneSeenBy(who), [leader]) = (wanted, acting.as_slice()) else { return Ok(()) };
        for host in self.observers(who)? {
            if self.world.leader_seen(host, service) != self.world.member_id(*leader) {
                return Err(format!("{found}, and {} does not know it", self.name(host)));
            }
        }
        Ok(())
    }

    fn lost(&self, wanted: std::ops::RangeInclusive<u64>) -> Result<(), String> {
        let (sent, lost) = self.world.requests();
        if sent > 0 && wanted.contains(&lost) {
            Ok(())
        } else {
            Err(format!("{lost} of {sent} requests were lost"))
        }
    }

    fn version(&self, key: &RumorKey, version: u64, seen_by: &Who) -> Result<(), String> {
        let mut first: Option<(HostId, u64)> = None;
        for host in self.observers(seen_by)? {
            let held = self.world.version(host, key);
            let number = held.map_or(0, |(number, _)| number);
            if number != version {
                return Err(format!("{} holds version {number}", self.name(host)));
            }
            let Some((_, hash)) = held else { continue };
            let (other, first) = *first.get_or_insert((host, hash));
            if hash != first {
                let (a, b) = (self.name(other), self.name(host));
                return Err(format!("{a} and {b} hold different contents of version {version}"));
            }
        }
        Ok(())
    }

    fn service(
        &self,
        service: &ServiceName,
        up: bool,
        on: &[HostId],
        seen_by: Option<&Who>,
    ) -> Result<(), String> {
        for host in on {
            let name = self.name(*host);
            let state = self.world.service(*host, service);
            if (state == Some(ServiceState::Up)) != up {
                let state = state.map_or("not loaded", ServiceState::name);
                return Err(format!("{service} is {state} on {name}"));
            }
            let Some(member) = self.world.member_id(*host) else { continue };
            let observers = seen_by.map_or_else(|| Ok(Vec::new()), |who| self.observers(who))?;
            for observer in observers {
                let known = self.world.knows_service(observer, &member, service);
                if known != up {
                    let knows = if known { "still believes in" } else { "knows nothing of" };
                    return Err(format!("{} {knows} {service} on {name}", self.name(observer)));
                }
            }
        }
        Ok(())
    }
}
