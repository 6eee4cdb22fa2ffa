//! How a supervisor's process begins and ends on its host, and the disk and processes that it finds.

use annulus_core::{Command, ElectionId, ExitReason, Instant, Node, ServiceName, SnapshotError};
use thiserror::Error;

use crate::engine::deed::Deed;
use crate::engine::disk::DiskAfter;
use crate::engine::feed;
use crate::engine::hash::Kind;
use crate::engine::host::{Arrival, HostState};
use crate::engine::ids::HostId;
use crate::engine::link::Ratio;
use crate::engine::process::spec;
use crate::engine::record::{DropReason, Recording, StopReason, What};
use crate::engine::world::World;

/// Why a world cannot do a deed. Nothing changed.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum WorldError {
    /// Not a service's name.
    #[error("{0:?} cannot name a service: it is not one word")]
    ServiceName(String),
    /// The host's disk cannot be read back.
    #[error("{host} cannot start: {error}")]
    Disk {
        /// The host's name.
        host: String,
        /// The mistake on the disk.
        error: SnapshotError,
    },
}

impl<D: Deed> World<D> {
    /// An operator sends a command to the supervisor on a host.
    pub(crate) fn command(&mut self, host: HostId, command: Command) {
        let request = self.next_request();
        self.note(Recording::Events, || What::Asked { host, request });
        self.arrive(host.0, Arrival::Command(request, command));
    }

    /// Starts the supervisor on a host from its disk.
    pub(crate) fn start(&mut self, index: u32) -> Result<(), WorldError> {
        self.launcher_starts(index);
        let host = &mut self.hosts[index as usize];
        let restored = match host.rest.preload.take() {
            Some(snapshot) => Some(snapshot),
            None => host
                .rest
                .disk
                .snapshot()
                .map_err(|error| WorldError::Disk { host: host.rest.spec.name.clone(), error })?,
        };
        let mut restored = restored;
        if let Some(snapshot) = &mut restored {
            snapshot.running = host.rest.guards.kept();
        }
        host.generation += 1;
        host.inputs = 0;
        host.state = HostState::Running;
        let (local, wall) = (host.local(self.now), host.wall(self.now));
        let mut config = host.config(index);
        config.ring_keys = self.ring_keys(index);
        let was_restored = restored.is_some();
        let rows = restored.iter().flat_map(|snapshot| &snapshot.votes);
        let votes: Vec<(ElectionId, u64)> =
            rows.map(|(election, vote)| (election.clone(), vote.term())).collect();
        let seed = self.node_seed(index);
        let signer = Box::new(self.hosts[index as usize].rest.disk.key_or(seed));
        let mut node = Box::new(Node::new(config, signer, restored, seed, local, wall));
        self.begin_series(index, &mut node, true);
        let member = node.id();
        self.remember_member(index, member);
        self.hash.happening(self.now, index, Kind::Start, u64::from(was_restored));
        self.hash.bytes(member.as_bytes());
        self.note(Recording::Events, || What::HostStarted {
            host: HostId(index),
            member,
            restored: was_restored,
        });
        let versions = || node.rumors().filter_map(|r| Some((r.key(), r.version()?.number))).collect();
        let own = || node.rumors().filter(|r| node.vouched_by(&r.key()) == Some(member));
        let said = || own().map(|r| (r.key(), r.number(), feed::says(r))).collect();
        let host = HostId(index);
        self.note(Recording::Events, || What::Restored { host, versions: versions(), votes, said: said() });
        let loaded: Vec<ServiceName> = node.services().iter().map(|view| view.spec.name()).collect();
        self.drain(index, &mut node);
        self.hosts[index as usize].node = Some(node);
        self.stop_if_it_asked(index);
        if !was_restored {
            for service in self.spec(HostId(index)).services.clone() {
                self.command(HostId(index), Command::LoadService { spec: spec(&service)?, force: false });
            }
        }
        // A daemon reads the operator's own configuration on its host when it starts, and has each service rendered.
        for service in loaded {
            self.command(HostId(index), Command::RenderService { service });
        }
        Ok(())
    }

    /// Starts the supervisor on a host again, after its disk was kept, replaced or restored.
    pub(crate) fn restart(&mut self, index: u32, disk: DiskAfter) -> Result<(), WorldError> {
        if disk != DiskAfter::Kept {
            // A disk is replaced while its host is off.
            self.supervisor_is_gone(index, StopReason::Crashed);
        }
        let there = &mut self.hosts[index as usize].rest;
        match disk {
            DiskAfter::Kept => {}
            DiskAfter::Lost => {
                there.disk.lose();
                there.installed.clear();
            }
            DiskAfter::Old => there.disk.restore_backup(),
        }
        there.departed &= disk == DiskAfter::Kept;
        there.cloned &= disk != DiskAfter::Lost;
        self.start(index)
    }

    /// Starts a host from a copy of another one's disk.
    pub(crate) fn clone_disk(&mut self, host: u32, of: u32) -> Result<(), WorldError> {
        self.supervisor_is_gone(host, StopReason::Crashed);
        let mut copy = std::mem::take(&mut self.hosts[host as usize].rest.disk);
        copy.copy_from(&self.hosts[of as usize].rest.disk);
        let there = &mut self.hosts[host as usize].rest;
        there.disk = copy;
        there.cloned = host != of;
        there.departed = false;
        self.start(host)
    }

    /// A host whose disk is a copy stops and loses it.
    pub(crate) fn end_clone(&mut self, host: u32) {
        let there = &mut self.hosts[host as usize];
        if std::mem::take(&mut there.rest.cloned) {
            self.stop(host, StopReason::Crashed);
            let there = &mut self.hosts[host as usize].rest;
            there.disk.lose();
            there.departed = false;
        }
    }

    pub(crate) fn stop_if_it_asked(&mut self, index: u32) {
        if let Some(reason) = self.hosts[index as usize].exit {
            self.stop(index, StopReason::Exit(reason));
            if reason == ExitReason::Reset {
                // Its launcher starts it again at once.
                self.start(index).expect("a disk that was read once can be read again");
            }
        }
    }

    /// Ends the supervisor's process, if there is one, and the host with it when it crashed.
    pub(crate) fn stop(&mut self, index: u32, why: StopReason) {
        let host = &mut self.hosts[index as usize];
        let had_process = host.node.take().is_some();
        let crashed = why == StopReason::Crashed;
        host.state = if crashed { HostState::Crashed } else { HostState::Stopped };
        host.exit = None;
        host.rest.crash_at_sync = false;
        host.wake_at = Instant::FAR_FUTURE;
        let unread = host.rest.inbox.take();
        match why {
            StopReason::Exit(_) => host.rest.disk.flush(),
            StopReason::Crashed | StopReason::Killed => host.rest.disk.crash(&mut self.rng_actions),
        }
        for arrival in unread {
            if let Arrival::Datagram { packet, .. } | Arrival::Stream { packet, .. } = arrival {
                self.dropped(packet, Some(index), DropReason::HostDown);
            }
        }
        self.hosts[index as usize].rest.departed |= why == StopReason::Exit(ExitReason::Departed);
        self.close_streams_from(index, crashed);
        self.leads_no_longer(index, why);
        self.supervisor_is_gone(index, why);
        if had_process {
            self.hash.happening(self.now, index, Kind::Stop, u64::from(crashed));
            self.note(Recording::Events, || What::HostStopped { host: HostId(index), why });
        }
        D::ended(self, HostId(index));
    }

    /// A supervisor stops running and loses nothing.
    pub(crate) fn pause(&mut self, index: u32) {
        self.hosts[index as usize].state = HostState::Paused;
    }

    /// A paused supervisor runs again: it finds its timer and its sockets ready, in either order.
    pub(crate) fn resume(&mut self, index: u32) {
        let wake_first = Ratio { numerator: 1, denominator: 2 }.draw(&mut self.rng_actions);
        let host = &mut self.hosts[index as usize];
        host.state = HostState::Running;
        let unread = host.rest.inbox.take();
        if wake_first {
            self.wake_if_overdue(index);
        }
        self.go_on_with_own_work(index);
        for arrival in unread {
            // The supervisor may end on the way through.
            self.arrive(index, arrival);
        }
        self.wake_if_overdue(index);
    }

    fn wake_if_overdue(&mut self, index: u32) {
        let host = &self.hosts[index as usize];
        if host.state == HostState::Running && host.wake_at <= self.now {
            self.feed_wake(index);
        }
    }
}
