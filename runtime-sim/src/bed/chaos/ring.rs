//! The ring under chaos: hosts with real supervisors in network namespaces, each with its disk and its services.
//! Does what it is told; draws and judges nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use annulus_core::Timings;
use nix::sys::signal::Signal;
use serde_json::Value;

use super::disk::Disk;
use super::home::Home;
use super::operation::Operation;
use super::plans::{self, SERVICES, Service};
use super::process::{self, Part, Pid, Process};
use crate::action::HostId;
use crate::bed::daemon::{Settings, end_with_parent};
use crate::bed::{BedError, Netns, Network, interrupt, observe};

/// Names of hosts; more than these have numbers.
const NAMES: [&str; 10] = ["ada", "bob", "cyd", "dan", "eve", "fay", "gus", "hal", "ida", "joe"];
/// A state of the ring that is not reached within this time never will be.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);
/// What was killed is gone by then, or never.
const GONE: Duration = Duration::from_secs(10);

/// One host.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) settings: Settings,
    pub(crate) launcher: Option<Child>,
    pub(crate) disk: Option<Disk>,
    namespace: u64,
    /// The id of the member that runs here; empty until it has said so.
    pub(crate) member: String,
}

/// All hosts, and the network between them.
pub(crate) struct Ring {
    // In this order, so that every process ends before its disk and its place are removed.
    pub(crate) hosts: Vec<Host>,
    bed: Netns,
    pub(crate) home: Home,
    packages: Vec<PathBuf>,
    keys: PathBuf,
    cuts: BTreeMap<u64, BTreeSet<(usize, usize)>>,
    /// Why disks cannot be frozen; none when they can.
    pub(crate) no_disks: Option<String>,
}

pub(crate) fn host_name(index: usize) -> String {
    NAMES.get(index).map_or_else(|| format!("m{}", index + 1), |name| (*name).to_owned())
}

fn id(index: usize) -> HostId {
    HostId(u32::try_from(index).unwrap_or(u32::MAX))
}

impl Ring {
    /// Makes hosts, disks and packages; starts nothing.
    pub(crate) fn new(home: Home, members: usize) -> Result<Self, BedError> {
        let bed = Netns::new(members)?;
        let (packages, keys) = plans::build(&home)?;
        let gossip: Vec<_> = (0..members).map(|index| bed.place(id(index)).gossip).collect();
        let mut hosts = Vec::new();
        for index in 0..members {
            let name = host_name(index);
            let place = bed.place(id(index)).clone();
            let namespace = place.netns.as_deref().and_then(process::namespace);
            let namespace = namespace.ok_or_else(|| BedError::Failed("a namespace is gone".to_owned()))?;
            let others = gossip.iter().enumerate().filter(|(other, _)| *other != index);
            let settings = Settings {
                program: home.program("annulus"),
                root: home.root(&name),
                place,
                peers: others.map(|(_, address)| *address).collect(),
                ring_key: None,
                permanent: false,
                timings: Timings::lan(),
            };
            hosts.push(Host { name, settings, launcher: None, disk: None, namespace, member: String::new() });
        }
        let mut ring = Self { hosts, bed, home, packages, keys, cuts: BTreeMap::new(), no_disks: None };
        ring.make_disks();
        Ok(ring)
    }

    /// Gives each host a disk of its own; or none to any, and the reason.
    fn make_disks(&mut self) {
        for host in &mut self.hosts {
            match Disk::make(&self.home.image(&host.name), &self.home.host(&host.name)) {
                Ok(disk) => host.disk = Some(disk),
                Err(error) => {
                    self.no_disks = Some(error);
                    break;
                }
            }
        }
        if self.no_disks.is_some() {
            self.hosts.iter_mut().for_each(|host| host.disk = None);
        }
    }

    /// Starts all supervisors with the packages installed, waits until all know all, loads every service everywhere,
    /// and waits until every group has a leader.
    pub(crate) fn begin(&mut self) -> Result<(), BedError> {
        for index in 0..self.hosts.len() {
            self.install(index)?;
            self.start(index)?;
        }
        let count = self.hosts.len();
        self.until("every member knows all others", |ring| {
            (0..count).all(|index| ring.alive(index) == count)
        })?;
        for index in 0..count {
            self.learn_member(index);
        }
        let mut loads: Vec<Operation> = Vec::new();
        for index in 0..count {
            for service in SERVICES {
                loads.push(self.ask(index, &load_words(&service)));
            }
        }
        for load in loads {
            let outcome = load.wait();
            if !outcome.is_done() {
                return Err(BedError::Failed(format!("the ring cannot be prepared: {outcome}")));
            }
        }
        self.until("every group has a leader that all members name", Self::all_name_leaders)
    }

    fn install(&self, index: usize) -> Result<(), BedError> {
        let host = &self.hosts[index];
        let keys = host.settings.root.join("cache/keys");
        let copied = fs::create_dir_all(&keys).and_then(|()| {
            for entry in fs::read_dir(&self.keys)?.flatten() {
                fs::copy(entry.path(), keys.join(entry.file_name()))?;
            }
            Ok(())
        });
        copied.map_err(BedError::io(keys.display()))?;
        let files: Vec<String> = self.packages.iter().map(|path| path.display().to_string()).collect();
        let words: Vec<&str> =
            ["pkg", "install"].into_iter().chain(files.iter().map(String::as_str)).collect();
        host.settings.ask(&words).map(drop)
    }

    /// Starts a host's launcher. Its output goes outside of the disk that may freeze, as to a journal.
    pub(crate) fn start(&mut self, index: usize) -> Result<(), BedError> {
        let log_path = self.log(index);
        let host = &mut self.hosts[index];
        let log = File::options().create(true).append(true).open(&log_path);
        let log = log.map_err(BedError::io(log_path.display()))?;
        let errors = log.try_clone().map_err(BedError::io(log_path.display()))?;
        let mut command = host.settings.run();
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        end_with_parent(&mut command);
        let spawned = crate::bed::daemon::inside(host.settings.place.netns.as_deref(), || command.spawn());
        host.launcher = Some(spawned.map_err(BedError::io(host.settings.program.display()))?);
        Ok(())
    }

    /// The file that a host's launcher writes to.
    pub(crate) fn log(&self, index: usize) -> PathBuf {
        self.home.0.join("logs").join(format!("{}.log", self.hosts[index].name))
    }

    fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) -> Result<(), BedError> {
        let begin = Instant::now();
        while !holds(self) {
            if interrupt::noticed() {
                return Err(BedError::Interrupted);
            }
            for index in 0..self.hosts.len() {
                if let Some(code) = self.ended(index) {
                    let name = &self.hosts[index].name;
                    let tail = last_lines(&self.log(index));
                    return Err(BedError::Failed(format!("{name} ended with exit code {code}:\n  {tail}")));
                }
            }
            if begin.elapsed() > PATIENCE {
                return Err(BedError::Failed(format!("not within {} s: {what}", PATIENCE.as_secs())));
            }
            thread::sleep(LOOK);
        }
        Ok(())
    }

    /// The exit code of a launcher that has ended since the last look; -1 for a signal.
    pub(crate) fn ended(&mut self, index: usize) -> Option<i32> {
        let host = &mut self.hosts[index];
        let status = host.launcher.as_mut()?.try_wait().ok()??;
        host.launcher = None;
        Some(status.code().unwrap_or(-1))
    }

    fn json(&self, index: usize, path: &str) -> Option<Value> {
        let text = observe::get(&self.hosts[index].settings.place, path).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// How many members a member holds alive.
    pub(crate) fn alive(&self, index: usize) -> usize {
        let Some(ring) = self.json(index, "/butterfly") else { return 0 };
        let health = ring["member"]["health"].as_object();
        health.map_or(0, |all| all.values().filter(|state| *state == "Alive").count())
    }

    fn learn_member(&mut self, index: usize) {
        if let Some(id) =
            self.json(index, "/butterfly").as_ref().and_then(|ring| ring["local_member_id"].as_str())
        {
            id.clone_into(&mut self.hosts[index].member);
        }
    }

    /// The leader of each group as a member names it; nothing while it does not answer.
    pub(crate) fn leaders_named_by(&self, index: usize) -> BTreeMap<String, String> {
        let census = self.json(index, "/census").unwrap_or_default();
        let groups = census["census_groups"].as_object().into_iter().flatten();
        groups
            .filter_map(|(group, entry)| Some((group.clone(), entry["leader_id"].as_str()?.to_owned())))
            .collect()
    }

    /// Whether all members name the same leader for every group that elects.
    fn all_name_leaders(&self) -> bool {
        let named: Vec<_> = (0..self.hosts.len()).map(|index| self.leaders_named_by(index)).collect();
        SERVICES.iter().filter(|service| service.elects).all(|service| {
            let group = format!("{}.default", service.name);
            let names: BTreeSet<_> = named.iter().map(|names| names.get(&group)).collect();
            names.len() == 1 && names.iter().flatten().any(|leader| !leader.is_empty())
        })
    }

    /// The host with this member.
    pub(crate) fn host_of(&self, member: &str) -> Option<usize> {
        self.hosts.iter().position(|host| host.member == member)
    }

    pub(crate) fn index(&self, name: &str) -> Option<usize> {
        self.hosts.iter().position(|host| host.name == name)
    }

    /// All processes of every host.
    pub(crate) fn processes(&self) -> Vec<Vec<Process>> {
        let wanted = self.hosts.iter().map(|host| host.namespace).collect();
        let mut found = process::in_namespaces(&wanted);
        self.hosts.iter().map(|host| found.remove(&host.namespace).unwrap_or_default()).collect()
    }

    /// The processes of one host.
    pub(crate) fn processes_of(&self, index: usize) -> Vec<Process> {
        let namespace = self.hosts[index].namespace;
        process::in_namespaces(&BTreeSet::from([namespace])).remove(&namespace).unwrap_or_default()
    }

    pub(crate) fn launcher_pid(&self, index: usize) -> Option<Pid> {
        self.hosts[index].launcher.as_ref().map(Child::id)
    }

    /// The processes of a host that have this part.
    pub(crate) fn with_part(&self, index: usize, wanted: impl Fn(&Part) -> bool) -> Vec<Process> {
        let all = self.processes_of(index);
        let parts = process::parts(&all, self.launcher_pid(index));
        parts.into_iter().filter(|(_, part)| wanted(part)).map(|(process, _)| process.clone()).collect()
    }

    /// Starts a command of an operator at a host.
    pub(crate) fn ask(&self, index: usize, words: &[String]) -> Operation {
        Operation::start(&self.hosts[index].settings, &self.hosts[index].name, words)
    }

    /// Loses everything between these ordered pairs, besides what other cuts lose, until it is mended.
    pub(crate) fn cut(&mut self, cut: u64, pairs: BTreeSet<(usize, usize)>) -> Result<(), BedError> {
        self.cuts.insert(cut, pairs);
        self.cut_now()
    }

    pub(crate) fn mend(&mut self, cut: u64) -> Result<(), BedError> {
        self.cuts.remove(&cut);
        self.cut_now()
    }

    fn cut_now(&mut self) -> Result<(), BedError> {
        let pairs: BTreeSet<_> =
            self.cuts.values().flatten().map(|(from, to)| (id(*from), id(*to))).collect();
        self.bed.cut(&pairs.into_iter().collect::<Vec<_>>())
    }

    pub(crate) fn is_cut(&self) -> bool {
        !self.cuts.is_empty()
    }

    /// Takes the power from a host: its cable says nothing more, and no process is left.
    pub(crate) fn power_off(&mut self, index: usize) -> Result<(), BedError> {
        self.bed.connect(id(index), false)?;
        let namespace = self.hosts[index].namespace;
        for process in self.processes_of(index) {
            process::signal(&process, Signal::SIGSTOP);
        }
        // What waits for a disk that stands still cannot even die.
        if let Some(disk) = &mut self.hosts[index].disk {
            disk.thaw()?;
        }
        let left = process::kill_all(namespace, GONE);
        self.reap(index);
        match left.first() {
            None => Ok(()),
            Some(process) => {
                let name = &self.hosts[index].name;
                Err(BedError::Failed(format!("process {} of {name} cannot be killed", process.pid)))
            }
        }
    }

    pub(crate) fn power_on(&mut self, index: usize) -> Result<(), BedError> {
        self.bed.connect(id(index), true)?;
        self.start(index)
    }

    /// Waits for a launcher that was killed.
    pub(crate) fn reap(&mut self, index: usize) {
        let host = &mut self.hosts[index];
        let Some(mut launcher) = host.launcher.take() else { return };
        let _ = launcher.kill();
        let begin = Instant::now();
        while matches!(launcher.try_wait(), Ok(None)) && begin.elapsed() < GONE {
            thread::sleep(LOOK);
        }
        let is_stuck = matches!(launcher.try_wait(), Ok(None));
        if let Some(disk) = host.disk.as_mut().filter(|_| is_stuck) {
            // What waits for a frozen disk ends no sooner, and the plan that would thaw it waits here.
            let _ = disk.thaw();
        }
        let _ = launcher.wait();
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        for index in 0..self.hosts.len() {
            if let Some(disk) = &mut self.hosts[index].disk {
                let _ = disk.thaw();
            }
            for process in process::kill_all(self.hosts[index].namespace, GONE) {
                eprintln!("process {} of {} cannot be killed", process.pid, self.hosts[index].name);
            }
            self.reap(index);
        }
    }
}

/// The command that loads a service.
pub(crate) fn load_words(service: &Service) -> Vec<String> {
    let topology = if service.elects { "leader" } else { "standalone" };
    let ident = service.ident();
    let words = ["svc", "load", &ident, "--topology", topology, "--health-check-interval", plans::HEALTH_S];
    words.map(str::to_owned).to_vec()
}

fn last_lines(path: &std::path::Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n  ")
}
