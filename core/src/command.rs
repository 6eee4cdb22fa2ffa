//! What an operator can ask of a node, and what it answers.

use alloc::vec::Vec;
use core::net::SocketAddr;

use crate::error::CommandError;
use crate::id::{MemberId, ServiceName};
use crate::service::ServiceSpec;

/// A request. Reading needs none: see the views on [`crate::Node`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Ban a member from the ring for ever (`sup depart`).
    Depart {
        /// The member.
        member: MemberId,
    },
    /// Leave the ring in order: stop services, announce the departure, then `Effect::Exit`.
    Leave,
    /// While leaving: skip every wait that is left.
    Hurry,
    /// Replace the addresses that are tried while this member is alone (names are resolved by the runtime).
    SetPeers(Vec<SocketAddr>),
    /// Load a service and keep it running.
    LoadService {
        /// What to run and how.
        spec: ServiceSpec,
        /// Replace the options of a service that is loaded already.
        force: bool,
    },
    /// Stop a service and forget it.
    UnloadService {
        /// The service.
        service: ServiceName,
    },
    /// Want a loaded service up.
    StartService {
        /// The service.
        service: ServiceName,
    },
    /// Want a loaded service down; it stays loaded.
    StopService {
        /// The service.
        service: ServiceName,
    },
}

/// The answer to one command. What it acknowledges is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Done, and on disk where it has to be.
    Done,
    /// Nothing to do: it is so already.
    Unchanged,
    /// Refused or failed.
    Failed(CommandError),
}
