//! Builds that a service may be updated to: which ones are installed and which one its channel holds, how one comes to this
//! host, and whether it could run here. Touches no file of a service.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use annulus_core::{
    Effect, EffectId, EffectResult, Facts, FetchFault, Found, Head, Obstacle, ObstacleKind, PackageIdent,
    ServiceName, ServiceSpec,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{interval, sleep};

use crate::depot::client::{Client, URL_ENV};
use crate::depot::{self, Fetching, Quiet};
use crate::host::root::Root;
use crate::prepare::plan::Packages;

/// So long a question is kept until its answer is another one.
const HELD: Duration = Duration::from_secs(60);
/// What is installed is looked at so often meanwhile.
const LOOK_PERIOD: Duration = Duration::from_secs(1);
/// The address that specs have where none was given. It is asked only where the environment of this supervisor names it.
const URL_DEFAULT: &str = "https://bldr.habitat.sh";
/// So many members are asked for a build before the depot is.
const PEERS_MAX: usize = 3;

/// Answers looks, fetches and preflights.
#[derive(Clone)]
pub(super) struct Builds {
    packages: Arc<dyn Packages>,
    done: mpsc::Sender<(EffectId, EffectResult)>,
    /// Where packages are installed; none where there are no depots, as in tests.
    root: Option<Root>,
    /// The looks that are kept, by service: a newer one ends the older.
    looks: Arc<Mutex<BTreeMap<ServiceName, oneshot::Sender<()>>>>,
}

impl Builds {
    pub(super) fn new(packages: Arc<dyn Packages>, done: mpsc::Sender<(EffectId, EffectResult)>) -> Self {
        Self { packages, done, root: None, looks: Arc::default() }
    }

    /// With depots, from which packages come to this root.
    pub(super) fn with_depots(self, root: Root) -> Self {
        Self { root: Some(root), ..self }
    }

    /// Begins a look, a fetch or a preflight.
    pub(super) fn begin(&self, id: EffectId, effect: Effect) {
        let builds = self.clone();
        match effect {
            Effect::LookUp { service, ident, channel, url, seen } => {
                let (older, over) = oneshot::channel();
                self.looks.lock().unwrap_or_else(PoisonError::into_inner).insert(service, older);
                let look = Look { ident, channel, url, seen: seen.map(|seen| *seen) };
                self.answer(id, async move {
                    tokio::select! {
                        answer = builds.look(&look) => answer,
                        _ = over => EffectResult::LookUpFailed { reason: "a newer look took its place".to_owned() },
                    }
                });
            }
            Effect::Fetch { ident, channel, url, peers, .. } => {
                self.answer(id, async move { builds.fetch(&ident, (&channel, &url), &peers).await });
            }
            Effect::Preflight { service, spec, facts } => {
                let packages = Arc::clone(&self.packages);
                self.answer(id, async move {
                    let work =
                        tokio::task::spawn_blocking(move || preflight(&*packages, &service, &spec, &facts));
                    work.await.unwrap_or_else(|panic| EffectResult::PreflightFailed {
                        reason: format!("failed inside annulus: {panic}"),
                    })
                });
            }
            other => unreachable!("{other:?} is about no build"),
        }
    }

    fn answer(&self, id: EffectId, work: impl Future<Output = EffectResult> + Send + 'static) {
        let done = self.done.clone();
        tokio::spawn(async move {
            let _ = done.send((id, work.await)).await;
        });
    }

    /// The newest installed build that fits.
    async fn local(&self, wanted: &PackageIdent) -> Result<Option<PackageIdent>, String> {
        let (packages, wanted) = (Arc::clone(&self.packages), wanted.clone());
        let looking = tokio::task::spawn_blocking(move || packages.newest(&wanted));
        match looking.await {
            Ok(found) => found.map_err(|obstacle| obstacle.what),
            Err(panic) => Err(format!("failed inside annulus: {panic}")),
        }
    }

    /// The depot at this address, where there is one.
    fn depot(&self, url: &str) -> Option<(&Root, Result<Client, depot::Error>)> {
        let root = self.root.as_ref()?;
        let named = std::env::var(URL_ENV).ok().filter(|named| !named.is_empty());
        let url = if url == URL_DEFAULT || url.is_empty() { named? } else { url.to_owned() };
        Some((root, depot::client_of(&url)))
    }

    async fn look(&self, look: &Look) -> EffectResult {
        let local = match self.local(&look.ident).await {
            Ok(local) => local,
            Err(reason) => return EffectResult::LookUpFailed { reason },
        };
        let seen = look.seen.as_ref().and_then(|seen| seen.channel.clone());
        // Without an earlier answer, and where another build is installed already, it is answered at once.
        let may_wait = look.seen.as_ref().is_some_and(|before| before.local == local);
        let asked = async {
            let (answer, has_waited) = self.ask(look, may_wait).await;
            // Nothing new, and a depot that does not wait: what may be installed meanwhile is waited for all the same.
            if may_wait && !has_waited && answer.as_ref().map_or(true, |head| *head == seen) {
                sleep(HELD).await;
            }
            answer
        };
        let (local, answer) = tokio::select! {
            answer = asked => (local, answer),
            other = self.another(&look.ident, &local), if may_wait => (other, Ok(seen.clone())),
        };
        let answer = if may_wait {
            answer
        } else {
            answer.or_else(|why| if look.seen.is_some() { Ok(seen) } else { Err(why) })
        };
        match answer {
            Ok(channel) => EffectResult::LookedUp { found: Found { local, channel }, waits: true },
            Err(reason) => EffectResult::LookUpFailed { reason },
        }
    }

    /// Waits until another build is the newest that is installed.
    async fn another(&self, wanted: &PackageIdent, before: &Option<PackageIdent>) -> Option<PackageIdent> {
        let mut looks = interval(LOOK_PERIOD);
        loop {
            looks.tick().await;
            if let Ok(now) = self.local(wanted).await
                && now != *before
            {
                return now;
            }
        }
    }

    /// What the channel holds, and whether the depot has kept the question.
    async fn ask(&self, look: &Look, may_wait: bool) -> (Result<Option<Head>, String>, bool) {
        let (root, depot) = match self.depot(&look.url) {
            None => return (Ok(None), false),
            Some((_, Err(error))) => return (Err(error.to_string()), false),
            Some((root, Ok(depot))) => (root, depot),
        };
        let seen = look.seen.as_ref().and_then(|seen| seen.channel.clone());
        let after = seen.as_ref().filter(|head| may_wait && head.number > 0).map(|head| (head.number, HELD));
        let mut report = Quiet;
        let looked = Fetching::new(root, &depot, &mut report).look(&look.ident, &look.channel, after).await;
        match looked {
            Ok(looked) if !looked.is_new => (Ok(seen), true),
            Ok(looked) => {
                let number = looked.number.unwrap_or_default();
                let head =
                    looked.newest.map(|wanted| Head { ident: wanted.ident, number, service_version: None });
                (Ok(head), false)
            }
            Err(error) => (Err(error.to_string()), false),
        }
    }

    async fn fetch(
        &self,
        build: &PackageIdent,
        (channel, url): (&str, &str),
        peers: &[SocketAddr],
    ) -> EffectResult {
        let lost = |reason: String| EffectResult::FetchFailed { fault: FetchFault::Lost, reason };
        match self.local(build).await {
            Ok(Some(_)) => return EffectResult::Fetched { service_version: None },
            Ok(None) => {}
            Err(reason) => return lost(reason),
        }
        let (root, depot) = match self.depot(url) {
            None => {
                let how = "no depot is named; install it with `annulus pkg install`";
                return lost(format!("{build} is not installed here, and {how}"));
            }
            Some((_, Err(error))) => return lost(error.to_string()),
            Some((root, Ok(depot))) => (root, depot),
        };
        let addresses = peers.iter().take(PEERS_MAX).map(|peer| format!("http://{peer}"));
        let members: Vec<Client> = addresses.filter_map(|url| depot::client_of(&url).ok()).collect();
        match bring(root, &depot, &members, (build, channel)).await {
            Ok(()) => EffectResult::Fetched { service_version: None },
            Err(error) => {
                let is_away =
                    matches!(error, depot::Error::NotFound(_) | depot::Error::Answer { status: 404, .. });
                let fault =
                    if is_away || error.is_passing() { FetchFault::Lost } else { FetchFault::Refused };
                EffectResult::FetchFailed { fault, reason: error.to_string() }
            }
        }
    }
}

/// A look at builds.
struct Look {
    ident: PackageIdent,
    channel: String,
    url: String,
    seen: Option<Found>,
}

/// Brings a build that its channel holds, from members that have it or from the depot, and installs it.
async fn bring(
    root: &Root,
    depot: &Client,
    members: &[Client],
    (build, channel): (&PackageIdent, &str),
) -> Result<(), depot::Error> {
    let mut report = Quiet;
    let mut fetching = Fetching::new(root, depot, &mut report).with_peers(members);
    let Some(wanted) = fetching.look(build, channel, None).await?.newest else {
        return Err(depot::Error::NotFound(format!("{build} is not in the channel {channel} any more")));
    };
    fetching.bring(&wanted).await?;
    depot::install(root, &wanted).await
}

/// Whether a build has what it needs here.
fn preflight(
    packages: &dyn Packages,
    service: &ServiceName,
    spec: &ServiceSpec,
    facts: &Facts,
) -> EffectResult {
    match packages.look(service, spec, facts) {
        Ok(_) => EffectResult::Preflighted { misfits: Vec::new() },
        Err(Obstacle { kind: ObstacleKind::File | ObstacleKind::Disk, what: reason, .. }) => {
            EffectResult::PreflightFailed { reason }
        }
        Err(Obstacle { what, .. }) => EffectResult::Preflighted { misfits: vec![what] },
    }
}
