//! Doing something to a world: each [`Action`], and why it may be impossible.

use annulus_core::{Command, ExitStatus, MemberId, ServiceName, ServiceSpec, StopHow};
use thiserror::Error;

use crate::action::fault;
use crate::action::world::{What, World};
use crate::action::{Action, DiskAfter, HostId, LinkQuality};
use crate::engine::host::HostState;
use crate::engine::lead::Load;
use crate::engine::lifecycle::WorldError;
use crate::engine::process::{Process, name, spec};
use crate::engine::record::{Recording, StopReason};
use crate::engine::scene::Scene;

/// Why something cannot be done. Nothing changed.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ActionError {
    /// No such host.
    #[error("there is no host number {0}")]
    UnknownHost(u32),
    /// It is not in a state in which that is possible.
    #[error("{host} cannot {verb}: it {state}")]
    State {
        /// The host's name.
        host: String,
        /// What was to be done.
        verb: &'static str,
        /// What it is instead.
        state: &'static str,
    },
    /// No member ever ran there.
    #[error("{0} cannot be banned: no member has run there yet")]
    NoMember(String),
    /// The world cannot do it.
    #[error(transparent)]
    World(#[from] WorldError),
    /// No such process.
    #[error("{service} on {host} cannot crash: it does not run there")]
    ServiceNotRunning {
        /// The host's name.
        host: String,
        /// The service.
        service: String,
    },
    /// A link's numbers contradict each other.
    #[error("a link cannot be like that: {0}")]
    Link(&'static str),
    /// A clock or a processor cannot go so.
    #[error("a host cannot be like that: {0}")]
    Host(&'static str),
    /// The bed cannot do that.
    #[error("not on this bed: {0}")]
    NotHere(&'static str),
}

impl ActionError {
    /// Whether the same could be done at another time; a disk that cannot be read back is worse than that.
    #[must_use]
    pub const fn is_untimely(&self) -> bool {
        matches!(self, Self::State { .. } | Self::NoMember(_) | Self::ServiceNotRunning { .. })
    }
}

impl World {
    /// Does something to the world, now.
    ///
    /// # Errors
    /// What is impossible, such as a second join; nothing changed then.
    pub fn apply(&mut self, action: &Action) -> Result<(), ActionError> {
        check(self, action)?;
        self.note(Recording::Events, || What::Action(action.clone()));
        self.calm = matches!(action, Action::Calm);
        match action {
            Action::Join(host) => self.start(host.0)?,
            Action::Restart(host, disk) => self.restart(host.0, *disk)?,
            Action::Leave(host) => self.command(*host, Command::Leave { drain: true }),
            Action::Depart { by, host } => {
                let member = member_of(self, *host)?;
                self.command(*by, Command::Depart { member });
            }
            Action::DepartId { by, member } => self.command(*by, Command::Depart { member: *member }),
            Action::Crash(host) => self.stop(host.0, StopReason::Crashed),
            Action::Kill(host) => self.stop(host.0, StopReason::Killed),
            Action::Pause(host) => self.hosts[host.0 as usize].state = HostState::Paused,
            Action::Resume(host) => self.resume(host.0),
            Action::Cut { from, to, both } => self.net.cut(from, to, *both),
            Action::Mend { from, to } => self.net.mend(from, to),
            Action::Heal => self.net.heal(),
            Action::Calm => self.make_calm()?,
            Action::SetLink { from, to, quality } => self.net.set_quality(from, to, *quality),
            Action::Burst { from, to, burst } => self.net.faults.set_burst(from, to, *burst),
            Action::Capacity { from, to, capacity } => self.net.faults.set_capacity(from, to, *capacity),
            Action::Slow { host, delay } => self.set_slow(host.0, *delay),
            Action::ClockRate { host, ppm } => self.set_clock_rate(*host, *ppm),
            Action::ClockJump { host, by_ms } => self.jump_wall_clock(*host, *by_ms),
            Action::Suspend { host, lasting } => self.suspend(*host, *lasting),
            Action::CrashAtSync(host) => self.hosts[host.0 as usize].rest.crash_at_sync = true,
            Action::CrashLoop { host, times, up, down } => self.crash_loop(host.0, *times, *up, *down),
            Action::CloneDisk { host, of } => self.clone_disk(host.0, of.0)?,
            Action::LoadService { host, service, how } => {
                let mut spec = loaded(service, *how)?;
                self.set_suitability(*host, service, how.suitability);
                let package = self.hosts[host.0 as usize].rest.packages.get(&spec.name());
                spec.binds.extend(package.and_then(|package| package.bind.clone()));
                self.command(*host, Command::LoadService { spec, force: false });
            }
            Action::UnloadService { host, service } => {
                self.command(
                    *host,
                    Command::UnloadService { service: name(service)?, how: StopHow::default() },
                );
            }
            Action::StopService { host, service } => {
                self.command(
                    *host,
                    Command::StopService { service: name(service)?, how: StopHow::default() },
                );
            }
            Action::StartService { host, service } => {
                self.command(*host, Command::StartService { service: name(service)? });
            }
            Action::Give { host, given } => self.command(*host, given.command()),
            Action::Package { host, service, package } => {
                self.hosts[host.0 as usize].rest.packages.insert(name(service)?, (**package).clone());
            }
            Action::Balance(balancer) => self.add_balancer((**balancer).clone())?,
            Action::CrashService { host, service, code } => self.crash_service(*host, service, *code)?,
        }
        Ok(())
    }

    fn restart(&mut self, index: u32, disk: DiskAfter) -> Result<(), ActionError> {
        let held = &mut self.hosts[index as usize].rest.disk;
        match disk {
            DiskAfter::Kept => {}
            DiskAfter::Lost => held.lose(),
            DiskAfter::Old => held.restore_backup(),
        }
        let there = &mut self.hosts[index as usize].rest;
        there.departed &= disk == DiskAfter::Kept;
        there.cloned &= disk != DiskAfter::Lost;
        Ok(self.start(index)?)
    }

    fn process_of(&self, host: HostId, service: &str) -> Result<(ServiceName, Process), ActionError> {
        let service = name(service)?;
        match self.hosts[host.0 as usize].rest.processes.get(&service) {
            Some(process) => Ok((service, process)),
            None => Err(ActionError::ServiceNotRunning {
                host: self.spec(host).name.clone(),
                service: service.as_str().to_owned(),
            }),
        }
    }

    fn crash_service(&mut self, host: HostId, service: &str, code: i32) -> Result<(), ActionError> {
        let (service, process) = self.process_of(host, service)?;
        self.end_process(host.0, &service, process.pid, ExitStatus::Code(code));
        Ok(())
    }
}

/// What has to be known of a ring to tell whether an action is possible.
pub(crate) trait Ground: Scene {
    /// Hosts, running or not.
    fn host_count(&self) -> usize;
    /// Whether a service has a process on a host.
    fn has_process(&self, host: HostId, service: &ServiceName) -> bool;
}

impl Ground for World {
    fn host_count(&self) -> usize {
        self.hosts.len()
    }

    fn has_process(&self, host: HostId, service: &ServiceName) -> bool {
        self.hosts[host.0 as usize].rest.processes.get(service).is_some()
    }
}

/// Whether the action is possible.
pub(crate) fn check(ground: &dyn Ground, action: &Action) -> Result<(), ActionError> {
    use HostState::{Crashed, New, Paused, Running, Stopped};
    const PROCESS: &[HostState] = &[Running, Paused];
    let known = |host: &HostId| known(ground, *host);
    let expect = |host: &HostId, verb, states| expect(ground, *host, verb, states);
    match action {
        Action::Join(host) => expect(host, "join", &[New]),
        Action::Restart(host, _) => expect(host, "restart", &[Stopped, Crashed]),
        Action::Leave(host) => expect(host, "leave", PROCESS),
        Action::Depart { by, host } => {
            known(host)?;
            member_of(ground, *host)?;
            expect(by, "ban a member", PROCESS)
        }
        Action::DepartId { by, .. } => expect(by, "ban a member", PROCESS),
        Action::Crash(host) => expect(host, "crash", &[Running, Paused, Stopped]),
        Action::Kill(host) => expect(host, "be killed", PROCESS),
        Action::Pause(host) => expect(host, "pause", &[Running]),
        Action::Resume(host) => expect(host, "resume", &[Paused]),
        Action::Cut { from, to, .. } | Action::Mend { from, to } => from.iter().chain(to).try_for_each(known),
        Action::Heal | Action::Calm => Ok(()),
        Action::SetLink { from, to, quality } => {
            from.iter().chain(to).try_for_each(known)?;
            check_quality(quality)
        }
        Action::Burst { from, to, burst } => {
            from.iter().chain(to).try_for_each(known)?;
            fault::check_burst(burst.as_ref())
        }
        Action::Capacity { from, to, capacity } => {
            from.iter().chain(to).try_for_each(known)?;
            fault::check_capacity(capacity.as_ref())
        }
        Action::Slow { host, delay } => {
            known(host)?;
            fault::check_delay(delay.as_ref())
        }
        Action::ClockRate { host, ppm } => {
            known(host)?;
            fault::check_rate(*ppm)
        }
        Action::ClockJump { host, .. } | Action::Suspend { host, .. } => known(host),
        Action::CrashAtSync(host) => expect(host, "crash at its next sync", PROCESS),
        Action::CrashLoop { host, .. } => expect(host, "crash", PROCESS),
        Action::CloneDisk { host, of } => {
            expect(host, "start from a copied disk", &[New, Stopped, Crashed])?;
            known(of)?;
            member_of(ground, *of).map(drop)
        }
        Action::LoadService { host, service, .. } => {
            spec(service)?;
            expect(host, "load a service", PROCESS)
        }
        Action::UnloadService { host, service }
        | Action::StopService { host, service }
        | Action::StartService { host, service } => {
            name(service)?;
            expect(host, "change a service", PROCESS)
        }
        Action::Give { host, .. } => expect(host, "be given a version", PROCESS),
        Action::Package { service, .. } => Ok(name(service).map(|_| ())?),
        Action::Balance(balancer) => Ok(name(&balancer.service).map(|_| ())?),
        Action::CrashService { host, service, .. } => {
            expect(host, "lose a service", PROCESS)?;
            has_process(ground, *host, service)
        }
    }
}

fn has_process(ground: &dyn Ground, host: HostId, service: &str) -> Result<(), ActionError> {
    if ground.has_process(host, &name(service)?) {
        return Ok(());
    }
    Err(ActionError::ServiceNotRunning { host: ground.name(host).to_owned(), service: service.to_owned() })
}

fn known(ground: &dyn Ground, host: HostId) -> Result<(), ActionError> {
    if (host.0 as usize) < ground.host_count() { Ok(()) } else { Err(ActionError::UnknownHost(host.0)) }
}

fn expect(
    ground: &dyn Ground,
    host: HostId,
    verb: &'static str,
    states: &[HostState],
) -> Result<(), ActionError> {
    known(ground, host)?;
    let state = ground.state(host);
    if states.contains(&state) {
        return Ok(());
    }
    let state = match state {
        HostState::New => "has not joined yet",
        HostState::Running => "runs",
        HostState::Paused => "is paused",
        HostState::Stopped => "has no supervisor running",
        HostState::Crashed => "is crashed",
    };
    Err(ActionError::State { host: ground.name(host).to_owned(), verb, state })
}

pub(crate) fn member_of(ground: &dyn Ground, host: HostId) -> Result<MemberId, ActionError> {
    ground.member_id(host).ok_or_else(|| ActionError::NoMember(ground.name(host).to_owned()))
}

/// The spec of a service that is loaded with these options.
pub(crate) fn loaded(service: &str, how: Load) -> Result<ServiceSpec, ActionError> {
    Ok(ServiceSpec { topology: how.topology(), quorum: how.quorum, ..spec(service)? })
}

fn check_quality(quality: &LinkQuality) -> Result<(), ActionError> {
    if quality.latency_min > quality.latency_max {
        return Err(ActionError::Link("the shortest latency exceeds the longest"));
    }
    for ratio in [quality.loss, quality.duplicate, quality.reorder] {
        if ratio.denominator == 0 {
            return Err(ActionError::Link("a ratio's denominator is zero"));
        }
    }
    Ok(())
}
