//! The depot that all hosts ask, the builds that it holds, and what is installed where. A build behaves as its kind says
//! wherever it runs; everything else a service does is its package's.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use annulus_core::{
    EffectId, EffectResult, Facts, FetchFault, Found, Head, Health, PackageIdent, ServiceName, ServiceSpec,
};

use crate::engine::deed::Deed;
use crate::engine::host::Arrival;
use crate::engine::ids::HostId;
use crate::engine::link::Delay;
use crate::engine::package::Package;
use crate::engine::process;
use crate::engine::record::{BuildFact, Recording, What};
use crate::engine::work::Work;
use crate::engine::world::World;

/// How long a depot keeps a question.
const HELD: Duration = Duration::from_secs(60);
/// How long a question and its answer take, in microseconds.
const ASK_US: (u64, u64) = (1_000, 40_000);
/// How long a download takes, in microseconds.
const FETCH_US: (u64, u64) = (20_000, 400_000);
/// How long a preflight takes, in microseconds.
const PREFLIGHT_US: (u64, u64) = (1_000, 60_000);
/// How long a process of a build runs that crashes at once.
const CRASHES_AFTER: Duration = Duration::from_millis(150);

/// How the processes of a build behave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BuildKind {
    /// As its package says.
    #[default]
    Good,
    /// They end at once.
    Crashes,
    /// No health check finds them well.
    NeverWell,
    /// They end after so long.
    Dies(Duration),
    /// They need a key that only the group's configuration can give.
    Needs,
    /// What the depot sends is not what its maker signed.
    Forged,
}

/// How the depot is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DepotState {
    /// It answers, and keeps questions until there is news.
    #[default]
    Up,
    /// It answers, and cannot keep questions.
    Polled,
    /// It answers, and downloads take so long.
    Slow(Delay),
    /// It does not answer.
    Down,
}

/// The depot.
#[derive(Debug, Default)]
pub(crate) struct Depot {
    state: DepotState,
    builds: BTreeMap<PackageIdent, BuildKind>,
    /// What each channel holds of each package.
    channels: BTreeMap<(String, String), BTreeSet<PackageIdent>>,
    number: u64,
    /// Questions that are kept.
    kept: Vec<Kept>,
}

/// A question that is kept until its answer is another one.
#[derive(Debug)]
struct Kept {
    host: u32,
    generation: u32,
    id: EffectId,
    ask: Ask,
}

/// A supervisor's question for builds.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    service: ServiceName,
    ident: PackageIdent,
    channel: String,
    seen: Option<Box<Found>>,
}

impl Ask {
    pub(crate) fn new(
        service: ServiceName,
        ident: PackageIdent,
        channel: String,
        seen: Option<Box<Found>>,
    ) -> Self {
        Self { service, ident, channel, seen }
    }
}

/// Work of a supervisor about builds.
#[derive(Debug)]
pub(crate) enum BuildWork {
    Ask(Ask),
    /// The depot has kept a question for as long as it does.
    Kept,
    Fetch(PackageIdent),
    Preflight(ServiceName, Box<ServiceSpec>, Box<Facts>),
}

fn newest<'a>(builds: impl Iterator<Item = &'a PackageIdent>) -> Option<PackageIdent> {
    builds.max_by(|a, b| a.cmp_version(b).then_with(|| a.cmp(b))).cloned()
}

impl Depot {
    /// How the processes of a build behave.
    pub(crate) fn kind(&self, build: &PackageIdent) -> BuildKind {
        self.builds.get(build).copied().unwrap_or_default()
    }

    pub(crate) fn holds(&self, build: &PackageIdent) -> bool {
        self.builds.contains_key(build)
    }

    fn head(&self, wanted: &PackageIdent, channel: &str) -> Option<Head> {
        let key = (channel.to_owned(), wanted.name().to_owned());
        let held = self.channels.get(&key)?;
        let ident = newest(held.iter().filter(|build| build.satisfies(wanted)))?;
        Some(Head { ident, number: self.number, service_version: None })
    }
}

/// A package that behaves as a build of that kind.
pub(crate) fn of_kind(kind: BuildKind, package: Package) -> Package {
    match kind {
        BuildKind::Good | BuildKind::Needs | BuildKind::Forged => package,
        BuildKind::Crashes => Package { lives: Some(CRASHES_AFTER), ..package },
        BuildKind::NeverWell => Package { health: Some(Health::Critical), ..package },
        BuildKind::Dies(after) => Package { lives: Some(after), ..package },
    }
}

impl<D: Deed> World<D> {
    /// A build comes into the depot.
    pub(crate) fn publish(&mut self, build: PackageIdent, kind: BuildKind) {
        let unstable = (String::from("unstable"), build.name().to_owned());
        self.depot.channels.entry(unstable).or_default().insert(build.clone());
        self.depot.builds.insert(build, kind);
        self.depot_changed();
    }

    /// A channel gets a build, or loses it.
    pub(crate) fn promote(&mut self, build: &PackageIdent, channel: &str, up: bool) {
        let key = (channel.to_owned(), build.name().to_owned());
        let held = self.depot.channels.entry(key).or_default();
        if up {
            held.insert(build.clone());
        } else {
            held.remove(build);
        }
        self.depot_changed();
    }

    /// The depot is so from now on.
    pub(crate) fn set_depot(&mut self, state: DepotState) {
        self.depot.state = state;
        if state == DepotState::Down {
            let lost = std::mem::take(&mut self.depot.kept);
            for Kept { host, generation, id, .. } in lost {
                let reason = String::from("the connection was lost");
                self.answer_if(host, generation, id, EffectResult::LookUpFailed { reason });
            }
        }
    }

    /// An operator installs a build on a host.
    pub(crate) fn install(&mut self, host: u32, build: PackageIdent) {
        self.hosts[host as usize].rest.installed.insert(build.clone());
        self.note_build(host, build, BuildFact::Installed);
        self.look_at_kept();
    }

    fn depot_changed(&mut self) {
        self.depot.number += 1;
        self.look_at_kept();
    }

    /// Questions whose answer is another one by now are answered.
    fn look_at_kept(&mut self) {
        let kept = std::mem::take(&mut self.depot.kept);
        for question in kept {
            let found = self.found_for(question.host, &question.ask);
            if question.ask.seen.as_deref() == Some(&found) {
                self.depot.kept.push(question);
            } else {
                let answer = EffectResult::LookedUp { found, waits: true };
                self.answer_if(question.host, question.generation, question.id, answer);
            }
        }
    }

    /// The builds that a host can have. The number of a head is left out: it moves with every other package.
    fn found_for(&self, host: u32, ask: &Ask) -> Found {
        let channel = self.depot.head(&ask.ident, &ask.channel).map(|head| Head { number: 1, ..head });
        Found { local: self.newest_installed(host, &ask.ident), channel }
    }

    /// The newest installed build of a host that satisfies an ident. The first build of a package is everywhere.
    pub(crate) fn newest_installed(&self, host: u32, wanted: &PackageIdent) -> Option<PackageIdent> {
        let first = process::first_build(wanted.name());
        let installed = &self.hosts[host as usize].rest.installed;
        newest(first.iter().chain(installed).filter(|build| build.satisfies(wanted)))
    }

    /// Whether a build can be made ready on a host. Builds that no depot knows are those of tests, and are everywhere.
    pub(crate) fn is_installed(&self, host: u32, build: &PackageIdent) -> bool {
        !self.depot.holds(build) || self.hosts[host as usize].rest.installed.contains(build)
    }

    /// A supervisor wants to know of builds, or have one.
    pub(crate) fn begin_build_work(&mut self, host: u32, id: EffectId, work: BuildWork) {
        let usual = match (&work, self.depot.state) {
            (BuildWork::Fetch(_), DepotState::Slow(delay)) => {
                let takes = self.drawn(Some(delay), FETCH_US);
                return self.after_exactly(takes, host, Work::Build(id, Box::new(work)));
            }
            (BuildWork::Fetch(_), _) => FETCH_US,
            (BuildWork::Preflight(..), _) => PREFLIGHT_US,
            (BuildWork::Ask(_) | BuildWork::Kept, _) => ASK_US,
        };
        self.after(usual, host, Work::Build(id, Box::new(work)));
    }

    /// The time of such work has come.
    pub(crate) fn build_work_done(&mut self, host: u32, generation: u32, id: EffectId, work: BuildWork) {
        let answer = match work {
            BuildWork::Ask(ask) => {
                // A later question takes the place of an earlier one.
                self.depot.kept.retain(|kept| kept.host != host || kept.ask.service != ask.service);
                match self.asked(host, &ask) {
                    Some(answer) => answer,
                    None => {
                        self.depot.kept.push(Kept { host, generation, id, ask });
                        return self.after_exactly(HELD, host, Work::Build(id, Box::new(BuildWork::Kept)));
                    }
                }
            }
            BuildWork::Kept => {
                let is_it = |kept: &Kept| (kept.host, kept.generation, kept.id) == (host, generation, id);
                let Some(at) = self.depot.kept.iter().position(is_it) else { return };
                let kept = self.depot.kept.remove(at);
                EffectResult::LookedUp { found: self.found_for(host, &kept.ask), waits: true }
            }
            BuildWork::Fetch(build) => self.fetched(host, build),
            BuildWork::Preflight(service, spec, facts) => self.preflighted(host, service, &spec, &facts),
        };
        self.arrive(host, Arrival::Effect(id, answer));
    }

    /// The answer to a question; none while it is kept.
    fn asked(&self, host: u32, ask: &Ask) -> Option<EffectResult> {
        let found = self.found_for(host, ask);
        match self.depot.state {
            DepotState::Down => {
                Some(EffectResult::LookUpFailed { reason: String::from("the depot does not answer") })
            }
            DepotState::Polled => Some(EffectResult::LookedUp { found, waits: false }),
            DepotState::Up | DepotState::Slow(_) if ask.seen.as_deref() == Some(&found) => None,
            DepotState::Up | DepotState::Slow(_) => Some(EffectResult::LookedUp { found, waits: true }),
        }
    }

    fn fetched(&mut self, host: u32, build: PackageIdent) -> EffectResult {
        let lost = |reason: &str| EffectResult::FetchFailed {
            fault: FetchFault::Lost,
            reason: format!("{build}: {reason}"),
        };
        if self.is_installed(host, &build) {
            return EffectResult::Fetched { service_version: None };
        }
        if self.depot.state == DepotState::Down {
            return lost("the depot does not answer");
        }
        if self.depot.kind(&build) == BuildKind::Forged {
            let reason = format!("{build}: its signature is not its maker's");
            return EffectResult::FetchFailed { fault: FetchFault::Refused, reason };
        }
        if let Some(reason) = self.disk_refuses_files(host) {
            return lost(reason);
        }
        self.hosts[host as usize].rest.installed.insert(build.clone());
        self.note_build(host, build, BuildFact::Installed);
        EffectResult::Fetched { service_version: None }
    }

    fn preflighted(
        &mut self,
        host: u32,
        service: ServiceName,
        spec: &ServiceSpec,
        facts: &Facts,
    ) -> EffectResult {
        let build = spec.ident.clone();
        if !self.is_installed(host, &build) {
            return EffectResult::PreflightFailed { reason: format!("{build} is not installed") };
        }
        let fits = self.depot.kind(&build) != BuildKind::Needs || facts.config.is_some();
        assert!(service == build.service_name(), "a build is tried for its service");
        self.note_build(host, build, if fits { BuildFact::Fits } else { BuildFact::Misfits });
        let misfits = if fits { Vec::new() } else { vec![String::from("needs the key port")] };
        EffectResult::Preflighted { misfits }
    }

    /// A write is on the disk, which may say which build is to run.
    pub(crate) fn builds_are_recorded(&mut self, host: u32, id: EffectId) {
        let recording = &mut self.hosts[host as usize].rest.recording;
        let (stored, waiting) = std::mem::take(recording).into_iter().partition(|(of, _)| *of == id);
        *recording = waiting;
        let stored: Vec<(EffectId, PackageIdent)> = stored;
        for (_, build) in stored {
            self.note_build(host, build, BuildFact::Recorded);
        }
    }

    pub(crate) fn note_build(&mut self, host: u32, build: PackageIdent, fact: BuildFact) {
        self.note(Recording::Events, || What::Build { host: HostId(host), build, fact });
    }
}
