//! The faults that chaos draws: their names, what they strike, and how often they come. One list, from which the help,
//! the schedule and the report follow.

use std::fmt;

/// A kind of fault, or of an operator's command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub(crate) enum Fault {
    /// The ring is cut into two sides
    Partition,
    /// One host's packets are lost, its own or those to it
    OneWay,
    /// One host is cut off from all others
    Isolate,
    /// The supervisor is killed (kill -9)
    KillSupervisor,
    /// The supervisor stands still for a while (SIGSTOP, SIGCONT)
    StopSupervisor,
    /// `annulus sup restart`
    RestartSupervisor,
    /// SIGHUP to the supervisor
    HangupSupervisor,
    /// The launcher is killed, and started again later
    KillLauncher,
    /// The launcher stands still for a while
    StopLauncher,
    /// The guard of a service is killed, or its launcher where services have no guards
    KillGuard,
    /// The guard of a service stands still for a while
    StopGuard,
    /// The first process of a service is killed
    KillService,
    /// The processes of a service stand still for a while
    StopService,
    /// A host loses power, and gets it back later
    KillHost,
    /// A host stands still as a whole
    PauseHost,
    /// A disk takes no writes for a while
    FreezeDisk,
    /// The hooks of a service fail for a while
    FailHooks,
    /// The hooks of a service hang for a while
    HangHooks,
    /// The hooks of a service are slow for a while
    SlowHooks,
    /// `svc stop`, and `svc start` later
    SvcStop,
    /// `svc drain`, and `svc undrain` later
    SvcDrain,
    /// `svc unload`, and `svc load` later
    SvcUnload,
    /// `svc update --group`, and back later
    SvcUpdate,
    /// `config apply`, with and without `--wait`
    ConfigApply,
}

impl Fault {
    /// Every kind.
    pub(crate) const ALL: [Self; 24] = [
        Self::Partition,
        Self::OneWay,
        Self::Isolate,
        Self::KillSupervisor,
        Self::StopSupervisor,
        Self::RestartSupervisor,
        Self::HangupSupervisor,
        Self::KillLauncher,
        Self::StopLauncher,
        Self::KillGuard,
        Self::StopGuard,
        Self::KillService,
        Self::StopService,
        Self::KillHost,
        Self::PauseHost,
        Self::FreezeDisk,
        Self::FailHooks,
        Self::HangHooks,
        Self::SlowHooks,
        Self::SvcStop,
        Self::SvcDrain,
        Self::SvcUnload,
        Self::SvcUpdate,
        Self::ConfigApply,
    ];

    /// Its name on the command line and in reports.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Partition => "partition",
            Self::OneWay => "one-way",
            Self::Isolate => "isolate",
            Self::KillSupervisor => "kill-supervisor",
            Self::StopSupervisor => "stop-supervisor",
            Self::RestartSupervisor => "restart-supervisor",
            Self::HangupSupervisor => "hangup-supervisor",
            Self::KillLauncher => "kill-launcher",
            Self::StopLauncher => "stop-launcher",
            Self::KillGuard => "kill-guard",
            Self::StopGuard => "stop-guard",
            Self::KillService => "kill-service",
            Self::StopService => "stop-service",
            Self::KillHost => "kill-host",
            Self::PauseHost => "pause-host",
            Self::FreezeDisk => "freeze-disk",
            Self::FailHooks => "fail-hooks",
            Self::HangHooks => "hang-hooks",
            Self::SlowHooks => "slow-hooks",
            Self::SvcStop => "svc-stop",
            Self::SvcDrain => "svc-drain",
            Self::SvcUnload => "svc-unload",
            Self::SvcUpdate => "svc-update",
            Self::ConfigApply => "config-apply",
        }
    }

    /// How often it is in a deck of faults.
    pub(crate) const fn weight(self) -> usize {
        match self {
            Self::KillSupervisor
            | Self::RestartSupervisor
            | Self::KillService
            | Self::Isolate
            | Self::FreezeDisk => 2,
            Self::ConfigApply => 4,
            _ => 1,
        }
    }

    /// Whether it is about the service that was drawn, and not about its whole host.
    pub(crate) const fn is_about_service(self) -> bool {
        matches!(
            self,
            Self::KillGuard
                | Self::StopGuard
                | Self::KillService
                | Self::StopService
                | Self::FailHooks
                | Self::HangHooks
                | Self::SlowHooks
                | Self::SvcStop
                | Self::SvcDrain
                | Self::SvcUnload
                | Self::SvcUpdate
                | Self::ConfigApply
        )
    }

    /// Whether it strikes more than one host.
    pub(crate) const fn is_about_network(self) -> bool {
        matches!(self, Self::Partition | Self::OneWay | Self::Isolate)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_fault_has_a_name_of_its_own() {
        let names: BTreeSet<&str> = Fault::ALL.iter().map(|fault| fault.name()).collect();
        assert_eq!(names.len(), Fault::ALL.len());
        assert!(Fault::ALL.iter().all(|fault| fault.weight() > 0));
    }

    #[cfg(feature = "cli")]
    #[test]
    fn the_command_line_knows_the_same_names() {
        use clap::ValueEnum as _;
        let known: Vec<String> = Fault::value_variants()
            .iter()
            .filter_map(|fault| Some(fault.to_possible_value()?.get_name().to_owned()))
            .collect();
        assert_eq!(known, Fault::ALL.map(|fault| fault.name().to_owned()));
    }
}
