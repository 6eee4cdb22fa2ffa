//! The supervisors of one run: the actions done to them, and the states that they hold.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant as Clock};

use annulus_core::{Incarnation, Instant, MemberId, ServiceName, ServiceState, State};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::daemon::{self, Daemon, Settings};
use super::observe::{self, Reported, Seen};
use super::{BedError, Network, services};
use crate::action::room::Ground;
use crate::action::{
    Action, Common, Crash, CrashService, Depart, DiskAfter, Heal, HostId, Join, Kill, Leave, LoadService,
    Partition, Pause, Restart, Resume, StartService, StopService, UnloadService,
};
use crate::engine::host::HostState;
use crate::engine::scene::Scene;
use crate::scenario::Plan;

/// A supervisor that is to be copied from must have answered by then.
const START_MAX: Duration = Duration::from_secs(10);

struct Host {
    settings: Settings,
    state: HostState,
    daemon: Option<Daemon>,
    seen: Seen,
    /// The member that runs, or last ran, here.
    member: Option<MemberId>,
}

/// A ring of real supervisors.
pub(super) struct Ring<'p> {
    plan: &'p Plan,
    // Declared before the bed and the folders, so that every supervisor ends before its place is removed.
    hosts: Vec<Host>,
    bed: Box<dyn Network>,
    folder: TempDir,
    began: Clock,
    now: Instant,
    cut: BTreeSet<(HostId, HostId)>,
    /// Every member that ever ran, and its host.
    known: BTreeMap<MemberId, HostId>,
    reports: (Sender<Reported>, Receiver<Reported>),
}

impl<'p> Ring<'p> {
    pub(super) fn new(plan: &'p Plan, bed: Box<dyn Network>) -> Result<Self, BedError> {
        let folder = tempfile::Builder::new().prefix("annulus-bed-").tempdir();
        let folder = folder.map_err(BedError::io("a folder for the members"))?;
        let program = daemon::program()?;
        let host = |(index, host): (usize, &crate::scenario::plan::PlannedHost)| Host {
            settings: Settings {
                program: program.clone(),
                root: folder.path().join(format!("{index}-{}", host.name)),
                place: bed.place(id(index)).clone(),
                peers: host.peers.iter().map(|peer| bed.place(*peer).gossip).collect(),
                ring_key: None,
                permanent: host.permanent,
                timings: plan.timings.clone(),
            },
            state: HostState::New,
            daemon: None,
            seen: Seen::default(),
            member: None,
        };
        let hosts = plan.hosts.iter().enumerate().map(host).collect();
        Ok(Self {
            plan,
            hosts,
            bed,
            folder,
            began: Clock::now(),
            now: Instant::ZERO,
            cut: BTreeSet::new(),
            known: BTreeMap::new(),
            reports: mpsc::channel(),
        })
    }

    /// The time of the scenario, at this moment.
    pub(super) fn elapsed(&self) -> Instant {
        Instant::ZERO + self.began.elapsed()
    }

    /// Asks all supervisors for their states.
    pub(super) fn observe(&mut self) -> Result<(), BedError> {
        let with_services =
            self.plan.actions.iter().any(|timed| matches!(timed.action, Action::LoadService(_)));
        self.now = self.elapsed();
        for index in 0..self.hosts.len() {
            let host = &mut self.hosts[index];
            if let Some(code) = host.daemon.as_mut().and_then(Daemon::ended) {
                if !(code == 0 || code == DEPARTED || host.state == HostState::Stopped) {
                    let tail = host.daemon.as_ref().map(Daemon::log_tail).unwrap_or_default();
                    let name = &self.plan.hosts[index].name;
                    return Err(BedError::Failed(format!("{name} ended with exit code {code}:\n  {tail}")));
                }
                host.daemon = None;
                host.state = HostState::Stopped;
                host.seen = Seen::default();
            }
            if host.state != HostState::Running {
                continue;
            }
            // A supervisor that does not answer in time is asked again at the next look; its earlier answer still
            // stands.
            let Ok(seen) = observe::look(&host.settings.place, with_services) else { continue };
            if let Some((member, _)) = seen.identity {
                host.member = Some(member);
                self.known.insert(member, id(index));
            }
            host.seen = seen;
        }
        Ok(())
    }

    /// The events since the last call.
    pub(super) fn reported(&self) -> Vec<Reported> {
        self.reports.1.try_iter().collect()
    }

    /// Does an action. Actions beyond the bed, or impossible ones, are found before.
    pub(super) fn act(&mut self, action: &Action) -> Result<(), BedError> {
        let Some(common) = action.common() else { return Ok(()) };
        match common {
            Common::Join(Join { host }) => self.join(*host),
            Common::Restart(Restart { host, disk }) => self.restart(*host, *disk),
            Common::Leave(Leave { host }) => self.signal(*host, Signal::SIGTERM, None),
            Common::Pause(Pause { host }) => self.signal(*host, Signal::SIGSTOP, Some(HostState::Paused)),
            Common::Resume(Resume { host }) => self.signal(*host, Signal::SIGCONT, Some(HostState::Running)),
            Common::Kill(Kill { host }) => self.stop(*host, HostState::Stopped),
            Common::Crash(Crash { host }) => {
                // The cable is pulled first, so that the dying process says nothing.
                self.bed.connect(*host, false)?;
                self.stop(*host, HostState::Crashed)
            }
            Common::Depart(Depart { by, host }) => match self.host(*host).member {
                Some(member) => self.ask(*by, &["sup", "depart", &member.to_string()]),
                None => {
                    Err(BedError::Failed(format!("{} has not said who it is yet", self.plan.name(*host))))
                }
            },
            Common::Partition(Partition { from, to, both }) => {
                self.cut.extend(pairs(from, to));
                self.cut.extend(pairs(to, from).filter(|_| *both));
                self.cut_now()
            }
            Common::Heal(Heal { between: Some((from, to)) }) => {
                let mended: BTreeSet<_> = pairs(from, to).chain(pairs(to, from)).collect();
                self.cut.retain(|pair| !mended.contains(pair));
                self.cut_now()
            }
            Common::Heal(Heal { between: None }) => {
                self.cut.clear();
                self.cut_now()
            }
            Common::LoadService(LoadService { host, service, .. }) => {
                services::load(&self.host(*host).settings, self.folder.path(), service)
            }
            Common::UnloadService(UnloadService { host, service }) => {
                self.ask(*host, &["svc", "unload", &services::ident(service)])
            }
            Common::StopService(StopService { host, service }) => {
                self.ask(*host, &["svc", "stop", &services::ident(service)])
            }
            Common::StartService(StartService { host, service }) => {
                self.ask(*host, &["svc", "start", &services::ident(service)])
            }
            Common::CrashService(CrashService { host, service, .. }) => {
                services::crash(&self.host(*host).settings, service)
            }
            Common::SetLink(_) | Common::SetBurst(_) | Common::SetCapacity(_) => Ok(()),
        }
    }

    fn host(&self, host: HostId) -> &Host {
        &self.hosts[host.0 as usize]
    }

    fn host_mut(&mut self, host: HostId) -> &mut Host {
        &mut self.hosts[host.0 as usize]
    }

    fn start(&mut self, id: HostId) -> Result<(), BedError> {
        let reports = self.reports.0.clone();
        let host = self.host_mut(id);
        host.daemon = Some(host.settings.start()?);
        host.state = HostState::Running;
        host.seen = Seen::default();
        observe::follow(id, host.settings.place.clone(), reports);
        Ok(())
    }

    fn join(&mut self, host: HostId) -> Result<(), BedError> {
        self.start(host)?;
        let old = Action::Restart(Restart { host, disk: DiskAfter::Old });
        if self.plan.actions.iter().any(|timed| timed.action == old) {
            self.back_up(host)?;
        }
        Ok(())
    }

    /// Copies the disk of a supervisor that has just started.
    fn back_up(&mut self, host: HostId) -> Result<(), BedError> {
        let begin = Clock::now();
        let host = self.host(host);
        while observe::look(&host.settings.place, false).is_err() {
            if begin.elapsed() > START_MAX {
                return Err(BedError::Failed("a supervisor to be backed up does not start".to_owned()));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        // The files that a stopped process has written are those that a disk would hold after a power failure.
        let Some(daemon) = &host.daemon else { return Ok(()) };
        daemon.signal(Signal::SIGSTOP);
        let copied = copy(&host.settings.data(), &host.settings.root.join("backup"));
        daemon.signal(Signal::SIGCONT);
        copied.map_err(BedError::io("a backup"))
    }

    fn restart(&mut self, id: HostId, disk: DiskAfter) -> Result<(), BedError> {
        let host = self.host(id);
        let data = host.settings.data();
        let replace = || match disk {
            DiskAfter::Kept => Ok(()),
            DiskAfter::Lost => fs::remove_dir_all(&data),
            DiskAfter::Old => {
                fs::remove_dir_all(&data)?;
                copy(&host.settings.root.join("backup"), &data)
            }
        };
        replace().map_err(BedError::io(data.display()))?;
        if host.state == HostState::Crashed {
            self.bed.connect(id, true)?;
        }
        self.start(id)
    }

    fn signal(&mut self, host: HostId, signal: Signal, state: Option<HostState>) -> Result<(), BedError> {
        let host = self.host_mut(host);
        if let Some(daemon) = &host.daemon {
            daemon.signal(signal);
            // A paused supervisor leaves only when it runs again; here it is let run.
            if signal == Signal::SIGTERM {
                daemon.signal(Signal::SIGCONT);
                host.state = HostState::Running;
            }
        }
        host.state = state.unwrap_or(host.state);
        Ok(())
    }

    fn stop(&mut self, host: HostId, state: HostState) -> Result<(), BedError> {
        let host = self.host_mut(host);
        if let Some(mut daemon) = host.daemon.take() {
            daemon.kill();
        }
        host.state = state;
        host.seen = Seen::default();
        Ok(())
    }

    fn ask(&self, host: HostId, arguments: &[&str]) -> Result<(), BedError> {
        self.host(host).settings.ask(arguments).map(drop)
    }

    fn cut_now(&mut self) -> Result<(), BedError> {
        let pairs: Vec<(HostId, HostId)> = self.cut.iter().copied().collect();
        self.bed.cut(&pairs)
    }
}

/// The exit code of a supervisor that was banned.
const DEPARTED: i32 = 86;

fn id(index: usize) -> HostId {
    HostId(u32::try_from(index).unwrap_or(u32::MAX))
}

fn pairs(from: &[HostId], to: &[HostId]) -> impl Iterator<Item = (HostId, HostId)> {
    from.iter().flat_map(|a| to.iter().map(|b| (*a, *b))).filter(|(a, b)| a != b)
}

fn copy(from: &std::path::Path, to: &std::path::Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else if entry.file_type()?.is_file() {
            // A disk keeps no sockets.
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

impl Scene for Ring<'_> {
    fn now(&self) -> Instant {
        self.now
    }

    fn name(&self, host: HostId) -> &str {
        self.plan.name(host)
    }

    fn host_by_member(&self, member: &MemberId) -> Option<HostId> {
        self.known.get(member).copied()
    }

    fn state(&self, host: HostId) -> HostState {
        self.host(host).state
    }

    fn identity(&self, host: HostId) -> Option<(MemberId, Incarnation)> {
        self.host(host).seen.identity
    }

    fn member_id(&self, host: HostId) -> Option<MemberId> {
        self.host(host).member
    }

    fn held(&self, by: HostId, member: &MemberId) -> Option<State> {
        self.host(by).seen.members.get(member).copied()
    }

    fn count(&self, by: HostId, state: Option<State>) -> usize {
        let members = self.host(by).seen.members.values();
        members.filter(|held| state.is_none_or(|state| state == **held)).count()
    }

    fn service(&self, on: HostId, service: &ServiceName) -> Option<ServiceState> {
        self.host(on).seen.services.get(service.as_str()).copied()
    }

    fn knows_service(&self, by: HostId, member: &MemberId, service: &ServiceName) -> bool {
        self.host(by).seen.believed.contains(&(*member, service.as_str().to_owned()))
    }
}

impl Ground for Ring<'_> {
    fn host_count(&self) -> usize {
        self.hosts.len()
    }

    fn has_process(&self, _: HostId, _: &ServiceName) -> bool {
        // The daemon knows whether the service takes work, and is asked when the process is to end.
        true
    }
}
