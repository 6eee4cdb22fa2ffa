//! Beds with real daemons: the same scenarios, performed with processes, sockets and disks in real time. A bed
//! removes all that it makes on this machine.
//!
//! A bed gives each member of a scenario a place where its supervisor runs, and knows how to cut the members off from
//! each other. The rest is the same on every bed: `daemon` starts and ends supervisors, `observe` asks them over HTTP
//! what they hold, and `perform` does each action at its time.
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "real daemons run in real time")]
#![cfg_attr(not(feature = "cli"), allow(dead_code, reason = "the command line is what performs on a bed"))]

pub(crate) mod chaos;
pub(crate) mod daemon;
pub(crate) mod figures;
pub(crate) mod groups;
pub(crate) mod interrupt;
mod loopback;
mod netns;
pub(crate) mod observe;
pub(crate) mod perform;
mod ring;
mod rival;
mod services;
pub(crate) mod supervision;
mod supervisors;
mod tree;
#[cfg(feature = "turmoil")]
pub mod turmoil;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use thiserror::Error;

use crate::action::{Action, Common, HostId};
use crate::exit::Exit;
use crate::scenario::Plan;
pub(crate) use loopback::Loopback;
pub(crate) use netns::Netns;

/// Where a scenario is performed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum On {
    /// Simulated hosts, network and time
    #[default]
    Simulator,
    /// The daemon's own loop and gateways on simulated hosts, up to ten; needs the feature `turmoil`
    Turmoil,
    /// Real daemons on 127.0.0.1; without partitions
    Loopback,
    /// Real daemons in network namespaces of their own, joined by a bridge; needs root
    Netns,
}

impl fmt::Display for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Simulator => "simulator",
            Self::Turmoil => "turmoil",
            Self::Loopback => "loopback",
            Self::Netns => "netns",
        })
    }
}

/// Why a scenario was not performed on a bed to its end.
#[derive(Debug, Error)]
pub enum BedError {
    /// This machine cannot provide the bed.
    #[error("skipped: {0}")]
    Skipped(String),
    /// The scenario asks for an action that the bed cannot do.
    #[error("not on this bed: {0}")]
    NotHere(String),
    /// An action is impossible at its time.
    #[error("{file}:{line}: this cannot be done: {error}")]
    Impossible {
        /// The scenario.
        file: String,
        /// Its line.
        line: usize,
        /// The reason.
        error: String,
    },
    /// A tool or a daemon does not do its work.
    #[error("the bed failed: {0}")]
    Failed(String),
    /// The user pressed Ctrl-C.
    #[error("interrupted; every process that was started is removed")]
    Interrupted,
}

impl BedError {
    /// The exit code for it.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Skipped(_) => Exit::Skipped,
            Self::NotHere(_) => Exit::NotHere,
            Self::Impossible { .. } => Exit::Usage,
            Self::Failed(_) | Self::Interrupted => Exit::BedFailed,
        }
    }

    pub(crate) fn io(what: impl fmt::Display) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Failed(format!("{what}: {error}"))
    }
}

/// Where one supervisor runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) gossip: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) ctl: SocketAddr,
    /// Its network namespace; none: the simulator's own.
    pub(crate) netns: Option<PathBuf>,
}

/// The network of a bed: the part that differs from bed to bed. Dropping it removes all that it made.
pub(crate) trait Network {
    /// Where the supervisor of a host runs.
    fn place(&self, host: HostId) -> &Place;

    /// Connects a host with the network, or takes it off so that nothing there answers.
    fn connect(&mut self, host: HostId, connected: bool) -> Result<(), BedError>;

    /// Makes exactly these ordered pairs, sender first, lose everything that they send.
    fn cut(&mut self, pairs: &[(HostId, HostId)]) -> Result<(), BedError>;

    /// Why this bed cannot do this action; none when it can.
    fn cannot(&self, action: &Action) -> Option<&'static str>;
}

/// Makes the bed of this name.
pub(crate) fn make(on: On, hosts: usize) -> Result<Box<dyn Network>, BedError> {
    match on {
        On::Netns => Ok(Box::new(Netns::new(hosts)?)),
        On::Simulator | On::Turmoil | On::Loopback => Ok(Box::new(Loopback::new(hosts)?)),
    }
}

/// The part of a scenario that no bed with real daemons can do.
pub(crate) fn check(plan: &Plan) -> Result<(), BedError> {
    let worse = |quality: &crate::action::LinkQuality| {
        let none = |ratio: crate::action::Ratio| ratio.numerator == 0;
        !none(quality.loss)
            || !none(quality.duplicate)
            || !none(quality.reorder)
            || quality.latency_max > LATENCY_MAX
    };
    if worse(&plan.quality) || plan.links.iter().any(|link| worse(&link.quality)) {
        return Err(BedError::NotHere("links with loss, duplicates, disorder or long ways".to_owned()));
    }
    if plan.actions.iter().any(|timed| timed.refused.is_some()) {
        return Err(BedError::NotHere("commands that are refused".to_owned()));
    }
    if plan.ring_key.is_some() {
        return Err(BedError::NotHere("rings with a key".to_owned()));
    }
    Ok(())
}

/// The default longest way of simulated links; real ones are shorter.
const LATENCY_MAX: std::time::Duration = std::time::Duration::from_millis(2);

/// Why no bed with real daemons can do an action; none when one can.
pub(crate) const fn beyond(action: &Action) -> Option<&'static str> {
    // A new fault is the simulator's alone until the list of actions says otherwise.
    let Some(common) = action.common() else {
        return Some("what only the simulator can do to clocks, disks, packages and groups");
    };
    match common {
        Common::SetLink(_) | Common::SetBurst(_) | Common::SetCapacity(_) => {
            Some("links that change their quality")
        }
        Common::Join(_)
        | Common::Leave(_)
        | Common::Depart(_)
        | Common::Crash(_)
        | Common::Kill(_)
        | Common::Restart(_)
        | Common::Pause(_)
        | Common::Resume(_)
        | Common::Partition(_)
        | Common::Heal(_)
        | Common::LoadService(_)
        | Common::UnloadService(_)
        | Common::StopService(_)
        | Common::StartService(_)
        | Common::CrashService(_) => None,
    }
}
