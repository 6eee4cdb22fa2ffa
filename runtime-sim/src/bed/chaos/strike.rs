//! Does the faults. Each either strikes, and says what it did, or cannot be done now, and says why.

use std::collections::BTreeSet;
use std::fs;

use nix::sys::signal::Signal;

use super::fault::Fault;
use super::line::boot;
use super::plans::{SERVICES, Service};
use super::process::{self, Part, Process};
use super::run::{Run, Struck, Undo};
use super::schedule::Planned;
use crate::bed::BedError;

/// The group that services are moved to for a while.
const OTHER_GROUP: &str = "other";
/// How much longer a hook takes that is slow, in milliseconds.
const SLOW_MS: u64 = 2_500;

/// The reason why a fault cannot be done now; or the run cannot go on.
pub(crate) enum No {
    NotNow(String),
    Broken(BedError),
}

impl From<BedError> for No {
    fn from(error: BedError) -> Self {
        Self::Broken(error)
    }
}

fn not_now<T>(why: &str) -> Result<T, No> {
    Err(No::NotNow(why.to_owned()))
}

/// The place that a planned fault strikes.
struct Aim<'a> {
    host: usize,
    name: String,
    service: &'static Service,
    planned: &'a Planned,
}

impl Run {
    /// Does a planned fault, and counts it.
    pub(crate) fn strike(&mut self, planned: &Planned) -> Result<(), BedError> {
        let aim = self.aim(planned);
        let led = self.groups_led_by(&aim.name);
        let at = boot();
        match self.do_fault(&aim) {
            Ok(text) => {
                let text = format!("{}: {text}", planned.fault);
                self.note(format!("{}: {text}", aim.name));
                let until = at + u64::try_from(planned.lasts.as_nanos()).unwrap_or(0);
                let (fault, host, service) = (planned.fault, aim.host, aim.service.name);
                self.struck.push(Struck { fault, at, until, host, service, led, text });
            }
            Err(No::NotNow(why)) => {
                *self.skipped.entry(planned.fault).or_default() += 1;
                self.note(format!("{}: no {}: {why}", aim.name, planned.fault));
            }
            Err(No::Broken(error)) => return Err(error),
        }
        Ok(())
    }

    fn aim<'a>(&self, planned: &'a Planned) -> Aim<'a> {
        let service = &SERVICES[planned.service % SERVICES.len()];
        let count = self.ring.hosts.len();
        let drawn = usize::try_from(planned.host % count as u64).unwrap_or(0);
        let leader = self.judge.leader(&format!("{}.default", service.name), boot());
        let leader = leader.filter(|_| planned.at_leader).and_then(|name| self.ring.index(name));
        let host = leader.unwrap_or(drawn);
        Aim { host, name: self.ring.hosts[host].name.clone(), service, planned }
    }

    /// The groups that a host leads now, by its processes' lines.
    pub(crate) fn groups_led_by(&self, host: &str) -> Vec<String> {
        let now = boot();
        let groups = SERVICES.iter().filter(|s| s.elects).map(|s| format!("{}.default", s.name));
        groups.filter(|group| self.judge.leader(group, now) == Some(host)).collect()
    }

    fn do_fault(&mut self, aim: &Aim<'_>) -> Result<String, No> {
        if !aim.planned.fault.is_about_network() && !self.is_up(aim.host) {
            return not_now("the host is down");
        }
        match aim.planned.fault {
            Fault::Partition | Fault::OneWay | Fault::Isolate => self.cut(aim),
            Fault::KillSupervisor => self.signal_supervisor(aim, Signal::SIGKILL),
            Fault::HangupSupervisor => self.signal_supervisor(aim, Signal::SIGHUP),
            Fault::RestartSupervisor => self.restart_supervisor(aim),
            Fault::StopSupervisor => self.stop(aim, &|part| *part == Part::Supervisor, None),
            Fault::StopLauncher => self.stop(aim, &|part| *part == Part::Launcher, None),
            Fault::KillLauncher => self.kill_launcher(aim),
            Fault::KillGuard => self.kill_guard(aim),
            Fault::StopGuard => {
                let service = aim.service.name;
                self.stop(aim, &|part| *part == Part::Guard(service.to_owned()), Some(Some(service)))
            }
            Fault::KillService => self.kill_service(aim),
            Fault::StopService => {
                let service = Part::Service(aim.service.name.to_owned());
                self.stop(aim, &|part| *part == service, None)
            }
            Fault::KillHost => self.kill_host(aim),
            Fault::PauseHost => self.stop(aim, &|_| true, Some(None)),
            Fault::FreezeDisk => self.freeze_disk(aim),
            Fault::FailHooks => self.control_hooks(aim, "fails"),
            Fault::HangHooks => self.control_hooks(aim, "hangs"),
            Fault::SlowHooks => self.control_hooks(aim, &format!("waits {SLOW_MS}")),
            Fault::SvcStop => Ok(self.operate(aim, &["svc", "stop"], &["svc", "start"])),
            Fault::SvcDrain => Ok(self.operate(aim, &["svc", "drain"], &["svc", "undrain"])),
            Fault::SvcUnload => Ok(self.operate(aim, &["svc", "unload"], &["svc", "load"])),
            Fault::SvcUpdate => Ok(self.operate(
                aim,
                &["svc", "update", "--group", OTHER_GROUP],
                &["svc", "update", "--group", "default"],
            )),
            Fault::ConfigApply => self.apply(aim),
        }
    }

    fn cut(&mut self, aim: &Aim<'_>) -> Result<String, No> {
        let count = self.ring.hosts.len();
        let (host, chance) = (aim.host, aim.planned.chance);
        let others = (0..count).filter(|other| *other != host);
        let pairs: BTreeSet<(usize, usize)> = match aim.planned.fault {
            Fault::Isolate => others.flat_map(|other| [(host, other), (other, host)]).collect(),
            Fault::OneWay if chance.is_multiple_of(2) => others.map(|other| (host, other)).collect(),
            Fault::OneWay => others.map(|other| (other, host)).collect(),
            _ => {
                // The host is on the second side, and at least one other on the first.
                let first: BTreeSet<usize> =
                    (0..count).filter(|i| *i != host && (chance >> i) & 1 == 1).collect();
                let first = if first.is_empty() { BTreeSet::from([(host + 1) % count]) } else { first };
                let second = (0..count).filter(|index| !first.contains(index));
                second.flat_map(|b| first.iter().flat_map(move |a| [(*a, b), (b, *a)])).collect()
            }
        };
        let sides: Vec<String> = pairs
            .iter()
            .map(|(from, to)| format!("{}>{}", self.ring.hosts[*from].name, self.ring.hosts[*to].name))
            .collect();
        self.cuts += 1;
        let cut = self.cuts;
        self.ring.cut(cut, pairs)?;
        self.later(aim.planned.lasts, Undo::Mend(cut));
        Ok(format!("lost is {}", sides.join(" ")))
    }

    fn signal_supervisor(&mut self, aim: &Aim<'_>, signal: Signal) -> Result<String, No> {
        let supervisors = self.ring.with_part(aim.host, |part| *part == Part::Supervisor);
        let Some(supervisor) = supervisors.first() else { return not_now("no supervisor runs") };
        let pid = supervisor.pid;
        self.expect_kept(aim.host, aim.planned.fault);
        process::signal(supervisor, signal);
        Ok(format!("{signal} to the supervisor, process {pid}"))
    }

    fn restart_supervisor(&mut self, aim: &Aim<'_>) -> Result<String, No> {
        self.expect_kept(aim.host, aim.planned.fault);
        self.ask(aim.host, aim.service.name, vec!["sup".to_owned(), "restart".to_owned()]);
        Ok("annulus sup restart".to_owned())
    }

    /// Stops processes for a while. `limit`: the checker is told that this service, or the whole host, cannot do better.
    fn stop(
        &mut self,
        aim: &Aim<'_>,
        wanted: &dyn Fn(&Part) -> bool,
        limit: Option<Option<&'static str>>,
    ) -> Result<String, No> {
        let all = self.ring.processes_of(aim.host);
        let parts = process::parts(&all, self.ring.launcher_pid(aim.host));
        let mut chosen: Vec<(u8, Process)> = parts
            .into_iter()
            .filter(|(_, part)| wanted(part))
            .map(|(process, part)| (order(&part), process.clone()))
            .collect();
        if chosen.is_empty() {
            return not_now("there is no such process");
        }
        // What is watched stops before what watches it, and goes on after it.
        chosen.sort_by_key(|(order, process)| (*order, process.pid));
        if let Some(service) = limit {
            self.judge.stands_still(&aim.name, service, boot());
        }
        for (_, process) in chosen.iter().rev() {
            process::signal(process, Signal::SIGSTOP);
        }
        let processes: Vec<Process> = chosen.into_iter().map(|(_, process)| process).collect();
        let pids: Vec<String> = processes.iter().map(|process| process.pid.to_string()).collect();
        self.later(aim.planned.lasts, Undo::Continue { host: aim.host, processes, limit });
        let lasts = aim.planned.lasts.as_secs_f64();
        Ok(format!("SIGSTOP for {lasts:.1} s to {} ({})", pids.join(" "), aim.service.name))
    }

    fn kill_launcher(&mut self, aim: &Aim<'_>) -> Result<String, No> {
        let all = self.ring.processes_of(aim.host);
        self.ring.reap(aim.host);
        self.watch.expect_gone(&aim.name, "the launcher was killed", all, boot());
        self.later(aim.planned.lasts, Undo::Start(aim.host));
        Ok(format!("kill -9 of the launcher, for {:.1} s", aim.planned.lasts.as_secs_f64()))
    }

    fn kill_guard(&mut self, aim: &Aim<'_>) -> Result<String, No> {
        let service = aim.service.name;
        let launcher = self.ring.launcher_pid(aim.host);
        let guards = self.ring.with_part(aim.host, |part| *part == Part::Guard(service.to_owned()));
        // Guards of hooks are below it.
        let Some(guard) = guards.iter().find(|guard| Some(guard.parent) == launcher) else {
            return not_now("the service has no guard");
        };
        let tree = self.ring.with_part(aim.host, |part| *part == Part::Service(service.to_owned()));
        process::signal(guard, Signal::SIGKILL);
        self.watch.expect_gone(&aim.name, &format!("the guard of {service} was killed"), tree, boot());
        Ok(format!("kill -9 of the guard of {service}, process {}", guard.pid))
    }

    fn kill_service(&mut self, aim: &Aim<'_>) -> Result<String, No> {
        let service = aim.service.name;
        let tree = self.ring.with_part(aim.host, |part| *part == Part::Service(service.to_owned()));
        // The first process of the tree is the oldest one that is no hook.
        let first =
            tree.iter().filter(|process| !process.is_hook()).min_by_key(|p| (p.start, p.pid)).cloned();
        let Some(first) = first else { return not_now("no process of it runs") };
        process::signal(&first, Signal::SIGKILL);
        self.watch.expect_gone(
            &aim.name,
            &format!("the first process of {service} was killed"),
            tree,
            boot(),
        );
        Ok(format!("kill -9 of {service}, process {}", first.pid))
    }

    fn kill_host(&mut self, aim: &Aim<'_>) -> Result<String, No> {
        self.ring.power_off(aim.host)?;
        self.later(aim.planned.lasts, Undo::PowerOn(aim.host));
        Ok(format!("no power for {:.1} s", aim.planned.lasts.as_secs_f64()))
    }

    fn freeze_disk(&mut self, aim: &Aim<'_>) -> Result<String, No> {
        let Some(disk) = &mut self.ring.hosts[aim.host].disk else {
            return not_now("this machine gives no disks to freeze");
        };
        if disk.is_frozen() {
            return not_now("it is frozen already");
        }
        disk.freeze()?;
        self.later(aim.planned.lasts, Undo::Thaw(aim.host));
        Ok(format!("the disk takes no writes for {:.1} s", aim.planned.lasts.as_secs_f64()))
    }

    fn control_hooks(&mut self, aim: &Aim<'_>, control: &str) -> Result<String, No> {
        let service = aim.service.name;
        let path = self.ring.home.control(&aim.name, service);
        fs::write(&path, control).map_err(BedError::io(path.display()))?;
        self.later(aim.planned.lasts, Undo::HooksWork { host: aim.host, service });
        Ok(format!("hooks of {service}: {control}, for {:.1} s", aim.planned.lasts.as_secs_f64()))
    }

    /// Does a command about a service, and the one that takes it back later.
    fn operate(&mut self, aim: &Aim<'_>, now: &[&str], later: &[&str]) -> String {
        let service = aim.service;
        let words = |command: &[&str]| -> Vec<String> {
            if command == ["svc", "load"] {
                return super::ring::load_words(service);
            }
            let (verb, options) = command.split_at(2);
            let ident = service.ident();
            let all = verb.iter().copied().chain([ident.as_str()]).chain(options.iter().copied());
            all.map(str::to_owned).collect()
        };
        if matches!(aim.planned.fault, Fault::SvcStop | Fault::SvcUnload) {
            self.watch_announcement(aim.host, service);
        }
        self.ask(aim.host, service.name, words(now));
        let (host, service) = (aim.host, service.name);
        self.later(aim.planned.lasts, Undo::Ask { host, service, words: words(later) });
        format!("annulus {}", words(now).join(" "))
    }

    fn apply(&mut self, aim: &Aim<'_>) -> Result<String, No> {
        let version = self.next_version(aim.service.name)?;
        let mut words = self.apply_words(aim.service, version);
        if aim.planned.waits() {
            words.push("--wait".to_owned());
        }
        let text = format!("annulus {}", words.join(" "));
        self.ask(aim.host, aim.service.name, words);
        Ok(text)
    }

    /// Writes the next version of a group's configuration to a file.
    pub(crate) fn next_version(&mut self, service: &'static str) -> Result<u64, BedError> {
        let versions = self.versions.entry(service).or_default();
        versions.asked += 1;
        let version = versions.asked;
        let path = self.ring.home.config(service, version);
        fs::write(&path, format!("version = {version}\n")).map_err(BedError::io(path.display()))?;
        Ok(version)
    }

    pub(crate) fn apply_words(&self, service: &Service, version: u64) -> Vec<String> {
        let (group, number) = (format!("{}.default", service.name), version.to_string());
        let path = self.ring.home.config(service.name, version).display().to_string();
        ["config", "apply", &group, &number, &path].map(str::to_owned).to_vec()
    }
}

/// What watches comes before what is watched.
fn order(part: &Part) -> u8 {
    match part {
        Part::Guard(_) => 0,
        Part::Launcher => 1,
        Part::Supervisor => 2,
        Part::Service(_) | Part::Other => 3,
    }
}
