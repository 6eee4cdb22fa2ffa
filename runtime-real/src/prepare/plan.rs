//! The plans that processes, hooks and probes of a prepared service follow,
//! and the trait that makes them. Starts nothing.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use annulus_core::{
    Facts, Hook, Obstacle, PackageIdent, Prepared, Rendered, ServiceGroup, ServiceName, ServiceSpec,
};

use super::{Layers, Overseer};
use crate::host::capabilities::Capabilities;
use crate::host::users::Account;
use crate::launcher::message::{Launch, Lease, Limits, Owner};
use crate::package::{HealthPlan, Inflight};
use nix::sys::signal::Signal;

/// Finds and renders the packages of services.
/// The methods may wait for a disk, so they are never called on the loop's thread.
pub trait Packages: Send + Sync {
    /// Finds a service's package, runs the install hooks that are due, which the overseer may end, and writes its files.
    ///
    /// # Errors
    /// Says what is wrong and what the operator can do.
    fn prepare(
        &self,
        service: &ServiceName,
        spec: &ServiceSpec,
        facts: &Facts,
        overseer: &dyn Overseer,
    ) -> Result<(Prepared, ServicePlan), Obstacle>;

    /// Finds the package of a process that runs already; writes nothing.
    ///
    /// # Errors
    /// Says what is wrong and what the operator can do.
    fn look(
        &self,
        service: &ServiceName,
        spec: &ServiceSpec,
        facts: &Facts,
    ) -> Result<(Prepared, ServicePlan), Obstacle>;

    /// The newest installed package that fits; none where there is none.
    ///
    /// # Errors
    /// Says what is wrong and what the operator can do.
    fn newest(&self, wanted: &PackageIdent) -> Result<Option<PackageIdent>, Obstacle>;

    /// Writes the files of a prepared service again.
    ///
    /// # Errors
    /// Says what is wrong and what the operator can do; the old files stay.
    fn render(&self, service: &ServiceName, facts: &Facts) -> Result<(Rendered, ServicePlan), Obstacle>;
}

/// The plan of a prepared service: how it is run, checked and logged.
#[derive(Clone, Debug)]
pub struct ServicePlan {
    /// How its process is run.
    pub run: RunPlan,
    /// Its group, for logs.
    pub group: ServiceGroup,
    /// The folder of its rendered hooks.
    pub hooks_dir: PathBuf,
    /// The hooks that it has.
    pub hooks: BTreeSet<Hook>,
    /// The user that its hooks run as; none for the supervisor's own user.
    pub account: Option<Account>,
    /// How its health is checked.
    pub health: Option<HealthPlan>,
    /// How the supervisor learns how much it has in flight.
    pub inflight: Option<Inflight>,
    /// The configuration that its files were rendered with.
    pub layers: Arc<Layers>,
}

impl ServicePlan {
    /// Whether nothing can be asked how the service is: it is well while its process runs.
    #[must_use]
    pub fn is_unchecked(&self) -> bool {
        let is_asked = self.health.as_ref().is_some_and(|health| health.probe.is_some());
        !is_asked && !self.hooks.contains(&Hook::HealthCheck)
    }
}

/// How to run a service that has been prepared.
#[derive(Clone, Debug)]
pub struct RunPlan {
    /// The package that runs, fully qualified.
    pub ident: String,
    /// The rendered `run` hook.
    pub program: PathBuf,
    /// Its working directory.
    pub dir: PathBuf,
    /// All variables of its process and hooks.
    pub env: Vec<(OsString, OsString)>,
    /// The signal with which the package wants to be stopped.
    pub stop_signal: Signal,
    /// How long a polite stop may take when the launcher acts without a supervisor, in milliseconds.
    pub stop_timeout_ms: u64,
    /// Holds the pid while the process runs, for people and scripts.
    pub pid_file: PathBuf,
    /// The user that it runs as; none for the supervisor's own user.
    pub owner: Option<Owner>,
    /// The capabilities that it keeps.
    pub capabilities: Capabilities,
    /// Highest number of open files.
    pub nofile: Option<u64>,
    /// Limits of the service on its host.
    pub limits: Limits,
}

impl RunPlan {
    /// The request to the launcher that starts it, with what its guard holds from the start.
    pub(crate) fn launch(self, service: &ServiceName, group: &ServiceGroup, lease: Option<Lease>) -> Launch {
        Launch {
            service: service.as_str().to_owned(),
            group: group.as_str().to_owned(),
            ident: self.ident,
            program: self.program,
            dir: self.dir,
            env: self.env,
            pid_file: self.pid_file,
            stop_signal: (self.stop_signal as i32).unsigned_abs(),
            stop_timeout_ms: self.stop_timeout_ms,
            owner: self.owner,
            capabilities: self.capabilities,
            nofile: self.nofile,
            limits: self.limits,
            lease,
            restarts: 0,
        }
    }
}
