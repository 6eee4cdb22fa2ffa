//! `annulus sup run`: puts a supervisor together, runs it, and takes it apart.
//! Decides nothing about the ring or its services.
//!
//! The order matters: nothing is written before the lock is held, nothing is sent before the stored state is read, and
//! no client is served before the ring's port is bound.

mod asked;
mod boot;
pub mod gateway_options;
mod group_keys;
pub mod join;
mod listen;
mod log_options;
pub mod options;
mod peers;
mod ring;
mod stored;
mod sysinfo;
pub mod systemd;
pub mod timings;
pub mod user_toml;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use annulus_core::limits::SEAL_BYTES_MAX;
use annulus_core::{Command, Config, ConfigError, ExitReason, ServiceName, Snapshot, Timings};
use axum::Router;
use thiserror::Error;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::depot::Tree;
use crate::depot::store::Store;
use crate::gateway::ctl::local::{LocalError, LocalListener};
use crate::gateway::ctl::message::SvcLoad;
use crate::gateway::ctl::secret::{Secret, SecretError};
use crate::gateway::ctl::{self, Ctl};
use crate::gateway::depot::{self, Load, Rules, Service};
use crate::gateway::keyed::Keyed;
use crate::gateway::lookout::Lookout;
use crate::gateway::tls::{Files, Tls, TlsError};
use crate::gateway::{agent_check, http};
use crate::host::clock::{Clock, monotonic_us};
use crate::host::entropy::{self, EntropyError};
use crate::host::exit;
use crate::host::root::{Root, SupDir};
use crate::host::secret_env::GATEWAY_TOKEN_ENV;
use crate::host::small_file;
use crate::keys::{KeyCache, RingError, RingKey};
use crate::launcher;
use crate::launcher::client::{Client, ClientError};
use crate::launcher::message::Request;
use crate::net::{TokioListener, TokioTransport};
use crate::prepare::{Vault, Workshop};
use crate::supervisor::driver::{Driver, Parts};
use crate::supervisor::effect::process::Processes;
use crate::supervisor::effect::{HostEffects, RESULTS_MAX};
use crate::supervisor::handle::DriverHandle;
use crate::supervisor::identity::IdentityError;
use crate::supervisor::ledger::Ledger;
use crate::supervisor::logging;
use crate::supervisor::logging::LogFormat;
use crate::supervisor::room::Room;
use crate::supervisor::specs::{self, Specs, SpecsError};
use crate::supervisor::store::StoreError;
use asked::{Ask, Asked, Signals};
use boot::BootError;
use gateway_options::GatewaySettings;
use join::{Guests, JoiningError};
use listen::Bound;
pub use log_options::Age;
use options::{Options, OptionsError, Settings};
use ring::{join_first, keyed, ring_key};
use systemd::Notifier;

/// After the node has finished, clients get this long to read their last answers.
const LAST_ANSWERS: Duration = Duration::from_millis(50);
/// Threads for blocking work: name look-ups, and packages that are being prepared.
const BLOCKING_THREADS_MAX: usize = 8;

/// Why a supervisor does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// An option or the configuration file is wrong.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// Timings contradict each other.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// The launcher, which holds the services, cannot be reached.
    #[error(transparent)]
    Launcher(#[from] ClientError),
    /// The stored state cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The member's key cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The spec files cannot be used.
    #[error(transparent)]
    Specs(#[from] SpecsError),
    /// The service to load cannot be loaded.
    #[error("{0}")]
    Load(String),
    /// The ctl secret cannot be used.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The system gave no random bytes.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// An address cannot be listened on.
    #[error("{what} cannot listen on {address}: {}", why(.source, .option))]
    Listen {
        /// The listener's name.
        what: &'static str,
        /// Its address.
        address: SocketAddr,
        /// The option that sets the address.
        option: &'static str,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The files of TLS cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The key of the ring cannot be used.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// An open ring hears nothing but the clear.
    #[error(
        "--ring-accept clear is for a ring with a key, which hears the clear as well while its members change over: give --ring too, or leave it out"
    )]
    RingAccept,
    /// The copies of the ring's keys cannot be written.
    #[error("the copies of the ring's keys in {}: {source}", .path.display())]
    RingCopies {
        /// Their folder.
        path: std::path::PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The depot cannot be served.
    #[error("--depot: {0}")]
    Depot(#[from] crate::depot::Error),
    /// It does not join the ring that it was invited to.
    #[error(transparent)]
    Joining(#[from] JoiningError),
    /// The number of this start cannot be stored.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// The socket of the ctl gateway cannot be used.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// The system gives no threads, signals or timers.
    #[error("the system refuses threads, signals or timers, which every daemon needs: {0}")]
    System(#[from] io::Error),
}

fn why(source: &io::Error, option: &str) -> String {
    match source.kind() {
        io::ErrorKind::AddrInUse => {
            format!("the port is in use; stop the process that has it, or choose another with {option}")
        }
        io::ErrorKind::AddrNotAvailable => {
            format!("this host has no such address; choose one of its own with {option}")
        }
        io::ErrorKind::PermissionDenied => {
            format!("not permitted; ports below 1024 need root, choose another with {option}")
        }
        _ => format!("{source}; choose another address with {option}"),
    }
}

impl StartError {
    /// The process's exit code.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Joining(error) => error.exit_code(),
            Self::Options(_)
            | Self::Config(_)
            | Self::Load(_)
            | Self::Tls(_)
            | Self::Ring(_)
            | Self::RingAccept => exit::USAGE,
            Self::Store(_) | Self::Specs(_) | Self::Identity(_) | Self::Boot(_) | Self::RingCopies { .. } => {
                exit::STORE
            }
            Self::Listen { .. } | Self::Local(_) => exit::LISTEN,
            Self::Secret(_) | Self::Entropy(_) | Self::System(_) | Self::Launcher(_) | Self::Depot(_) => {
                exit::FAILED
            }
        }
    }
}

/// Runs the supervisor of this root and name until it has left, was banned, or was interrupted a third time; returns
/// its exit code. A service in `load` is wanted as if it had been loaded before.
///
/// # Errors
/// It could not start; nothing was sent to any member.
pub fn run(root: &Root, name: &str, options: &Options, load: Option<SvcLoad>) -> Result<u8, StartError> {
    let sup = root.sup(name);
    let mut settings = options.settings(&sup)?;
    settings.timings.validate()?;
    let plan = join::plan((&sup, KeyCache::new(root.keys())), options.join.as_ref(), &mut settings)?;
    let ring = match &plan.joining {
        Some(_) => None,
        None => ring_key(root, &sup, settings.ring.as_deref())?,
    };
    let is_keyed = ring.is_some() || plan.joining.is_some();
    if settings.hears_clear && !is_keyed {
        return Err(StartError::RingAccept);
    }
    settings.gateways.check_ctl(settings.ctl, is_keyed)?;
    let tls = settings.gateways.tls.clone().map(load_tls).transpose()?;
    if !launcher::is_parent() {
        let options = launcher::Options {
            root: root.path().to_owned(),
            name: name.to_owned(),
            keep: settings.keep,
            json: settings.log_format == LogFormat::Json,
        };
        return Err(StartError::System(launcher::exec(&options, plan.environment)));
    }
    launcher::ignore_harmless()?;
    logging::init(options.verbose)?;
    if let Some(remark) = &plan.remark {
        tracing::info!("{remark}");
    }
    // An operator may have changed that service since the first start; that counts.
    let load = load.filter(|_| !launcher::is_restart());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .build()?;
    let code = runtime.block_on(async {
        let ring = match plan.joining {
            Some(joining) => join_first(joining, (root, &sup), &mut settings).await?,
            None => ring,
        };
        supervise(root, &sup, settings, (tls, ring), load).await
    });
    // The exit must not wait for a name server that does not answer.
    runtime.shutdown_background();
    logging::flush();
    code
}

/// A person who starts a supervisor is told at once what is wrong with the files. One that the launcher starts again after a
/// crash has services to look after.
fn load_tls(files: Files) -> Result<Tls, TlsError> {
    if launcher::is_restart() {
        Ok(Tls::load_or_close(files, Clock::host()))
    } else {
        Tls::load(files, Clock::host())
    }
}

/// The process of the supervisor that was ready last; the lock names its launcher instead.
#[must_use]
pub fn pid(sup: &SupDir) -> Option<u32> {
    small_file::read_to_string(&sup.pid_file()).ok()?.trim().parse().ok()
}

async fn supervise(
    root: &Root,
    sup: &SupDir,
    settings: Settings,
    (tls, ring): (Option<Tls>, Option<RingKey>),
    load: Option<SvcLoad>,
) -> Result<u8, StartError> {
    let signals = Signals::new()?;
    // Until this supervisor listens, the address of an earlier one leads nowhere.
    let _ = std::fs::remove_file(ctl::address_file(sup));
    let (store, specs, key, mut restored) = stored::load(root, sup, settings.org.as_deref(), load.as_ref())?;
    let (secret, bound) = (Secret::load_or_create(&sup.ctl_secret())?, bind(&settings, sup).await?);
    let (clock, (done, results), packages) =
        (Clock::host(), mpsc::channel(RESULTS_MAX), packages(root, &settings)?);
    let (gate, keyed, guests) = keyed(ring, (root, sup), (&key, restored.as_ref()), &settings, clock)?;
    let config = config(&settings, &bound, &keyed)?;

    let (launcher, held) = take_over(sup, &mut restored, &clock).await?;
    let (member, ledger, room) = (Arc::new(OnceLock::new()), Ledger::default(), Room::of(&sup.data()));
    let writer = store.into_writer(Arc::clone(&specs), room.clone(), done.clone())?;
    let (allowed, vault) = (settings.allowed.clone(), vault(root, sup, settings.allowed.unsigned));
    let workshop = Workshop::new(root, &config, (allowed, Arc::clone(&vault)), Arc::clone(&member));
    let effects = HostEffects::new(writer, Arc::new(workshop), ledger.clone(), launcher.clone(), done);
    let processes = effects.processes().clone();
    let (sys, timings, permanent) = (config.sys.clone(), config.timings.clone(), config.permanent);
    let Bound { datagrams, gossip: listener, http, ctl: ctl_listener, local, agent_check, at } = bound;
    let parts = Parts {
        config,
        signer: Box::new(key),
        restored,
        seed: entropy::seed()?,
        clock,
        transport: TokioTransport::speaking_from(at.gossip.ip()),
        datagrams,
        listener,
        gate,
        effects: effects.with_keys(keyed.keeper.clone()).with_depots(root),
        done: results,
    };
    let (driver, handle) = Driver::new(parts);
    member.get_or_init(|| driver.member_id());

    let announced = listen::announce(&handle, sup.clone(), (at, tls.is_some()));
    let (restart, notifier) = (Arc::new(Notify::new()), tell_the_host(&handle, (agent_check, &held)));
    let ctl = Ctl {
        handle: handle.clone(),
        clock,
        root: root.clone(),
        specs: Arc::clone(&specs),
        ledger: ledger.clone(),
        room: room.clone(),
        secret,
        lookout: follow(&handle, (&specs, root), (settings.peers, &keyed, guests), &timings, clock),
        keyed: keyed.clone(),
        vault,
        is_local: false,
        restart: Arc::clone(&restart),
        tls: tls.clone(),
        launcher: Some(launcher.clone()),
    };
    let gateway = http::Config {
        handle: handle.clone(),
        clock,
        root: root.clone(),
        sup: sup.clone(),
        sys,
        timings,
        permanent,
        ledger,
        specs,
        room,
        keyed,
        rules: rules(settings.gateways),
        announced,
        packages: Some(packages),
    };
    let ways = (serve((http, gateway, held), (ctl_listener, local, ctl), tls.as_ref()), notifier);
    Ok(drive(driver, &handle, Asked { signals, restart, launcher, tls }, (&processes, ways)).await)
}

/// What opens what is sealed for the groups of this supervisor's services.
fn vault(root: &Root, sup: &SupDir, takes_unsigned: bool) -> Arc<Vault> {
    Arc::new(Vault::new(KeyCache::new(root.keys()), Some(sup.data().join("sealed")), takes_unsigned))
}

/// Starts the tasks of the gateways, which listen until the set is dropped. The socket of this host needs no TLS.
fn serve(
    (http, gateway, held): (TokioListener, http::Config, Arc<[ServiceName]>),
    (listener, local, ctl): (TokioListener, LocalListener, Ctl),
    tls: Option<&Tls>,
) -> JoinSet<()> {
    let mut gateways = JoinSet::new();
    gateways.spawn(ctl::serve(listener, tls.cloned(), ctl.clone()));
    gateways.spawn(ctl::serve(local, None, Ctl { is_local: true, ..ctl }));
    let taken_over = listen::taken_over(gateway.handle.clone(), held);
    gateways.spawn(http::serve(http, tls.cloned(), gateway, taken_over));
    if let Some(tls) = tls {
        tokio::spawn(tls.clone().follow());
    }
    gateways
}

/// Who may see what over HTTP.
fn rules(settings: GatewaySettings) -> http::access::Rules {
    let token = std::env::var(GATEWAY_TOKEN_ENV).ok().filter(|token| !token.is_empty()).map(Secret::new);
    http::access::Rules { token, open: settings.http_open, names: settings.http_names }
}

/// The routes by which packages are given to others: those of the depot that is to be served, which is made where there is
/// none, or of this host's own packages.
fn packages(root: &Root, settings: &Settings) -> Result<Router, StartError> {
    let Some(dir) = &settings.depot else { return Ok(depot::artifacts(root.artifacts())) };
    let store = Arc::new(Store::make(Tree::new(std::path::absolute(dir)?))?);
    let service = Arc::new(Service::new(store, Rules::default(), Load::BESIDE));
    tokio::spawn(depot::keep_fresh(Arc::clone(&service)));
    Ok(depot::router(service))
}

/// Binds all listeners, and tells commands where one is.
async fn bind(settings: &Settings, sup: &SupDir) -> Result<Bound, StartError> {
    let bound = Bound::bind(settings, sup).await?;
    tell_address(&bound, sup);
    Ok(bound)
}

/// Writes the address of the ctl gateway, by which commands find this supervisor.
fn tell_address(bound: &Bound, sup: &SupDir) {
    if let Err(error) = ctl::write_address(bound.at.ctl, sup) {
        tracing::warn!(%error, "the ctl address could not be written; commands need --remote-sup");
    }
}

/// The supervisor ends with this code: the service manager hears of a restart, and clients of their last answers, which the
/// node gives as long as it runs. Then nothing listens any more, before the node is gone: none is told that it is.
async fn finish(code: u8, running: impl Future, (mut gateways, notifier): Ways) -> u8 {
    if let Some(notifier) = notifier.filter(|_| code == exit::RESTART) {
        notifier.reloading(monotonic_us());
    }
    // It may finish meanwhile.
    let _ = timeout(LAST_ANSWERS, running).await;
    gateways.shutdown().await;
    code
}

/// What listens for clients, and what tells the service manager.
type Ways = (JoinSet<()>, Option<Arc<Notifier>>);

/// Starts the tasks that follow changes outside the ring:
/// spec files, the operator's configuration, the names of peers.
fn follow(
    handle: &DriverHandle,
    (specs, root): (&Arc<Specs>, &Root),
    (peers, keyed, guests): (Vec<options::Peer>, &Keyed, Option<Guests>),
    timings: &Timings,
    clock: Clock,
) -> Lookout {
    let period = Duration::from_millis(timings.reconnect_period_ms);
    guests.into_iter().for_each(|guests| guests.serve(keyed, handle));
    tokio::spawn(specs::follow(Arc::clone(specs), handle.clone()));
    tokio::spawn(user_toml::follow(root.clone(), handle.clone()));
    tokio::spawn(group_keys::follow(root.keys(), handle.clone()));
    tokio::spawn(peers::follow(peers.clone(), handle.clone(), period));
    if let Some((keeper, given)) = keyed.keeper.clone().zip(keyed.key.clone()) {
        tokio::spawn(keyed.file.clone().follow(given, keeper.clone(), handle.clone()));
        tokio::spawn(keeper.follow(handle.clone()));
    }
    look_out(handle, (peers, keyed), clock)
}

/// Starts the tasks that keep what commands tell of the ring and the node does not need.
fn look_out(handle: &DriverHandle, (peers, keyed): (Vec<options::Peer>, &Keyed), clock: Clock) -> Lookout {
    let lookout = Lookout::default();
    tokio::spawn(lookout.clone().follow(handle.events(), clock));
    tokio::spawn(peers::watch(peers, (handle.clone(), clock), lookout.clone(), keyed.clone()));
    lookout
}

/// Starts the tasks that tell the service manager and the load balancers of this host about the supervisor.
fn tell_the_host(
    handle: &DriverHandle,
    (agent_check, held): (Option<TokioListener>, &Arc<[ServiceName]>),
) -> Option<Arc<Notifier>> {
    if let Some(listener) = agent_check {
        let taken_over = listen::taken_over(handle.clone(), Arc::clone(held));
        let served = agent_check::serve(listener, handle.clone());
        tokio::spawn(async move {
            taken_over.await;
            served.await;
        });
    }
    let notifier = Notifier::from_env().map(Arc::new)?;
    tokio::spawn(systemd::follow(Arc::clone(&notifier), handle.clone(), handle.events()));
    Some(notifier)
}

/// Connects to the launcher. The processes that it holds become part of the state that the node starts from; the names of
/// their services.
async fn take_over(
    sup: &SupDir,
    restored: &mut Option<Snapshot>,
    clock: &Clock,
) -> Result<(Client, Arc<[ServiceName]>), ClientError> {
    let (launcher, running) = Client::connect(&sup.launcher_socket(), clock).await?;
    tracing::debug!(version = launcher.version(), running = running.len(), "the launcher is greeted");
    let mut held = Arc::default();
    match restored {
        Some(snapshot) => {
            held = running.iter().map(|process| process.service.clone()).collect();
            snapshot.running = running;
        }
        // The data directory is new, so services of an earlier member are not wanted.
        None => drop(launcher.request(&Request::KillAll).await),
    }
    Ok((launcher, held))
}

fn config(settings: &Settings, bound: &Bound, keyed: &Keyed) -> Result<Config, ConfigError> {
    let keys = keyed.key.as_ref().zip(keyed.keeper.as_ref());
    let (advertise, port) = settings.advertise.map_or((None, None), |(ip, port)| (Some(ip), port));
    let port = port.unwrap_or(bound.at.gossip.port());
    let config = Config {
        timings: settings.timings.clone(),
        advertise,
        permanent: settings.permanent,
        peers: peers::literal(&settings.peers),
        org: settings.org.clone(),
        seal_bytes: if keys.is_some() { SEAL_BYTES_MAX } else { 0 },
        ring_keys: keys.map(|(key, keeper)| keeper.for_core(key)),
        sys: sysinfo::sysinfo(advertise, bound.at.gossip, bound.at.http, bound.at.ctl),
        ..Config::new(port)
    };
    config.validate().map(|()| config)
}

/// Runs the node. The first signal asks it to leave, the second to hurry, the third ends everything.
async fn drive(
    driver: Driver<TokioTransport, HostEffects>,
    handle: &DriverHandle,
    mut asked: Asked,
    (processes, ways): (&Processes, Ways),
) -> u8 {
    let mut running = std::pin::pin!(driver.run());
    let mut received = 0;
    loop {
        let ask = tokio::select! {
            biased;
            reason = &mut running => {
                return finish(exit_code(reason), std::future::pending::<()>(), ways).await;
            }
            ask = asked.next() => ask,
        };
        let name = match ask {
            Ask::End(name) => name,
            Ask::Restart(name) if received > 0 => {
                tracing::warn!("{name}: this supervisor is leaving and does not start again");
                continue;
            }
            Ask::Useless(name, error) => {
                tracing::error!(%error, "{name}: this supervisor goes on, because the gateways of the next one would stay closed");
                continue;
            }
            Ask::Restart(name) => {
                tracing::info!("{name}: this supervisor is started again; its services go on");
                return finish(exit::RESTART, running, ways).await;
            }
            Ask::Alone => {
                tracing::error!(
                    "the launcher hung up: this supervisor ends, its services are the launcher's"
                );
                return exit::FAILED;
            }
        };
        received += 1;
        let order = match received {
            1 => {
                tracing::info!("{name} received: leaving the ring and stopping services; once more to hurry");
                Command::Leave { drain: true }
            }
            2 => {
                tracing::warn!("{name} received again: hurrying; once more to end at once");
                Command::Hurry
            }
            _ => {
                tracing::error!("{name} received again: services are killed, the ring is not told");
                processes.kill_all();
                return exit::INTERRUPTED;
            }
        };
        let handle = handle.clone();
        tokio::spawn(async move { handle.command(order).await });
    }
}

fn exit_code(reason: ExitReason) -> u8 {
    match reason {
        ExitReason::Left => {
            tracing::info!("left the ring");
            exit::LEFT
        }
        ExitReason::Departed => {
            tracing::error!(
                "this member was banned from the ring by an operator and does not come back by itself; `annulus sup reset` \
                 lifts the ban, then start this supervisor again; to join as a new member, move its data directory aside"
            );
            exit::DEPARTED
        }
        ExitReason::Reset => {
            tracing::info!("the ban of this member was lifted: this supervisor starts again");
            exit::RESTART
        }
    }
}
