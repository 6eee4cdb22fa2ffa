//! A scenario's actions, done to this ring.

use annulus_core::{Command, CommandError, EffectResult, ExitStatus, MemberId, Reply, ServiceName, StopHow};

use super::ring::ip;
use super::{TurmoilBed, operator, ring};
use crate::action::ActionError;
use crate::action::room::member_of;
use crate::action::world::What;
use crate::action::{
    Action, Common, Crash, CrashService, Depart, DiskAfter, Heal, HostId, Join, Kill, Leave, LoadService,
    Partition, Pause, Restart, Resume, SetBurst, SetCapacity, SetLink, StartService, StopService,
    UnloadService,
};
use crate::engine::host::HostState;
use crate::engine::lifecycle::WorldError;
use crate::engine::process::name;
use crate::engine::record::StopReason;
use crate::engine::scene::Scene as _;
use crate::engine::services::loaded;

/// The refusal of every other action.
const BEYOND: &str = "an action that only the simulator knows";

/// Why this bed cannot do this action; none when it can.
pub(super) const fn beyond(action: &Action) -> Option<&'static str> {
    match action.common() {
        Some(_) => None,
        None => Some(BEYOND),
    }
}

impl TurmoilBed {
    fn start(&mut self, host: HostId) -> Result<(), ActionError> {
        let prepared = self.shared.lock().prepare_start(host.0);
        prepared.map_err(|error| WorldError::Disk { host: self.name(host).to_owned(), error })?;
        self.rewire();
        self.sim.bounce(ip(host.0));
        Ok(())
    }

    fn stop(&mut self, host: HostId, why: StopReason) {
        let now = self.now;
        self.shared.lock().stopped(host.0, now, why);
        // A crashing host says no farewell: its links are dead before its sockets are closed.
        self.rewire();
        self.sim.crash(ip(host.0));
    }

    fn command(&mut self, host: HostId, command: Command) {
        let mut ring = self.shared.lock();
        let request = ring.next_request();
        ring.note(self.now, What::Asked { host, request });
        let orders = ring.host_mut(host.0).orders.clone();
        let given = orders.is_some_and(|orders| orders.send((request, command)).is_ok());
        if !given {
            // Its process is just starting or ending.
            let reply = Reply::Failed(CommandError::Leaving);
            ring.note(self.now, What::Reply { host, request, reply });
        }
    }

    /// Bans a member as an operator does, over the wire; the answer is recorded when it comes.
    fn depart(&mut self, by: HostId, member: MemberId) {
        let request = self.shared.lock().next_request();
        self.shared.lock().note(self.now, What::Asked { host: by, request });
        let shared = self.shared.clone();
        self.order(move |net| async move {
            let reply = match operator::depart(net, by.0, member).await {
                Ok(()) => Reply::Done,
                Err(_) => Reply::Failed(CommandError::Leaving),
            };
            shared.lock().note(ring::now(), What::Reply { host: by, request, reply });
        });
    }

    fn set_paused(&mut self, host: HostId, paused: bool) {
        let mut ring = self.shared.lock();
        let host = ring.host_mut(host.0);
        host.state = if paused { HostState::Paused } else { HostState::Running };
        if let Some(waker) = host.waker.take() {
            waker.wake();
        }
    }

    fn crash_service(&mut self, host: HostId, service: &ServiceName, code: i32) {
        let (now, status) = (self.now, ExitStatus::Code(code));
        let mut ring = self.shared.lock();
        let Some(pid) = ring.host_mut(host.0).guards.get(service).map(|guard| guard.pid) else { return };
        let ended = ring.end_process(host.0, now, service, pid, status);
        if let (Some(spawn), Some(done)) = (ended, &ring.host_mut(host.0).done) {
            // The queue is far longer than the orders that a node has under way.
            let _ = done.try_send((spawn, EffectResult::Exited(status)));
        }
    }

    pub(super) fn perform(&mut self, action: &Action) -> Result<(), ActionError> {
        let common = action.common().ok_or(ActionError::NotHere(BEYOND))?;
        action.check(self)?;
        self.shared.lock().note(self.now, What::Action(action.clone()));
        match common {
            Common::Join(Join { host }) => self.start(*host)?,
            Common::Restart(Restart { host, disk }) => {
                match disk {
                    DiskAfter::Kept => {}
                    DiskAfter::Lost => self.shared.lock().host_mut(host.0).disk.lose(),
                    DiskAfter::Old => self.shared.lock().host_mut(host.0).disk.restore_backup(),
                }
                self.start(*host)?;
            }
            Common::Leave(Leave { host }) => self.command(*host, Command::Leave { drain: true }),
            Common::Depart(Depart { by, host }) => self.depart(*by, member_of(self, *host)?),
            Common::Crash(Crash { host }) => self.stop(*host, StopReason::Crashed),
            Common::Kill(Kill { host }) => self.stop(*host, StopReason::Killed),
            Common::Pause(Pause { host }) => self.set_paused(*host, true),
            Common::Resume(Resume { host }) => self.set_paused(*host, false),
            Common::Partition(Partition { from, to, both }) => self.shared.lock().net.cut(from, to, *both),
            Common::Heal(Heal { between: Some((from, to)) }) => self.shared.lock().net.mend(from, to),
            Common::Heal(Heal { between: None }) => self.shared.lock().net.heal(),
            Common::SetLink(SetLink { from, to, quality }) => {
                self.shared.lock().net.set_quality(from, to, *quality);
                self.retime();
            }
            Common::SetBurst(SetBurst { from, to, burst }) => {
                self.shared.lock().net.faults.set_burst(from, to, *burst);
            }
            Common::SetCapacity(SetCapacity { from, to, capacity }) => {
                self.shared.lock().net.faults.set_capacity(from, to, *capacity);
            }
            Common::LoadService(LoadService { host, service, how }) => {
                let spec = loaded(service, how)?;
                self.command(*host, Command::LoadService { spec, force: false });
            }
            Common::UnloadService(UnloadService { host, service }) => {
                self.command(
                    *host,
                    Command::UnloadService { service: name(service)?, how: StopHow::default() },
                );
            }
            Common::StopService(StopService { host, service }) => {
                self.command(
                    *host,
                    Command::StopService { service: name(service)?, how: StopHow::default() },
                );
            }
            Common::StartService(StartService { host, service }) => {
                self.command(*host, Command::StartService { service: name(service)? });
            }
            Common::CrashService(CrashService { host, service, code }) => {
                self.crash_service(*host, &name(service)?, *code);
            }
        }
        self.rewire();
        Ok(())
    }
}
