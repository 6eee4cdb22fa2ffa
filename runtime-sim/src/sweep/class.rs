//! The classes of what a sweep draws: each can be left out, and has a stream of chance of its own.

use serde::{Deserialize, Serialize};

/// A class of faults, or of operators' commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Hosts lose power and come back with their disk.
    Crash,
    /// Hosts come back with an empty or an old disk.
    Disk,
    /// Supervisors are killed and started again.
    Kill,
    /// Supervisors stand still for a while.
    Pause,
    /// Links are cut, one way or both, between parts of the ring.
    Cut,
    /// Links lose, delay, duplicate and reorder packets.
    Link,
    /// Supervisors leave in order and come back.
    Leave,
    /// Services are loaded, crash, are stopped and started.
    Service,
    /// Losses come in bursts.
    Burst,
    /// Links carry a bounded number of bytes.
    Capacity,
    /// Supervisors handle everything late.
    Slow,
    /// Clocks run fast or slow, and jump.
    Clock,
    /// Hosts are suspended.
    Suspend,
    /// Hosts lose power while a write is on its way to the disk.
    Torn,
    /// Hosts lose power again and again.
    Loop,
    /// Two hosts share one identity for a while.
    Clone,
    /// Operators ban members.
    Depart,
    /// Operators give groups configuration and files, two of them the same version at times.
    Group,
    /// A group elects leaders while its members crash, are cut off, stand still, lose disks and have bad clocks.
    Election,
    /// Packages have hooks that fail and hang, health that turns bad, drains behind a balancer, binds.
    Package,
    /// Launchers die and stand still, guards of services die.
    Launcher,
    /// When all is well again: a version is given to a group, and hosts are lost, one at a time.
    Trial,
    /// Disks are slow, stand still, fail writes, are full.
    Writes,
    /// Operators restart services, and wait until a file that they give is in effect.
    Order,
    /// Hosts speak in the names of other members.
    Forge,
    /// What members have said is sent again, by recorders and by members.
    Replay,
    /// Operators bring newer keys of the ring into use.
    Rotation,
    /// Members tell of others that do not exist, or speak in their names.
    Invent,
    /// Operators lift bans and put groups right.
    Reset,
    /// Insiders raise numbers that only grow as far as they can.
    Overreach,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 30] = [
        Self::Crash,
        Self::Disk,
        Self::Kill,
        Self::Pause,
        Self::Cut,
        Self::Link,
        Self::Leave,
        Self::Service,
        Self::Burst,
        Self::Capacity,
        Self::Slow,
        Self::Clock,
        Self::Suspend,
        Self::Torn,
        Self::Loop,
        Self::Clone,
        Self::Depart,
        Self::Group,
        Self::Election,
        Self::Package,
        Self::Launcher,
        Self::Writes,
        Self::Order,
        Self::Forge,
        Self::Replay,
        Self::Rotation,
        Self::Invent,
        Self::Reset,
        Self::Overreach,
        Self::Trial,
    ];
}
