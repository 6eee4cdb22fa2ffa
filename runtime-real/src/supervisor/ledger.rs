//! Keeps what gateways show of services and the core does not need. Holds no state that decides anything.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use annulus_core::{Instant, ServiceName, UnixTime};

use crate::host::capabilities::Capabilities;
use crate::host::users;
use crate::prepare::Layers;
use crate::prepare::plan::ServicePlan;

/// The words of a service's last health check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HealthReport {
    /// Its standard output, or the body of the answer.
    pub stdout: String,
    /// Its standard error, or why there was no answer.
    pub stderr: String,
}

/// One service's entry.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// The configuration that its files were rendered with.
    pub layers: Arc<Layers>,
    /// The words of its last health check; none before the first.
    pub health: Option<HealthReport>,
    /// The user that its processes run as.
    pub user: String,
    /// The capabilities that they keep.
    pub capabilities: Capabilities,
    /// The install hook that runs before its first start.
    pub installs: Option<Installs>,
}

/// An install hook that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Installs {
    /// Since then.
    pub since: (Instant, UnixTime),
    /// It is killed after this time, in milliseconds.
    pub limit_ms: u64,
}

/// The entries of all services. Cheap to clone; all clones are one ledger.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Arc<Mutex<BTreeMap<ServiceName, Entry>>>);

impl Ledger {
    fn entries(&self) -> MutexGuard<'_, BTreeMap<ServiceName, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A service's entry; none while it has not been prepared.
    #[must_use]
    pub fn get(&self, service: &ServiceName) -> Option<Entry> {
        self.entries().get(service).cloned()
    }

    /// Notes the plan by which a service is run.
    pub fn set_plan(&self, service: &ServiceName, plan: &ServicePlan) {
        let mut entries = self.entries();
        let entry = entries.entry(service.clone()).or_default();
        entry.layers = Arc::clone(&plan.layers);
        entry.user = plan.account.as_ref().map_or_else(users::own_name, |account| account.user.clone());
        entry.capabilities = plan.run.capabilities;
    }

    /// Notes that an install hook runs, or no longer does.
    pub fn set_installs(&self, service: &ServiceName, installs: Option<Installs>) {
        self.entries().entry(service.clone()).or_default().installs = installs;
    }

    /// Notes the words of a health check; none forgets them, as a new process does before its first check.
    pub fn set_health(&self, service: &ServiceName, report: Option<HealthReport>) {
        self.entries().entry(service.clone()).or_default().health = report;
    }
}
