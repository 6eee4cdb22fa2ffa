//! What effects need of packages: found, rendered, and described as plans that processes and probes follow.

use std::collections::BTreeSet;
use std::path::PathBuf;

use annulus_core::{Facts, Hook, Prepared, Rendered, ServiceGroup, ServiceName, ServiceSpec};

use super::process::RunPlan;
use crate::host::users::Account;
use crate::package::{HealthPlan, Inflight};

/// Finds and renders the packages of services. Its methods take their time and are called where that does no harm.
pub trait Packages: Send + Sync {
    /// Finds a service's package and writes its files.
    ///
    /// # Errors
    /// What is wrong and what to do.
    fn prepare(
        &self,
        service: &ServiceName,
        spec: &ServiceSpec,
        facts: &Facts,
    ) -> Result<(Prepared, ServicePlan), String>;

    /// Writes the files of a prepared service again.
    ///
    /// # Errors
    /// What is wrong and what to do; the old files stay.
    fn render(&self, service: &ServiceName, facts: &Facts) -> Result<(Rendered, ServicePlan), String>;
}

/// How to run, ask and listen to a prepared service.
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
    /// Who its hooks run as; none for the supervisor's own user.
    pub account: Option<Account>,
    /// How it is asked for its health where it has no hook for that.
    pub health: Option<HealthPlan>,
    /// What says how much it has in flight.
    pub inflight: Option<Inflight>,
}
