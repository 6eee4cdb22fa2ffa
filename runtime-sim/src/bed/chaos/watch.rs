//! Looks at the processes of hosts: what has to be gone, what has to be kept, and what may not be there.

use std::collections::BTreeMap;
use std::fs;

use super::fault::Fault;
use super::judge::Violation;
use super::line::{Boot, Told, boot};
use super::plans::{SERVICES, Service};
use super::process::{self, Part, Pid, Process};
use super::run::{Run, Struck};

const SECOND: Boot = 1_000_000_000;
/// A tree whose parent was killed is gone by then.
const GONE: Boot = 3 * SECOND;
/// A service that was stopped or unloaded has no process by then: its time to end, and a busy machine's.
const STOPPED: Boot = 8 * SECOND;
/// A supervisor is back and has adopted its services by then.
const KEPT: Boot = 4 * SECOND;
/// A process that was replaced for a version has been started with it by then.
const TAKEN_IN: Boot = 2 * SECOND;
/// Faults that ended so long ago have no effect any more.
const AFTERMATH: Boot = 8 * SECOND;

/// Processes that have to end.
#[derive(Clone, Debug)]
struct Gone {
    deadline: Boot,
    since: Boot,
    host: String,
    why: String,
    processes: Vec<Process>,
}

/// A process that has to live on.
#[derive(Clone, Debug)]
struct Kept {
    deadline: Boot,
    since: Boot,
    host: usize,
    service: &'static str,
    elects: bool,
    fault: Fault,
    process: Process,
}

/// A version that an operator was told to be everywhere.
#[derive(Clone, Copy, Debug)]
struct Confirmed {
    at: Boot,
    service: &'static Service,
    version: u64,
}

/// What is looked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch {
    gone: Vec<Gone>,
    kept: Vec<Kept>,
    confirmed: Vec<Confirmed>,
    found: BTreeMap<String, Violation>,
    pub(crate) kept_checked: u64,
    pub(crate) kept_excused: u64,
    pub(crate) gone_checked: u64,
}

impl Watch {
    fn report(&mut self, promise: &'static str, key: &str, from: Boot, text: String) {
        let violation = Violation { promise, from, until: boot(), subject: key.to_owned(), text };
        self.found.entry(format!("{promise} {key}")).or_insert(violation);
    }

    pub(crate) fn violations(&self) -> impl Iterator<Item = &Violation> {
        self.found.values()
    }

    /// These processes of a host have to be gone soon.
    pub(crate) fn expect_gone(&mut self, host: &str, why: &str, processes: Vec<Process>, now: Boot) {
        let (host, why) = (host.to_owned(), why.to_owned());
        self.gone.push(Gone { deadline: now + GONE, since: now, host, why, processes });
    }

    pub(crate) fn ended_by_itself(&mut self, host: &str, code: i32, now: Boot) {
        // 3: the supervisor before it has not quite gone yet, and a service manager tries again.
        if code != 3 {
            let text = format!("the launcher of {host} ended by itself with exit code {code}");
            self.report("a launcher runs until it is told to end", &format!("{host} {now}"), now, text);
        }
    }

    /// The ring heard of a stop after the process.
    pub(crate) fn told_late(&mut self, key: &str, from: Boot, text: String) {
        self.report("the ring is told before the stop signal", key, from, text);
    }

    /// Something is left when everything was told to end.
    pub(crate) fn left(&mut self, host: &str, text: String) {
        let key = format!("{host} {}", self.found.len());
        self.report("nothing is left at the end", &key, boot(), text);
    }

    /// Whether hosts still have to be looked at for what was done to them.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.gone.is_empty() || !self.kept.is_empty() || !self.confirmed.is_empty()
    }

    fn check_gone(&mut self, now: Boot, frozen: &dyn Fn(&str) -> bool) {
        let due: Vec<Gone> = self.gone.extract_if(.., |gone| gone.deadline <= now).collect();
        for mut gone in due {
            // A process that writes to a frozen disk ends when the disk thaws; no kill reaches it before.
            if frozen(&gone.host) {
                gone.deadline = now + GONE;
                self.gone.push(gone);
                continue;
            }
            self.gone_checked += 1;
            for left in gone.processes.iter().filter(|process| process::lives(process)) {
                let text = format!(
                    "process {} on {} lives {:.1} s after {}: {}",
                    left.pid,
                    gone.host,
                    (now - gone.since) as f64 / 1e9,
                    gone.why,
                    left.arguments.join(" ")
                );
                self.report(
                    "no process outlives its tree",
                    &format!("{} {}", gone.host, left.pid),
                    gone.since,
                    text,
                );
            }
        }
    }

    /// At most one tree of a service has processes on a host.
    fn check_trees(&mut self, host: &str, parts: &[(&Process, Part)], now: Boot) {
        let mut trees: BTreeMap<&str, BTreeMap<Pid, Vec<&Process>>> = BTreeMap::new();
        for (process, part) in parts {
            if let (Part::Service(service), Some(tree)) = (part, process.tree()) {
                trees.entry(service).or_default().entry(tree).or_default().push(process);
            }
        }
        for (service, trees) in trees.into_iter().filter(|(_, trees)| trees.len() > 1) {
            let newest = trees.values().flatten().map(|process| process.start).max().unwrap_or(0);
            for (tree, processes) in trees {
                let is_old = processes.iter().all(|process| process.start < newest);
                // It has not just ended while the list was made.
                let left = processes.iter().find(|process| process::lives(process));
                if let Some(left) = left.filter(|_| is_old) {
                    let text = format!(
                        "process {} of the earlier tree {tree} of {service} on {host} lives beside a later one: {}",
                        left.pid,
                        left.arguments.join(" ")
                    );
                    self.report("one tree of a service", &format!("{host} {service} {tree}"), now, text);
                }
            }
        }
    }
}

impl Run {
    pub(crate) fn look_at_processes(&mut self) {
        let now = boot();
        let all = self.ring.processes();
        for (host, processes) in all.iter().enumerate() {
            let parts = process::parts(processes, self.ring.launcher_pid(host));
            let name = self.ring.hosts[host].name.clone();
            self.watch.check_trees(&name, &parts, now);
            self.check_unwanted(host, &parts, now);
        }
        let frozen: Vec<String> = self
            .ring
            .hosts
            .iter()
            .filter(|host| host.disk.as_ref().is_some_and(super::disk::Disk::is_frozen))
            .map(|host| host.name.clone())
            .collect();
        self.watch.check_gone(now, &|host| frozen.iter().any(|name| name == host));
        self.check_kept(now);
        for Confirmed { service, version, .. } in self
            .watch
            .confirmed
            .extract_if(.., |confirmed| confirmed.at + TAKEN_IN <= now)
            .collect::<Vec<_>>()
        {
            self.check_confirmed(service, version);
        }
    }

    /// A service that was stopped or unloaded has no process.
    fn check_unwanted(&mut self, host: usize, parts: &[(&Process, Part)], now: Boot) {
        for service in SERVICES {
            let Some(since) = self.wishes.get(&(host, service.name)).and_then(|wish| wish.down_since) else {
                continue;
            };
            let others = self.struck.iter().filter(|s| s.host == host && s.until + STOPPED > since);
            let calm_since = others.map(|struck| struck.until).chain([since]).max().unwrap_or(since);
            if now < calm_since + STOPPED {
                continue;
            }
            let of_service = Part::Service(service.name.to_owned());
            let left = parts.iter().find(|(process, part)| *part == of_service && process::lives(process));
            if let Some((process, _)) = left {
                let name = &self.ring.hosts[host].name;
                let text = format!(
                    "process {} of {} on {name} lives {:.1} s after the service was stopped or unloaded: {}",
                    process.pid,
                    service.name,
                    (now - since) as f64 / 1e9,
                    process.arguments.join(" ")
                );
                let key = format!("{name} {} {}", service.name, process.pid);
                self.watch.report("nothing is left of a stopped service", &key, since, text);
            }
        }
    }

    /// Each service of a host keeps its process over what is done to its supervisor.
    pub(crate) fn expect_kept(&mut self, host: usize, fault: Fault) {
        let now = boot();
        let all = self.ring.processes_of(host);
        for service in SERVICES {
            let first = all
                .iter()
                .filter(|process| process.tree().is_some() && !process.is_hook())
                .filter(|process| {
                    process.arguments.iter().any(|a| a.contains(&format!("/svc/{}/", service.name)))
                })
                .min_by_key(|process| (process.start, process.pid));
            if let Some(process) = first {
                self.watch.kept.push(Kept {
                    deadline: now + KEPT,
                    since: now,
                    host,
                    service: service.name,
                    elects: service.elects,
                    fault,
                    process: process.clone(),
                });
            }
        }
    }

    fn check_kept(&mut self, now: Boot) {
        let due: Vec<Kept> = self.watch.kept.extract_if(.., |kept| kept.deadline <= now).collect();
        for kept in due {
            if self.struck.iter().any(|struck| excuses(struck, &kept, now)) {
                self.watch.kept_excused += 1;
                continue;
            }
            self.watch.kept_checked += 1;
            if !process::lives(&kept.process) {
                let host = self.ring.hosts[kept.host].name.clone();
                let led = if self.led_at(&kept) { ", which led its group," } else { "" };
                let text = format!(
                    "process {} of {} on {host}{led} did not live on when its supervisor was hit by {}, on a ring \
                     without other faults",
                    kept.process.pid, kept.service, kept.fault
                );
                let key = format!("{host} {} {}", kept.service, kept.since);
                self.watch.report("a service outlives its supervisor", &key, kept.since, text);
            }
        }
    }

    fn led_at(&self, kept: &Kept) -> bool {
        let struck =
            self.struck.iter().find(|s| s.host == kept.host && s.at.abs_diff(kept.since) < SECOND / 2);
        struck.is_some_and(|struck| struck.led.contains(&format!("{}.default", kept.service)))
    }

    /// `--wait` has confirmed a version: it is looked for a moment later.
    pub(crate) fn expect_confirmed(&mut self, service: &'static Service, version: u64) {
        self.watch.confirmed.push(Confirmed { at: boot(), service, version });
    }

    /// A version that `--wait` confirmed is in the rendered file of every member that no fault has hit lately, and its
    /// processes have been told: they were started with it, or their reconfigure hook has succeeded since.
    fn check_confirmed(&mut self, service: &Service, version: u64) {
        let now = boot();
        if self.ring.is_cut() {
            return;
        }
        for host in 0..self.ring.hosts.len() {
            let wish = self.wishes.get(&(host, service.name)).copied().unwrap_or_default();
            let is_hit = self.struck.iter().any(|struck| {
                let is_other = struck.fault.is_about_service() && struck.service != service.name;
                let about = (struck.host == host && !is_other) || struck.fault.is_about_network();
                let is_apply = struck.fault == Fault::ConfigApply;
                about && !is_apply && struck.until + AFTERMATH > now
            });
            if is_hit || wish.is_down {
                self.confirmed_at[1] += 1;
                continue;
            }
            self.confirmed_at[0] += 1;
            let name = self.ring.hosts[host].name.clone();
            let Some(told) = self.rendered(host, service.name) else { continue };
            if told.version < version && told.group == "default" && self.runs(host, service.name) {
                let text = format!(
                    "`config apply --wait` said that version {version} of {}.default is everywhere; {name} has version {} in \
                     its file",
                    service.name, told.version
                );
                let key = format!("{name} {} {version}", service.name);
                self.watch.report("what --wait confirmed is in the files", &key, now, text);
            }
            let taken_in = self.judge.taken_in(&name, service.name);
            if taken_in < version && told.group == "default" && self.runs(host, service.name) {
                let text = format!(
                    "`config apply --wait` said that version {version} of {}.default is everywhere; on {name} no process was \
                     started with it and no reconfigure hook has succeeded since: the last one had version {taken_in}",
                    service.name
                );
                let key = format!("{name} {} {version}", service.name);
                self.watch.report("what --wait confirmed has been told to the process", &key, now, text);
            }
        }
    }

    /// The file that was rendered for a service.
    pub(crate) fn rendered(&self, host: usize, service: &str) -> Option<Told> {
        let name = &self.ring.hosts[host].name;
        Told::read(&fs::read_to_string(self.ring.home.part(name, service)).ok()?)
    }

    /// Whether a service has processes on a host.
    pub(crate) fn runs(&self, host: usize, service: &str) -> bool {
        !self.ring.with_part(host, |part| *part == Part::Service(service.to_owned())).is_empty()
    }
}

/// Whether another fault may be the reason why a process does not live `now`.
fn excuses(struck: &Struck, kept: &Kept, now: Boot) -> bool {
    let is_same = struck.fault == kept.fault && struck.at.abs_diff(kept.since) < SECOND / 2;
    let at_the_time = struck.until + AFTERMATH > kept.since && struck.at < now;
    if is_same || !at_the_time {
        return false;
    }
    let is_same_host = struck.host == kept.host;
    match struck.fault {
        // Members that share its election may have taken its lead, or given it another leader.
        fault if fault.is_about_service() => struck.service == kept.service && (is_same_host || kept.elects),
        // A supervisor that comes back harms nothing, but two at once may cost a leader its quorum.
        Fault::KillSupervisor | Fault::RestartSupervisor | Fault::HangupSupervisor => {
            kept.elects && struck.at + KEPT > kept.since
        }
        Fault::KillLauncher | Fault::KillHost => is_same_host || kept.elects,
        _ => kept.elects,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn struck(fault: Fault, at: Boot, host: usize, service: &'static str) -> Struck {
        Struck { fault, at, until: at + SECOND, host, service, led: Vec::new(), text: String::new() }
    }

    #[test]
    fn only_what_could_have_ended_a_process_excuses_its_end() {
        let process = process::read(std::process::id()).expect("this one runs");
        let (since, now) = (20 * SECOND, 20 * SECOND + KEPT + SECOND / 10);
        let kept = |service, elects| Kept {
            deadline: since + KEPT,
            since,
            host: 0,
            service,
            elects,
            fault: Fault::KillSupervisor,
            process: process.clone(),
        };
        let alone = kept("alone", false);
        assert!(!excuses(&struck(Fault::KillSupervisor, since, 0, "alone"), &alone, now), "the fault itself");
        assert!(!excuses(&struck(Fault::Isolate, since + 1, 0, "alone"), &alone, now), "it has no election");
        assert!(!excuses(&struck(Fault::KillHost, since + 1, 1, "alone"), &alone, now), "another host");
        assert!(
            !excuses(&struck(Fault::KillService, since + 1, 0, "steady"), &alone, now),
            "another service"
        );
        // Between the end of its time and the look at it.
        assert!(excuses(&struck(Fault::KillService, since + KEPT + 1, 0, "alone"), &alone, now));
        assert!(!excuses(&struck(Fault::KillService, now + 1, 0, "alone"), &alone, now), "after the look");
        let elects = kept("steady", true);
        assert!(excuses(&struck(Fault::Isolate, since + 1, 3, "plain"), &elects, now));
        assert!(!excuses(&struck(Fault::SvcStop, since + 1, 3, "plain"), &elects, now), "another group");
        assert!(excuses(&struck(Fault::SvcStop, since + 1, 3, "steady"), &elects, now));
        assert!(!excuses(&struck(Fault::KillSupervisor, since - 5 * SECOND, 3, "plain"), &elects, now));
        assert!(excuses(&struck(Fault::KillSupervisor, since + SECOND, 3, "plain"), &elects, now));
        assert!(
            !excuses(&struck(Fault::Isolate, SECOND, 3, "plain"), &kept("steady", true), now),
            "long over"
        );
    }

    #[test]
    fn an_earlier_tree_beside_a_later_one_is_found() {
        let own = process::read(std::process::id()).expect("this one runs");
        let of_tree = |tree: &str, start| {
            let arguments = ["--tree", tree].map(str::to_owned).to_vec();
            Process { start, arguments, ..own.clone() }
        };
        let (old, new) = (of_tree("7", own.start), of_tree("9", own.start + 1));
        let service = || Part::Service("brood".to_owned());
        let mut watch = Watch::default();
        watch.check_trees("ada", &[(&new, service())], 1);
        assert_eq!(watch.violations().count(), 0, "one tree");
        watch.check_trees("ada", &[(&old, service()), (&new, service())], 1);
        assert_eq!(watch.violations().map(|v| v.promise).collect::<Vec<_>>(), ["one tree of a service"]);
    }

    #[test]
    fn what_has_to_be_gone_is_looked_for_once_the_disk_takes_writes() {
        let own = process::read(std::process::id()).expect("this one runs");
        let mut watch = Watch::default();
        watch.expect_gone("ada", "a test", vec![own], 0);
        watch.check_gone(GONE, &|_| true);
        assert!(watch.is_waiting() && watch.violations().count() == 0, "its disk is frozen");
        watch.check_gone(3 * GONE, &|_| false);
        assert_eq!(
            watch.violations().map(|v| v.promise).collect::<Vec<_>>(),
            ["no process outlives its tree"]
        );
    }
}
