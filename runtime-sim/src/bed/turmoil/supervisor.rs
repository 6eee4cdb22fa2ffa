//! One host's supervisor: the real driver with its gateways, put together as `annulus sup run` does it.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use annulus::gateway::ctl::secret::Secret;
use annulus::gateway::ctl::{self, Ctl};
use annulus::gateway::http;
use annulus::gateway::keyed::Keyed;
use annulus::host::clock::Clock;
use annulus::host::root::Root;
use annulus::keys::KeyCache;
use annulus::net::{GateParts, Rejected, Transport as _, bind_gossip};
use annulus::prepare::Vault;
use annulus::supervisor::driver::{Driver, Parts};
use annulus::supervisor::effect::RESULTS_MAX;
use annulus::supervisor::handle::DriverHandle;
use annulus::supervisor::ledger::Ledger;
use annulus::supervisor::ring_file::RingFile;
use annulus::supervisor::room::Room;
use annulus::supervisor::specs::Specs;
use annulus_core::{
    Command, Config, EffectId, EffectResult, Event, MemberId, Node, RequestId, Rumor, SysInfo, Timings,
    UnixTime,
};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::effects::SimEffects;
use super::ring::{Seen, Shared, ip, now};
use super::transport::{SimListener, SimTransport, any};
use super::{CTL_PORT, CTL_SECRET, HTTP_PORT};
use crate::action::HostId;
use crate::action::world::What;
use crate::engine::clock;
use crate::engine::host::{self, HostState};
use crate::engine::record::StopReason;

/// How often the observer looks for changes without an event, such as rumors that come with a synchronization.
const LOOK_PERIOD: Duration = Duration::from_millis(20);
/// After the node has finished, clients get this long to read their answers.
const LAST_ANSWERS: Duration = Duration::from_millis(50);

/// Where a host's supervisor runs.
#[derive(Clone)]
pub(super) struct Site {
    pub(super) shared: Shared,
    pub(super) me: u32,
    /// The directory that gateways write files into.
    pub(super) root: PathBuf,
}

/// Runs the supervisor until it has left; returns at once on a host that was not started.
pub(super) async fn run(site: Site) -> turmoil::Result {
    let Some(start) = site.shared.lock().take_start(site.me) else { return Ok(()) };
    let transport = SimTransport { shared: site.shared.clone(), me: site.me };
    let (datagrams, listener, _) = bind_gossip(&transport, any(host::PORT)).await.map_err(|(_, e)| e)?;
    let http_listener = transport.listen(any(HTTP_PORT)).await?;
    let ctl_listener = transport.listen(any(CTL_PORT)).await?;
    let config = site.config();
    let told = (config.sys.clone(), config.timings.clone(), config.permanent);
    let (done, results) = mpsc::channel(RESULTS_MAX);
    let clock = Clock::starting_at(wall());
    let restored = start.restored.is_some();
    let parts = Parts {
        config,
        signer: Box::new(start.key),
        restored: start.restored,
        seed: start.seed,
        clock,
        transport,
        datagrams,
        listener,
        gate: GateParts::open(Rejected::new(clock)),
        effects: SimEffects { shared: site.shared.clone(), me: site.me, done: done.clone() },
        done: results,
    };
    let (driver, handle) = Driver::new(parts);
    site.started(driver.member_id(), restored, done);
    let mut gateways = serve(&site, &handle, clock, (http_listener, ctl_listener), told)?;
    let mut events = handle.events();
    let reason = {
        let mut driver = pin!(driver.run());
        let driver =
            poll_fn(|cx| if site.paused(cx.waker()) { Poll::Pending } else { driver.as_mut().poll(cx) });
        tokio::select! {
            biased;
            reason = driver => reason,
            never = site.observe(&handle, &mut events) => match never? {},
            never = site.obey(&handle, start.orders) => match never {},
        }
    };
    site.hear(&mut events)?;
    site.shared.lock().stopped(site.me, now(), StopReason::Exit(reason));
    sleep(LAST_ANSWERS).await;
    gateways.shutdown().await;
    Ok(())
}

/// Serves HTTP and ctl of a supervisor whose ring facts are `(sys, timings, permanent)`.
fn serve(
    site: &Site,
    handle: &DriverHandle,
    clock: Clock,
    (http_listener, ctl_listener): (SimListener, SimListener),
    (sys, timings, permanent): (SysInfo, Timings, bool),
) -> turmoil::Result<JoinSet<()>> {
    let (root, secret) = (Root::new(&site.root)?, Secret::new(CTL_SECRET));
    let sup = root.sup(&site.me.to_string());
    std::fs::create_dir_all(sup.path())?;
    let mut gateways = JoinSet::new();
    // The simulated disk holds the specs; no supervisor writes files here.
    let specs = Arc::new(Specs::open(sup.specs(), Vec::new())?);
    let room = Room::of(&sup.data());
    let (rejected, file) = (Rejected::new(clock), RingFile::default());
    let keyed = Keyed { key: None, keeper: None, invitations: None, rejected, file };
    let ctl = Ctl {
        handle: handle.clone(),
        clock,
        root: root.clone(),
        specs: Arc::clone(&specs),
        ledger: Ledger::default(),
        room: room.clone(),
        keyed: keyed.clone(),
        lookout: annulus::gateway::lookout::Lookout::default(),
        secret,
        restart: Arc::default(),
        tls: None,
        vault: Arc::new(Vault::new(KeyCache::new(root.keys()), None, false)),
        is_local: false,
        launcher: None,
    };
    gateways.spawn(ctl::serve(ctl_listener, None, ctl));
    let ledger = Ledger::default();
    // The operator sits at a host beside the ring, without a token.
    let rules = http::access::Rules { open: true, ..http::access::Rules::default() };
    let gateway = http::Config {
        handle: handle.clone(),
        clock,
        root,
        sup,
        sys,
        timings,
        permanent,
        ledger,
        specs,
        room,
        keyed,
        rules,
        packages: None,
        announced: http::Announced::default(),
    };
    gateway.announced.now();
    gateways.spawn(http::serve(http_listener, None, gateway, std::future::ready(())));
    Ok(gateways)
}

/// Every host's wall clock agrees with the simulation's.
fn wall() -> UnixTime {
    clock::Clock::exact().wall(now())
}

impl Site {
    fn started(&self, member: MemberId, restored: bool, done: mpsc::Sender<(EffectId, EffectResult)>) {
        let mut ring = self.shared.lock();
        ring.started(self.me, now(), member, restored);
        ring.host_mut(self.me).done = Some(done);
    }

    fn config(&self) -> Config {
        let ring = self.shared.lock();
        let spec = &ring.hosts[self.me as usize].spec;
        let mut config = Config::new(host::PORT);
        config.timings = spec.timings.clone();
        config.permanent = spec.permanent;
        config.peers = spec.peers.iter().map(|peer| host::address(peer.0)).collect();
        let ip = ip(self.me).to_string();
        config.sys = SysInfo {
            ip: ip.clone(),
            hostname: spec.name.clone(),
            gossip_ip: ip.clone(),
            gossip_port: host::PORT,
            http_gateway_ip: ip.clone(),
            http_gateway_port: HTTP_PORT,
            ctl_gateway_ip: ip,
            ctl_gateway_port: CTL_PORT,
        };
        config
    }

    /// Whether the supervisor is not to run; it is woken when that changes.
    fn paused(&self, waker: &std::task::Waker) -> bool {
        let mut ring = self.shared.lock();
        let host = ring.host_mut(self.me);
        let paused = host.state == HostState::Paused;
        host.waker = paused.then(|| waker.clone());
        paused
    }

    /// Records the node's events and its look.
    async fn observe(
        &self,
        handle: &DriverHandle,
        events: &mut broadcast::Receiver<Arc<Event>>,
    ) -> io::Result<Infallible> {
        loop {
            self.hear(events)?;
            if let Ok(seen) = handle.read(look).await {
                self.hear(events)?;
                self.shared.lock().host_mut(self.me).seen = Some(seen);
            }
            tokio::select! {
                biased;
                event = events.recv() => self.heard(event)?,
                () = sleep(LOOK_PERIOD) => {}
            }
        }
    }

    /// Every event that waits.
    fn hear(&self, events: &mut broadcast::Receiver<Arc<Event>>) -> io::Result<()> {
        use broadcast::error::TryRecvError;
        loop {
            match events.try_recv() {
                Ok(event) => self.heard(Ok(event))?,
                Err(TryRecvError::Lagged(lost)) => self.heard(Err(RecvError::Lagged(lost)))?,
                Err(TryRecvError::Empty | TryRecvError::Closed) => return Ok(()),
            }
        }
    }

    fn heard(&self, event: Result<Arc<Event>, RecvError>) -> io::Result<()> {
        match event {
            Ok(event) => {
                let what = What::Event { host: HostId(self.me), event: Box::new((*event).clone()) };
                self.shared.lock().note(now(), what);
                Ok(())
            }
            Err(RecvError::Lagged(lost)) => Err(io::Error::other(format!("{lost} events were not seen"))),
            Err(RecvError::Closed) => Ok(()),
        }
    }

    /// Gives the node its orders, several at a time, and records the answers.
    async fn obey(
        &self,
        handle: &DriverHandle,
        mut orders: mpsc::UnboundedReceiver<(RequestId, Command)>,
    ) -> Infallible {
        while let Some((request, command)) = orders.recv().await {
            let (site, handle) = (self.clone(), handle.clone());
            tokio::spawn(async move {
                let reply = handle.command(command).await;
                site.shared.lock().note(now(), What::Reply { host: HostId(site.me), request, reply });
            });
        }
        std::future::pending().await
    }
}

fn look(node: &Node) -> Seen {
    let told = |rumor: &Rumor| match rumor {
        Rumor::Service(told) if !told.tombstone && told.initialized => {
            Some((told.member_id, told.group.service().to_owned()))
        }
        _ => None,
    };
    Seen {
        id: node.id(),
        incarnation: node.incarnation(),
        members: node.members().into_iter().map(|member| (member.id, member.state)).collect(),
        services: node.services().into_iter().map(|view| (view.spec.name(), view.state)).collect(),
        told: node.rumors().filter_map(told).collect(),
    }
}
