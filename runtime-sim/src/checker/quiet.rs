//! Since when nothing is wrong: which hosts no fault has touched since everything was calm last. Checkers of what holds
//! in good times share it; it judges nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use annulus_core::Instant;

use crate::action::world::{Record, What};
use crate::action::{Action, HostId, Package, SetPackage};

/// Which hosts are undisturbed.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    touched: BTreeSet<HostId>,
    /// A fault touched every host.
    all: bool,
    since: Instant,
    calmed: bool,
}

impl Quiet {
    /// Takes note of a record.
    pub(super) fn observe(&mut self, record: &Record) {
        let What::Action(action) = &record.what else { return };
        match action {
            Action::Calm(_) => {
                (self.touched, self.all) = (BTreeSet::new(), false);
                (self.since, self.calmed) = (record.at, true);
            }
            Action::Join(_)
            | Action::LoadService(_)
            | Action::UnloadService(_)
            | Action::StartService(_)
            | Action::StopService(_)
            | Action::ApplyConfig(_)
            | Action::PutFile(_)
            | Action::Balance(_) => {}
            Action::SetPackage(SetPackage { package, .. }) if is_plain(package) => {}
            other => {
                let traced = other.traced();
                self.all |= traced.from.is_empty() && traced.to.is_empty();
                self.touched.extend(traced.from.into_iter().chain(traced.to));
            }
        }
    }

    /// Whether a host has been undisturbed for so long.
    pub(super) fn lasts(&self, host: HostId, now: Instant, time: Duration) -> bool {
        !self.all && !self.touched.contains(&host) && self.since + time <= now
    }

    /// Whether there were faults that have ended.
    pub(super) fn was_calmed(&self) -> bool {
        self.calmed
    }

    /// Whether every host has.
    pub(super) fn lasts_everywhere(&self, now: Instant, time: Duration) -> bool {
        !self.all && self.touched.is_empty() && self.since + time <= now
    }
}

/// Whether a package does nothing that takes long or goes wrong.
pub(super) fn is_plain(package: &Package) -> bool {
    let odd = Package {
        hooks: BTreeSet::new(),
        configured: false,
        shows_part: false,
        drain: None,
        bind: None,
        demoted: package.demoted,
        ..package.clone()
    };
    odd == Package { demoted: package.demoted, ..Package::default() }
}
