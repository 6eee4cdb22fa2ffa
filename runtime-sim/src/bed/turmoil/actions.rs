//! What scenarios do to a ring, done to this one.

use annulus_core::{Command, CommandError, EffectResult, ExitStatus, MemberId, Reply, ServiceName, StopHow};

use super::ring::ip;
use super::{TurmoilBed, operator, ring};
use crate::action::apply::{self, ActionError};
use crate::action::world::What;
use crate::action::{Action, DiskAfter, HostId};
use crate::engine::host::HostState;
use crate::engine::lifecycle::WorldError;
use crate::engine::process;
use crate::engine::record::StopReason;
use crate::engine::scene::Scene as _;

/// Why this bed cannot do this; none when it can.
pub(super) fn beyond(action: &Action) -> Option<&'static str> {
    match action {
        Action::Join(_)
        | Action::Restart(..)
        | Action::Leave(_)
        | Action::Depart { .. }
        | Action::DepartId { .. }
        | Action::Crash(_)
        | Action::Kill(_)
        | Action::Pause(_)
        | Action::Resume(_)
        | Action::Cut { .. }
        | Action::Mend { .. }
        | Action::Heal
        | Action::SetLink { .. }
        | Action::Burst { .. }
        | Action::Capacity { .. }
        | Action::LoadService { .. }
        | Action::UnloadService { .. }
        | Action::StopService { .. }
        | Action::StartService { .. }
        | Action::CrashService { .. } => None,
        Action::Give { .. } => Some("configuration and files of groups"),
        _ => Some("an action that only the simulator knows"),
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
        // What crashes says no farewell: its links are dead before its sockets are closed.
        self.rewire();
        self.sim.crash(ip(host.0));
    }

    fn command(&mut self, host: HostId, command: Command) {
        let mut ring = self.shared.lock();
        let request = ring.next_request();
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
        let Some(process) = ring.host_mut(host.0).processes.get(service) else { return };
        let ended = ring.end_process(host.0, now, service, process.pid, status);
        if let (Some(spawn), Some(done)) = (ended, &ring.host_mut(host.0).done) {
            // The queue is far longer than what a node has under way.
            let _ = done.try_send((spawn, EffectResult::Exited(status)));
        }
    }

    pub(super) fn perform(&mut self, action: &Action) -> Result<(), ActionError> {
        if let Some(what) = beyond(action) {
            return Err(ActionError::NotHere(what));
        }
        apply::check(self, action)?;
        self.shared.lock().note(self.now, What::Action(action.clone()));
        match action {
            Action::Join(host) => self.start(*host)?,
            Action::Restart(host, disk) => {
                match disk {
                    DiskAfter::Kept => {}
                    DiskAfter::Lost => self.shared.lock().host_mut(host.0).disk.lose(),
                    DiskAfter::Old => self.shared.lock().host_mut(host.0).disk.restore_backup(),
                }
                self.start(*host)?;
            }
            Action::Leave(host) => self.command(*host, Command::Leave { drain: true }),
            Action::Depart { by, host } => self.depart(*by, apply::member_of(self, *host)?),
            Action::DepartId { by, member } => self.depart(*by, *member),
            Action::Crash(host) => self.stop(*host, StopReason::Crashed),
            Action::Kill(host) => self.stop(*host, StopReason::Killed),
            Action::Pause(host) => self.set_paused(*host, true),
            Action::Resume(host) => self.set_paused(*host, false),
            Action::Cut { from, to, both } => self.shared.lock().net.cut(from, to, *both),
            Action::Mend { from, to } => self.shared.lock().net.mend(from, to),
            Action::Heal => self.shared.lock().net.heal(),
            Action::SetLink { from, to, quality } => {
                self.shared.lock().net.set_quality(from, to, *quality);
                self.retime();
            }
            Action::Burst { from, to, burst } => {
                self.shared.lock().net.faults.set_burst(from, to, *burst);
            }
            Action::Capacity { from, to, capacity } => {
                self.shared.lock().net.faults.set_capacity(from, to, *capacity);
            }
            Action::LoadService { host, service, how } => {
                let spec = apply::loaded(service, *how)?;
                self.command(*host, Command::LoadService { spec, force: false });
            }
            Action::UnloadService { host, service } => {
                self.command(
                    *host,
                    Command::UnloadService { service: process::name(service)?, how: StopHow::default() },
                );
            }
            Action::StopService { host, service } => {
                self.command(
                    *host,
                    Command::StopService { service: process::name(service)?, how: StopHow::default() },
                );
            }
            Action::StartService { host, service } => {
                self.command(*host, Command::StartService { service: process::name(service)? });
            }
            Action::CrashService { host, service, code } => {
                self.crash_service(*host, &process::name(service)?, *code);
            }
            _ => {}
        }
        self.rewire();
        Ok(())
    }
}
