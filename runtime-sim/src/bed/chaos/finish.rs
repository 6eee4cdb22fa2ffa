//! The end of a run: faults are over, operators want everything as it was at the beginning, and the ring has to be whole
//! again within its bound. Then all supervisors are told to end, and nothing may be left.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::Duration;

use annulus_core::Timings;
use nix::sys::signal::Signal;

use super::line::{Boot, boot};
use super::plans::{SERVICES, SHUTDOWN_S, Service};
use super::process::{self, Part, Process};
use super::run::Run;
use crate::bed::{BedError, interrupt};

const SECOND: Boot = 1_000_000_000;
const LOOK: Duration = Duration::from_millis(200);
/// A ring that is whole has to stay so.
const STAYS: Boot = 3 * SECOND;
/// A supervisor that is told to end has ended by then, with its services.
const ENDED: Boot = 30 * SECOND;

/// How the ring ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Finish {
    /// Until the ring was whole, in nanoseconds; none when it was not in time.
    pub(crate) took: Option<Boot>,
    /// What was still missing.
    pub(crate) unmet: Vec<String>,
}

/// The time within which a ring without faults is whole again, from its timings: the longest promise runs out, an
/// election follows, members that were apart are tried again, and a service waits for its next start.
pub(crate) fn bound() -> Duration {
    let timings = Timings::lan();
    let promise = timings.lease_ms * 11 / 9;
    let election = timings.election_backoff_ms_max + 1_000;
    let meet = 2 * timings.reconnect_period_ms;
    let stop = u64::from(SHUTDOWN_S) * 1_000;
    Duration::from_millis(promise + election + meet + stop + timings.restart_backoff_ms_max)
}

/// The hosts that act as a group's leader, by their lines.
struct Acting {
    leader: Option<String>,
    all: BTreeSet<String>,
}

impl Acting {
    fn of(run: &Run, group: &str, now: Boot) -> Self {
        let leader = run.judge.leader(group, now).map(str::to_owned);
        Self { leader, all: run.judge.acting_since(group, now.saturating_sub(SECOND)) }
    }
}

impl Run {
    /// Ends all faults, wants everything as at the beginning, and waits until the ring is whole.
    pub(crate) fn finish(&mut self) -> Result<Finish, BedError> {
        self.note("all faults end; the ring has to be whole again".to_owned());
        self.mend_all()?;
        let begin = boot();
        for host in 0..self.ring.hosts.len() {
            if !self.is_up(host) {
                self.ring.start(host)?;
            }
        }
        while self.has_operations() || self.watch.is_waiting() {
            self.turn()?;
            thread::sleep(LOOK);
        }
        self.restore();
        let deadline = begin + u64::try_from(bound().as_nanos()).unwrap_or(u64::MAX);
        let mut whole_since: Option<Boot> = None;
        loop {
            self.turn()?;
            let unmet = self.unmet();
            let now = boot();
            if unmet.is_empty() {
                let since = *whole_since.get_or_insert(now);
                if now >= since + STAYS {
                    self.note("the ring is whole".to_owned());
                    return Ok(Finish { took: Some(since - begin), unmet });
                }
            } else {
                whole_since = None;
                if now > deadline {
                    self.note(format!("the ring is not whole: {}", unmet.join("; ")));
                    return Ok(Finish { took: None, unmet });
                }
            }
            thread::sleep(LOOK);
        }
    }

    /// Every service that a command has changed is loaded, started, in its group and not drained. A command that
    /// changes nothing may be refused; what counts is what holds afterwards.
    fn restore(&mut self) {
        let changed: Vec<(usize, &'static str)> =
            self.wishes.iter().filter(|(_, wish)| wish.is_changed).map(|(key, _)| *key).collect();
        for (host, name) in changed {
            let Some(service) = SERVICES.iter().find(|service| service.name == name) else { continue };
            let ident = service.ident();
            let commands = [
                super::ring::load_words(service),
                ["svc", "start", &ident].map(str::to_owned).to_vec(),
                ["svc", "undrain", &ident].map(str::to_owned).to_vec(),
                ["svc", "update", &ident, "--group", "default"].map(str::to_owned).to_vec(),
            ];
            for words in commands {
                let text = format!("{}: annulus {}", self.ring.hosts[host].name, words.join(" "));
                let outcome = self.ring.ask(host, &words).wait();
                self.note(format!("{text}: {outcome}"));
            }
            self.wishes.insert((host, name), super::run::Wish::default());
        }
    }

    /// What is missing until the ring is whole.
    fn unmet(&self) -> Vec<String> {
        let mut unmet = Vec::new();
        let count = self.ring.hosts.len();
        let now = boot();
        let acts: BTreeMap<&str, Acting> = SERVICES
            .iter()
            .map(|service| (service.name, Acting::of(self, &format!("{}.default", service.name), now)))
            .collect();
        let running: Vec<BTreeSet<String>> = (0..count).map(|host| self.running(host)).collect();
        let named: Vec<BTreeMap<String, String>> =
            (0..count).map(|host| self.ring.leaders_named_by(host)).collect();
        for host in 0..count {
            let name = &self.ring.hosts[host].name;
            let alive = self.ring.alive(host);
            if alive != count {
                unmet.push(format!("{name} holds {alive} of {count} members alive"));
            }
        }
        for service in SERVICES {
            let leader = if service.elects {
                self.one_leader(service.name, &acts[service.name], &named, &mut unmet)
            } else {
                None
            };
            for (host, running) in running.iter().enumerate() {
                self.unmet_of(host, &service, leader.as_deref(), running, &mut unmet);
            }
        }
        unmet
    }

    /// The member that all name as a group's leader, and that acts as such.
    fn one_leader(
        &self,
        service: &str,
        acts: &Acting,
        named: &[BTreeMap<String, String>],
        unmet: &mut Vec<String>,
    ) -> Option<String> {
        let group = format!("{service}.default");
        let names: BTreeSet<&str> =
            named.iter().map(|names| names.get(&group).map_or("", String::as_str)).collect();
        let leader = names.first().copied().unwrap_or_default();
        if names.len() != 1 || leader.is_empty() {
            unmet.push(format!("members name {names:?} as leader of {group}"));
            return None;
        }
        let name = self.ring.host_of(leader).map_or(leader, |host| self.ring.hosts[host].name.as_str());
        match &acts.leader {
            None => unmet.push(format!("no process acts as the leader of {group}")),
            Some(acts) if acts != name => {
                unmet.push(format!("{acts} acts as the leader of {group}, and members name {name}"));
            }
            Some(_) if acts.all.len() > 1 => {
                unmet.push(format!("{:?} act as the leader of {group}", acts.all))
            }
            Some(_) => {}
        }
        Some(leader.to_owned())
    }

    /// The services that have processes on a host.
    fn running(&self, host: usize) -> BTreeSet<String> {
        let all = self.ring.processes_of(host);
        let parts = process::parts(&all, self.ring.launcher_pid(host));
        let name = |(_, part)| if let Part::Service(name) = part { Some(name) } else { None };
        parts.into_iter().filter_map(name).collect()
    }

    fn unmet_of(
        &self,
        host: usize,
        service: &Service,
        leader: Option<&str>,
        running: &BTreeSet<String>,
        unmet: &mut Vec<String>,
    ) {
        let (name, what) = (&self.ring.hosts[host].name, service.name);
        let leads = leader == Some(self.ring.hosts[host].member.as_str());
        let should_run = !service.only_leader_runs() || leads;
        match (should_run, running.contains(what)) {
            (true, false) => unmet.push(format!("{what} does not run on {name}")),
            (false, true) => unmet.push(format!("{what} runs on {name}, which does not lead")),
            _ => {}
        }
        if !should_run {
            return;
        }
        let Some(told) = self.rendered(host, what) else {
            return unmet.push(format!("{name} has no file of {what}"));
        };
        if told.group != "default" {
            unmet.push(format!("{what} on {name} is in group {}", told.group));
        }
        if let Some(leader) = leader.filter(|leader| told.leader != *leader) {
            unmet.push(format!(
                "the file of {what} on {name} names {} and not {leader} as leader",
                told.leader
            ));
        }
        let versions = self.versions.get(what).copied().unwrap_or_default();
        if told.version < versions.stored || told.version > versions.asked {
            unmet.push(format!(
                "the file of {what} on {name} has version {}; {} was acknowledged",
                told.version, versions.stored
            ));
        }
    }

    /// Tells every supervisor to end; what is left then should not be.
    pub(crate) fn end_ring(&mut self) -> Result<(), BedError> {
        let pids: Vec<Option<process::Pid>> =
            (0..self.ring.hosts.len()).map(|host| self.ring.launcher_pid(host)).collect();
        for launcher in pids.into_iter().flatten().filter_map(process::read) {
            process::signal(&launcher, Signal::SIGTERM);
        }
        let deadline = boot() + ENDED;
        let mut left = (0..self.ring.hosts.len()).filter(|host| self.is_up(*host)).collect::<Vec<_>>();
        while !left.is_empty() && boot() < deadline {
            if interrupt::noticed() {
                return Err(BedError::Interrupted);
            }
            left.retain(|host| self.ring.ended(*host).is_none());
            thread::sleep(LOOK / 4);
        }
        self.read_lines()?;
        for host in left {
            let name = self.ring.hosts[host].name.clone();
            let text = format!("the launcher of {name} does not end within {} s", ENDED / SECOND);
            self.watch.left(&name, text);
        }
        // The last children die with their parents; a moment later nothing is left.
        thread::sleep(LOOK);
        for (host, processes) in self.ring.processes().into_iter().enumerate() {
            let name = self.ring.hosts[host].name.clone();
            for Process { pid, arguments, .. } in processes.into_iter().filter(process::lives) {
                self.watch.left(
                    &name,
                    format!("process {pid} of {name} is left after the end: {}", arguments.join(" ")),
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_follows_from_the_timings() {
        assert_eq!(bound(), Duration::from_millis(2_444 + 5_000 + 10_000 + 3_000 + 30_000));
    }
}
