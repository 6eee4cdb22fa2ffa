//! The real driver on turmoil's simulated hosts: up to ten supervisors with their UDP and TCP, ctl and HTTP
//! gateways, on virtual time, in one thread. The same seed gives the same log, byte for byte.
//!
//! Real are the driver's loop, its framing of streams, and both gateways with their clients. Simulated are the
//! network (turmoil's, with losses, refusals and silence added), disks and services (at the driver's seam for
//! effects), clocks and seeds. The bed differs from the event simulator in this: latency is drawn from turmoil's own
//! curve and is the same in both directions of a link; streams lose nothing but break at a cut; a paused supervisor
//! stops its loop only, so that its host still takes what its sockets can hold; the network moves at whole
//! milliseconds.

mod actions;
mod effects;
mod look;
mod operator;
mod ring;
mod supervisor;
mod transport;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, UNIX_EPOCH};

use ::turmoil::{Builder, Sim};
use annulus_core::{Instant, MemberId};
use tokio::sync::mpsc;

use crate::action::HostId;
use crate::bed::BedError;
use crate::engine::hash::TraceHash;
use crate::engine::host::{HostSpec, HostState};
use crate::engine::net::Net;
use crate::scenario::Plan;
use crate::scenario::run::{Report, Watcher, run_on};
use operator::Job;
use ring::{Ring, Shared, ip};
use supervisor::Site;
use transport::SimTransport;

pub use operator::Answer;

/// With more supervisors than this a run takes longer than the second opinion is worth.
pub const HOSTS_MAX: usize = 10;
/// The network moves in steps of this.
const TICK: Duration = Duration::from_millis(1);
const HTTP_PORT: u16 = 9631;
const CTL_PORT: u16 = 9632;
/// The key that every supervisor's operators share.
const CTL_SECRET: &str = "turmoil";
/// Datagrams that a socket holds for a supervisor that does not read.
const DATAGRAMS_MAX: usize = 384;
/// Longer than any scenario; a bed ends when it is dropped.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 86_400);

/// A ring of real drivers in a simulation.
pub struct TurmoilBed {
    sim: Sim<'static>,
    shared: Shared,
    names: Vec<String>,
    jobs: mpsc::UnboundedSender<Job>,
    /// Directions in which nothing passes, of pairs of hosts; the operator's host comes after all others.
    blocked: BTreeSet<(u32, u32)>,
    now: Instant,
    hash: TraceHash,
    steps: u64,
    _root: tempfile::TempDir,
}

/// Performs `plan` with real drivers.
///
/// # Errors
/// The plan asks for more than this bed can do, or this machine gives no temporary directory.
///
/// # Panics
/// When a supervisor does, or when the simulation itself fails.
pub fn run(plan: &Plan, seed: u64, watcher: &mut dyn Watcher) -> Result<Report, BedError> {
    let mut bed = TurmoilBed::new(plan, seed)?;
    Ok(run_on(&mut bed, plan, seed, watcher))
}

/// Whether the plan asks for more than this bed can do.
fn check(plan: &Plan) -> Result<(), BedError> {
    let hosts = plan.hosts.len();
    if hosts > HOSTS_MAX {
        return Err(BedError::NotHere(format!("{hosts} hosts; more than {HOSTS_MAX} are for the simulator")));
    }
    match plan.actions.iter().find_map(|timed| actions::beyond(&timed.action)) {
        Some(what) => Err(BedError::NotHere(what.to_owned())),
        None => Ok(()),
    }
}

impl TurmoilBed {
    /// The hosts of a plan, all of them off.
    ///
    /// # Errors
    /// The plan asks for more than this bed can do, or this machine gives no temporary directory.
    pub fn new(plan: &Plan, seed: u64) -> Result<Self, BedError> {
        check(plan)?;
        let root = tempfile::tempdir().map_err(BedError::io("a temporary directory cannot be made"))?;
        let specs = plan.hosts.iter().map(|host| HostSpec {
            permanent: host.permanent,
            peers: host.peers.clone(),
            timings: plan.timings.clone(),
            ..HostSpec::new(host.name.clone())
        });
        let net = |links, rare| Net::new(plan.quality, links, rare);
        let shared = Shared::new(Ring::new(seed, net, specs.collect()));
        let mut sim = Builder::new()
            .rng_seed(seed)
            .epoch(UNIX_EPOCH)
            .tick_duration(TICK)
            .simulation_duration(FOR_EVER)
            .min_message_latency(plan.quality.latency_min)
            .max_message_latency(plan.quality.latency_max)
            .udp_capacity(DATAGRAMS_MAX)
            .build();
        for host in plan.host_ids() {
            let site = Site { shared: shared.clone(), me: host.0, root: root.path().to_owned() };
            sim.host(ip(host.0), move || supervisor::run(site.clone()));
        }
        let (jobs, todo) = mpsc::unbounded_channel();
        let operator = u32::try_from(plan.hosts.len()).unwrap_or(u32::MAX);
        let net = SimTransport { shared: shared.clone(), me: operator };
        sim.client(ip(operator), operator::run(net, todo));
        let names = plan.hosts.iter().map(|host| host.name.clone()).collect();
        let mut bed = Self {
            sim,
            shared,
            names,
            jobs,
            blocked: BTreeSet::new(),
            now: Instant::ZERO,
            hash: TraceHash::new(),
            steps: 0,
            _root: root,
        };
        bed.rewire();
        Ok(bed)
    }

    /// Asks a host's HTTP gateway for `path`, from a host beside the ring, and waits for the answer.
    ///
    /// # Errors
    /// There was none within ten seconds, or no answer of HTTP.
    pub fn http_get(&mut self, host: HostId, path: &str) -> Result<Answer, String> {
        let path = path.to_owned();
        self.ask(move |net| operator::get(net, host.0, path))
    }

    /// Bans a member at a host's ctl gateway, from a host beside the ring, and waits for the answer.
    ///
    /// # Errors
    /// As `annulus sup depart` tells them.
    pub fn ctl_depart(&mut self, at: HostId, member: MemberId) -> Result<(), String> {
        self.ask(move |net| async move {
            operator::depart(net, at.0, member).await.map_err(|error| error.to_string())
        })
    }

    /// Stops every packet between two hosts on its way, until [`Self::release`].
    pub fn hold(&mut self, a: HostId, b: HostId) {
        self.sim.hold(ip(a.0), ip(b.0));
    }

    /// Lets the packets that were held arrive.
    pub fn release(&mut self, a: HostId, b: HostId) {
        self.sim.release(ip(a.0), ip(b.0));
    }

    /// Lets one tick pass.
    pub fn tick(&mut self) {
        if let Err(error) = self.sim.step() {
            panic!("the simulation stopped at {}: {error}", self.now);
        }
        self.steps += 1;
        self.now = self.now.max(Instant::ZERO + self.sim.elapsed());
    }

    fn ask<T, F>(&mut self, work: impl FnOnce(SimTransport) -> F + Send + 'static) -> T
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let (answer, mut answered) = tokio::sync::oneshot::channel();
        self.order(move |net| async move { drop(answer.send(work(net).await)) });
        loop {
            self.tick();
            if let Ok(answer) = answered.try_recv() {
                return answer;
            }
        }
    }

    fn order<F: Future<Output = ()> + Send + 'static>(
        &self,
        work: impl FnOnce(SimTransport) -> F + Send + 'static,
    ) {
        let job: Job = Box::new(|net| Box::pin(work(net)));
        self.jobs.send(job).expect("the operator's host never ends");
    }

    /// Makes turmoil's links follow cuts and power. A host that loses a direction loses its connections.
    fn rewire(&mut self) {
        let ends = u32::try_from(self.names.len() + 1).unwrap_or(u32::MAX);
        let mut ring = self.shared.lock();
        let off = |ring: &Ring, host| matches!(ring.state(host), HostState::New | HostState::Crashed);
        for (from, to) in (0..ends).flat_map(|from| (0..ends).map(move |to| (from, to))) {
            if from == to {
                continue;
            }
            let block = ring.net.is_cut(from, to) || off(&ring, from) || off(&ring, to);
            if block && self.blocked.insert((from, to)) {
                self.sim.partition_oneway(ip(from), ip(to));
                ring.reset(from, to);
            } else if !block && self.blocked.remove(&(from, to)) {
                self.sim.repair_oneway(ip(from), ip(to));
            }
        }
    }

    /// Makes the latency of turmoil's links follow their quality, in the slower direction.
    fn retime(&mut self) {
        let ends = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        let ring = self.shared.lock();
        for (a, b) in (0..ends).flat_map(|a| (a + 1..ends).map(move |b| (a, b))) {
            let (there, back) = (ring.net.quality(a, b), ring.net.quality(b, a));
            let (a, b): (IpAddr, IpAddr) = (ip(a), ip(b));
            self.sim.set_link_latency(a, b, there.latency_min.max(back.latency_min));
            self.sim.set_link_max_message_latency(a, b, there.latency_max.max(back.latency_max));
        }
    }
}
