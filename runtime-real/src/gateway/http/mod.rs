//! The HTTP gateway: shows what this supervisor knows (as in Habitat).
//! It only reads; commands go through the ctl gateway. Below `/v1` packages are given to others (`gateway::depot`).
//!
//! Every answer is computed when a client asks for it. Errors are problem details (RFC 9457). `access` says who may see
//! what. With a token (`HAB_SUP_GATEWAY_AUTH_TOKEN`) every route but `/live` and `/ready` wants
//! `Authorization: Bearer <token>`.

pub mod access;
mod butterfly;
mod census;
mod deadline;
mod events;
mod index;
mod limited;
mod metrics;
mod package;
mod probes;
mod problem;
mod process;
mod services;
mod streams;
mod turn;
mod versions;
mod view;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use annulus_core::{Node, SysInfo, Timings};
use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use crate::gateway::arrivals::{self, Arrivals, Client};
use crate::gateway::door::Limits;
use crate::gateway::keyed::Keyed;
use crate::gateway::tls::Tls;
use crate::host::clock::Clock;
use crate::host::root::{Root, SupDir};
use crate::supervisor::handle::DriverHandle;
use crate::supervisor::ledger::Ledger;
use crate::supervisor::room::Room;
use crate::supervisor::specs::Specs;
use access::Caller;
use deadline::WriteDeadline;
use problem::Problem;
use turn::{InTurn, Turn};

/// Clients at one time, event streams included. One that has not sent a request's head makes room for the next; when all
/// have, those of the reserve still get answers to probes. Users of this host are told apart, and operators have places of
/// their own.
const CLIENTS: Limits = Limits { clients: 256, of_one_host: 192, of_one_user: 128, reserve: 32 };
/// A client must have sent its request's head within this.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// A client must read on within this, or its connection is closed.
const WRITE_STALL_MAX: Duration = Duration::from_secs(10);
/// The supervisor's loop must answer within this.
const LOOP_TIMEOUT: Duration = Duration::from_secs(2);

/// The parts of a supervisor that the HTTP gateway uses.
#[derive(Debug)]
pub struct Config {
    /// The supervisor.
    pub handle: DriverHandle,
    /// Its clock.
    pub clock: Clock,
    /// The root directory, which holds packages and services.
    pub root: Root,
    /// The directory of this supervisor's own files.
    pub sup: SupDir,
    /// The description of this host for other members.
    pub sys: SysInfo,
    /// The ring's timings.
    pub timings: Timings,
    /// Whether other members probe this one for ever.
    pub permanent: bool,
    /// The facts about services that the core does not keep.
    pub ledger: Ledger,
    /// Its spec files.
    pub specs: Arc<Specs>,
    /// Whether the disk takes what is to be stored.
    pub room: Room,
    /// What is known of the key of the ring, who was not heard because of it, and of invitations.
    pub keyed: Keyed,
    /// The rules who may see what.
    pub rules: access::Rules,
    /// The routes below `/v1`, by which packages are given to others; they have rules of their own.
    pub packages: Option<Router>,
    /// Whether this supervisor has said that it is ready.
    pub announced: Announced,
}

/// Whether a supervisor has said that it is ready. All clones are one.
#[derive(Clone, Debug, Default)]
pub struct Announced(Arc<AtomicBool>);

impl Announced {
    /// It has said so.
    pub fn now(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_said(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// The gateway's state, shared by all requests.
#[derive(Debug)]
pub(crate) struct Gateway {
    config: Config,
    history: Arc<events::History>,
    streams: streams::Streams,
    metrics: metrics::Registry,
}

impl Gateway {
    /// Asks the loop, and gives up when it does not answer in time.
    async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Node) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let unavailable = |detail| Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail);
        match timeout(LOOP_TIMEOUT, self.config.handle.read(look)).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(_)) => Err(unavailable("this supervisor has ended")),
            Err(_) => Err(unavailable("the supervisor's loop did not answer within 2 seconds")),
        }
    }
}

/// Serves clients, once `begin` has come, until the returned future is dropped. Events are counted and kept before.
pub async fn serve(
    arrivals: impl Arrivals,
    tls: Option<Tls>,
    config: Config,
    begin: impl Future<Output = ()>,
) {
    let started = config.clock.wall();
    let events = config.handle.events();
    let clock = config.clock;
    let gateway = Arc::new(Gateway {
        config,
        history: Arc::new(events::History::new(started.as_millis())),
        streams: streams::Streams::new(),
        metrics: metrics::Registry::new(started),
    });
    let counters = gateway.metrics.counters();
    // The task ends with this future: a set that is dropped aborts its tasks.
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(events::record(Arc::clone(&gateway.history), events, clock, move |event| {
        counters.count(event)
    }));
    let router = router(gateway);
    begin.await;
    arrivals::serve(arrivals, ("http", CLIENTS), tls, move |stream, client| {
        serve_client(stream, client, router.clone())
    })
    .await;
}

/// Marks an answer that takes its time: its client is not shown out to make room for others.
#[derive(Clone, Copy, Debug)]
pub(in crate::gateway) struct KeepsPlace;

/// Serves the requests of one connection.
pub(in crate::gateway) async fn serve_client<S>(stream: S, client: Client, router: Router)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Client { peer, guest, is_certified } = client;
    let turn = Turn::default();
    let stream = InTurn { stream: WriteDeadline::new(stream, WRITE_STALL_MAX), turn: turn.clone() };
    let routes = TowerToHyperService::new(router);
    let at = Arc::clone(&guest);
    let caller = Caller { peer, is_certified };
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        at.is_known();
        turn.asked();
        request.extensions_mut().insert(caller);
        let is_served = !at.in_reserve() || is_probe(request.uri().path());
        let answer = is_served.then(|| routes.call(request));
        let (at, turn) = (Arc::clone(&at), turn.clone());
        async move {
            let answer = match answer {
                Some(answer) => answer.await,
                None => Ok(full().into_response()),
            };
            match &answer {
                Ok(answer) if is_stream(answer.headers()) => turn.listens(),
                // Its place is its own until all has gone; the connection ends then.
                Ok(answer) if answer.extensions().get::<KeepsPlace>().is_some() => turn.answered(),
                Ok(_) | Err(_) => {
                    turn.answered();
                    at.is_idle();
                }
            }
            answer
        }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    // A place of the reserve is for one request.
    http.keep_alive(!guest.in_reserve());
    http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(64 * 1024);
    if let Err(error) = http.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%peer, %error, "http client");
    }
}

fn full() -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many clients; only probes are answered now")
}

/// Whether an answer goes on as long as its client likes.
fn is_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.is_some_and(|kind| kind.starts_with(b"text/event-stream"))
}

/// Whether a route is answered also while the gateway is full: load balancers and monitors of the host ask there.
fn is_probe(path: &str) -> bool {
    PROBES.contains(&path) || (path.starts_with("/services/") && path.ends_with("/health"))
}

const PROBES: [&str; 2] = ["/live", "/ready"];

/// Every route, and a description of its answer; `/` shows this list.
const ROUTES: [(&str, &str); 11] = [
    ("/butterfly", "every member of the ring with its state, and every rumor"),
    ("/census", "service groups and who is in them"),
    ("/services", "the services of this supervisor"),
    ("/services/{service}/{group}", "one of them; an organization may follow the group"),
    ("/services/{service}/{group}/config", "its whole configuration, all layers merged"),
    (
        "/services/{service}/{group}/health",
        "its health: 200 OK or warning, 503 critical or taking no work (draining, maintenance), 500 unknown",
    ),
    ("/events", "what happens in the ring, as server-sent events; resumes after Last-Event-ID"),
    ("/metrics", "counters for Prometheus (OpenMetrics text)"),
    (
        "/v1/blobs/{hash}",
        "a package file of this host, by its BLAKE2b hash; with --depot the whole of a depot is below /v1",
    ),
    ("/live", "200 while the supervisor's loop turns"),
    ("/ready", "200 when this supervisor takes part in the ring and can store, 503 with reasons otherwise"),
];

fn router(gateway: Arc<Gateway>) -> Router {
    let packages = gateway.config.packages.clone().unwrap_or_default();
    Router::new()
        .route("/live", get(probes::live))
        .route("/ready", get(probes::ready))
        .route("/", get(index::get))
        .route("/butterfly", get(butterfly::get))
        .route("/census", get(census::get))
        .route("/services", get(services::list))
        .route("/services/{service}/{group}", get(services::one))
        .route("/services/{service}/{group}/config", get(services::config))
        .route("/services/{service}/{group}/health", get(services::health_of_group))
        .route("/services/{service}/{group}/{org}", get(services::one_of_org))
        .route("/services/{service}/{group}/{org}/config", get(services::config_of_org))
        .route("/services/{service}/{group}/{org}/health", get(services::health_of_org))
        .route("/metrics", get(metrics::get))
        .route("/events", get(events::get))
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&gateway), access::admit))
        .with_state(gateway)
        .merge(packages)
}

async fn unknown_route(request: Request) -> Problem {
    Problem::not_found(format!("no route {}; / lists the routes", request.uri().path()))
}

async fn wrong_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this gateway is for reading: use GET")
}
