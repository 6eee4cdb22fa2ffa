//! A depot as its clients see it: the API that Habitat's client speaks, below `/v1`, and more beside it: signed heads that can
//! be waited for, lists of keys, content by its hash.
//!
//! | file | what is asked for |
//! |---|---|
//! | `packages` | records, lists, search, channels of a package |
//! | `download` | files, whole or in part |
//! | `artifacts` | files of the artifact cache by their hash, which every supervisor gives to others |
//! | `upload` | new packages |
//! | `channels` | channels, promotions and demotions |
//! | `heads` | signed heads, and lists of keys |
//! | `keys` | keys of origins |
//! | `caller` | who asks, and what of the request every route needs |
//! | `answer` | errors as this API has them |
//!
//! A depot that has too much to do answers 503 and never 4xx, which Habitat's client takes for a last word. Downloads, uploads
//! and requests that wait have places of their own, so that the probes of a supervisor that serves a depot are never kept out.

mod answer;
mod artifacts;
mod caller;
mod channels;
mod download;
mod downloads;
mod heads;
mod keys;
mod packages;
mod upload;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post, put};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::interval;

use super::arrivals::{self, Arrivals};
use super::door::Limits;
use super::http;
use super::tls::Tls;
use crate::depot::Error;
use crate::depot::store::Store;
use crate::host::clock;

use answer::Refusal;
pub use artifacts::router as artifacts;
use downloads::Downloads;

/// Clients at one time of a depot that does nothing else.
const CLIENTS: Limits = Limits { clients: 8192, of_one_host: 8192, of_one_user: 8192, reserve: 32 };
/// Between two looks whether a head has to be signed again to stay fresh.
const REFRESH_PERIOD: Duration = Duration::from_secs(3600);

/// How much a depot does at one time.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Files that go out.
    pub downloads: usize,
    /// Of them to one host.
    pub downloads_of_one_host: usize,
    /// Packages that come in.
    pub uploads: usize,
    /// Requests that wait for news.
    pub waiting: usize,
}

impl Load {
    /// Of a depot that does nothing else.
    pub const ALONE: Self = Self { downloads: 4096, downloads_of_one_host: 4096, uploads: 64, waiting: 4096 };
    /// Of a supervisor that serves one beside its work.
    pub const BESIDE: Self = Self { downloads: 64, downloads_of_one_host: 16, uploads: 4, waiting: 64 };
}

/// What is asked of whom.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Whether a token is needed to read, too.
    pub is_private: bool,
    /// Largest package that is taken, in bytes.
    pub package_bytes_max: u64,
}

/// Largest package, in bytes, where nothing is said.
const PACKAGE_BYTES_MAX: u64 = 4 << 30;

impl Default for Rules {
    fn default() -> Self {
        Self { is_private: false, package_bytes_max: PACKAGE_BYTES_MAX }
    }
}

/// A depot that is served.
#[derive(Debug)]
pub struct Service {
    store: Arc<Store>,
    rules: Rules,
    downloads: Arc<Downloads>,
    uploads: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

type Shared = Arc<Service>;

impl Service {
    /// Serves this depot, as far as the load allows.
    #[must_use]
    pub fn new(store: Arc<Store>, rules: Rules, load: Load) -> Self {
        Self {
            store,
            rules,
            downloads: Arc::new(Downloads::new(load)),
            uploads: Arc::new(Semaphore::new(load.uploads)),
            waiting: Arc::new(Semaphore::new(load.waiting)),
        }
    }

    /// Does work with the tree beside the loop.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Refusal> {
        let store = Arc::clone(&self.store);
        match tokio::task::spawn_blocking(move || work(&store)).await {
            Ok(done) => done.map_err(Refusal::from),
            Err(error) => Err(Refusal::busy(&format!("the work was given up: {error}"))),
        }
    }
}

/// A place for something that takes its time.
fn place(places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Refusal> {
    Arc::clone(places)
        .try_acquire_owned()
        .map_err(|_| Refusal::busy("this depot has all that it can do at one time"))
}

/// The routes of a depot.
pub fn router(service: Shared) -> Router {
    let packages = Router::new()
        .route("/pkgs/search/{term}", get(packages::search))
        .route("/pkgs/{origin}", get(packages::list))
        .route("/pkgs/{origin}/{name}", get(packages::list))
        .route("/pkgs/{origin}/{name}/latest", get(packages::newest))
        .route("/pkgs/{origin}/{name}/versions", get(packages::versions))
        .route("/pkgs/{origin}/{name}/{version}", get(packages::list))
        .route("/pkgs/{origin}/{name}/{version}/latest", get(packages::newest))
        .route(
            "/pkgs/{origin}/{name}/{version}/{release}",
            get(packages::newest).post(upload::post).delete(packages::delete),
        )
        .route("/pkgs/{origin}/{name}/{version}/{release}/download", get(download::package))
        .route("/pkgs/{origin}/{name}/{version}/{release}/channels", get(packages::channels));
    let channels = Router::new()
        .route("/channels/{origin}", get(channels::list))
        .route("/channels/{origin}/{channel}", post(channels::make).delete(channels::remove))
        .route("/channels/{origin}/{channel}/pkgs", get(packages::list))
        .route("/channels/{origin}/{channel}/pkgs/_latest", get(packages::heads))
        .route("/channels/{origin}/{channel}/pkgs/promote", put(channels::promote_all))
        .route("/channels/{origin}/{channel}/pkgs/demote", put(channels::demote_all))
        .route("/channels/{origin}/{channel}/pkgs/{name}", get(packages::list))
        .route("/channels/{origin}/{channel}/pkgs/{name}/latest", get(packages::newest))
        .route("/channels/{origin}/{channel}/pkgs/{name}/{version}", get(packages::list))
        .route("/channels/{origin}/{channel}/pkgs/{name}/{version}/latest", get(packages::newest))
        .route("/channels/{origin}/{channel}/pkgs/{name}/{version}/{release}", get(packages::newest))
        .route("/channels/{origin}/{channel}/pkgs/{name}/{version}/{release}/promote", put(channels::promote))
        .route("/channels/{origin}/{channel}/pkgs/{name}/{version}/{release}/demote", put(channels::demote));
    let keys = Router::new()
        .route("/origins/{origin}/keys", get(keys::list))
        .route("/origins/{origin}/keys/latest", get(keys::latest))
        .route("/origins/{origin}/keys/{revision}", get(keys::one).post(keys::post))
        .route("/origins/{origin}/secret_keys/latest", get(keys::secret))
        .route("/origins/{origin}/secret_keys/{revision}", post(keys::post_secret));
    let depot = packages.merge(channels).merge(keys);
    let v1 = Router::new()
        .nest("/depot", depot)
        .route("/status", get(async || "ok\n"))
        .route("/blobs/{hash}", get(download::blob))
        .route("/heads/{origin}/{channel}/{target}/current", get(heads::get))
        .route("/keys/{file}", get(keys::by_file))
        .route("/pkgs/{origin}/{name}/{version}/{release}/{file}", get(packages::by_file))
        .route("/lists/{origin}", post(heads::post_list))
        .route("/lists/{origin}/channel-key", get(heads::channel_key))
        .route("/lists/{origin}/{file}", get(heads::list))
        .fallback(answer::unknown_route)
        .method_not_allowed_fallback(answer::wrong_method)
        .layer(axum::middleware::map_response(answer::same_form))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&service), caller::admit_reader))
        .with_state(service);
    Router::new().nest("/v1", v1)
}

/// Keeps the heads of a depot fresh until the returned future is dropped.
pub async fn keep_fresh(service: Shared) {
    let mut ticks = interval(REFRESH_PERIOD);
    loop {
        ticks.tick().await;
        let store = Arc::clone(&service.store);
        let signed = tokio::task::spawn_blocking(move || store.refresh_heads(clock::wall())).await;
        match signed {
            Ok(Ok(0)) | Err(_) => {}
            Ok(Ok(count)) => {
                tracing::info!(count, "heads of channels were signed again, so that they stay fresh")
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "heads of channels cannot be signed again, and will count as old")
            }
        }
    }
}

/// Serves a depot, and nothing else, until the returned future is dropped.
pub async fn serve(arrivals: impl Arrivals, tls: Option<Tls>, service: Shared) {
    let router = router(Arc::clone(&service));
    let serving = arrivals::serve(arrivals, ("depot", CLIENTS), tls, move |stream, client| {
        http::serve_client(stream, client, router.clone())
    });
    tokio::join!(serving, keep_fresh(service));
}
