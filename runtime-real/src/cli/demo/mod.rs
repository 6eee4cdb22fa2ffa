//! `annulus demo`: shows a ring of three supervisors on loopback, each a process of its own with a root directory of
//! its own, that runs an example service. Leaves no process behind, and no file unless `--keep` asks for them.

pub(super) mod command;
mod http;
mod keys;
mod plan;
mod redis;
mod resp;
mod show;
mod supervisor;
mod watch;

use std::fs;
use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use annulus_core::{ServiceName, Topology};
use serde_json::Value;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::host::clock;
use crate::host::root::Root;
use crate::keys::{KeyCache, KeyKind};
use crate::package::{self, Limits};
use plan::Plan;
use show::Story;
use supervisor::{Addrs, End, Supervisor};
use watch::Seen;

const NAMES: [&str; 3] = ["alpha", "beta", "gamma"];
/// Longest time for each step on the way up.
const STEP_TIMEOUT: Duration = Duration::from_secs(30);
/// Supervisors get this long to end in order; then the demonstration kills them.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);
/// Pause between two looks at a supervisor that is not ready yet.
const POLL_PERIOD: Duration = Duration::from_millis(25);
/// Events from before the story begins are collected for this long, so that they are told in order.
const REPLAY_TIME: Duration = Duration::from_millis(300);
/// After this long without an event the demonstration says that the ring is quiet.
const QUIET_PERIOD: Duration = Duration::from_secs(10);

pub use redis::missing_programs;

/// The demonstrations that there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum What {
    /// A ring for the user to play with.
    #[default]
    Ring,
    /// A group of Redis servers that loses its leader and gets it back.
    Redis,
    /// A ring with a key, a stranger, a configuration that only a group can read, and an invitation.
    Keys,
}

/// Options of a demonstration.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// The demonstration to show.
    pub what: What,
    /// How long it runs; none runs until an interrupt.
    pub time: Option<Duration>,
    /// Whether its files are kept.
    pub keep: bool,
}

/// Shows a ring and removes it again. The exit code is 1 when a supervisor died, else 0.
///
/// # Errors
/// The ring could not be started; no process is left of it.
pub async fn run(options: Options) -> Result<u8, String> {
    let mut stop = Stop::new()?;
    let dir = tempfile::Builder::new().prefix("annulus-demo-").tempdir();
    let mut dir =
        dir.map_err(|e| format!("no temporary directory: {e}; set TMPDIR to one that can be written"))?;
    dir.disable_cleanup(options.keep);
    let program = std::env::current_exe().map_err(|e| format!("this program's own path: {e}"))?;
    let mut demo = Demo {
        dir: dir.path().to_owned(),
        program,
        supervisors: Vec::new(),
        options: Vec::new(),
        story: Story::new(),
        died: false,
    };
    let result = tokio::select! {
        result = demo.show(options) => result,
        () = stop.requested() => Ok(()),
    };
    let in_order = demo.stop(&mut stop).await;
    // Without this `close` would remove the directory.
    let kept = if options.keep {
        Some(dir.keep())
    } else if let Err(error) = dir.close() {
        return Err(format!("the temporary files could not be removed: {error}"));
    } else {
        None
    };
    result?;
    demo.story.farewell(demo.died, in_order, kept.as_deref());
    Ok(u8::from(demo.died || !in_order))
}

/// The signals that ask the demonstration to end.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Stop {
    fn new() -> Result<Self, String> {
        let listen = |kind| signal(kind).map_err(|e| format!("signals cannot be received: {e}"));
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    async fn requested(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

struct Demo {
    dir: PathBuf,
    program: PathBuf,
    supervisors: Vec<Supervisor>,
    /// Options of `sup run` for each of them.
    options: Vec<String>,
    story: Story,
    died: bool,
}

impl Demo {
    async fn show(&mut self, options: Options) -> Result<(), String> {
        match options.what {
            What::Ring => self.perform(options.time).await,
            What::Redis => self.perform_redis().await,
            What::Keys => self.perform_keys().await,
        }
    }

    async fn perform(&mut self, time: Option<Duration>) -> Result<(), String> {
        self.story.title();
        let addrs =
            supervisor::free_addrs(NAMES.len()).map_err(|e| format!("no free port on loopback: {e}"))?;
        self.start_all(&addrs, &plan::RESPONDER).await?;

        let step = self.story.step("loading the service on each and waiting for its answer");
        for supervisor in &self.supervisors {
            let loaded = supervisor.load(plan::RESPONDER.ident, Topology::Standalone).await;
            loaded.map_err(|e| format!("{}: {e}", supervisor.name))?;
        }
        self.until("run the service", async |demo: &mut Self| demo.answering().await).await?;
        self.story.done(step);

        self.story.who_is_who(&self.supervisors);
        self.story.try_next(&self.supervisors, &self.program);
        self.tell(time).await
    }

    /// Starts three supervisors with the package installed on each, and waits until they form a ring.
    async fn start_all(&mut self, addrs: &[Addrs], plan: &Plan) -> Result<(), String> {
        let step = self.story.step("building and installing the example package");
        let roots = self.install(addrs, plan)?;
        self.story.done(step);
        self.start_ring(addrs, roots).await
    }

    /// Starts a supervisor below each root, and waits until they form a ring.
    async fn start_ring(&mut self, addrs: &[Addrs], roots: Vec<Root>) -> Result<(), String> {
        let step = self.story.step("starting three supervisors");
        for ((name, root), own) in NAMES.into_iter().zip(roots).zip(addrs) {
            let peers: Vec<_> = addrs.iter().map(|a| a.gossip).filter(|peer| *peer != own.gossip).collect();
            let start = supervisor::Start { peers: &peers, options: &self.options };
            self.supervisors.push(Supervisor::start(name, root, *own, &start, &self.program)?);
        }
        self.until("answer over HTTP", async |demo: &mut Self| demo.identify().await).await?;
        self.story.done(step);

        let step = self.story.step("waiting until each of them sees all three");
        self.until("form a ring", async |demo: &mut Self| demo.whole().await).await?;
        self.story.done(step);
        Ok(())
    }

    /// The root directory of a host of this name.
    fn root_of(&self, name: &str) -> Result<Root, String> {
        Root::new(&self.dir.join(name)).map_err(|e| e.to_string())
    }

    /// Builds the package once and installs it below each root, as an operator would on three hosts.
    fn install(&self, addrs: &[Addrs], plan: &Plan) -> Result<Vec<Root>, String> {
        let text = |e: &dyn std::fmt::Display| e.to_string();
        let plan_dir = self.dir.join("plan");
        plan.write(&plan_dir).map_err(|e| format!("{}: {e}", plan_dir.display()))?;
        let home = self.root_of(NAMES[0])?;
        let built = package::build(&home, &plan_dir, &self.dir, clock::wall()).map_err(|e| text(&e))?;
        let public =
            KeyCache::new(home.keys()).load(&built.signer, KeyKind::SigPublic).map_err(|e| text(&e))?;
        let mut roots = Vec::new();
        for (name, own) in NAMES.into_iter().zip(addrs) {
            let root = self.root_of(name)?;
            if root != home {
                KeyCache::new(root.keys()).store(&public).map_err(|e| text(&e))?;
            }
            package::install_file(&root, &built.path, Limits::default()).map_err(|e| text(&e))?;
            self.configure(&root, &built.ident.service_name(), name, own)?;
            roots.push(root);
        }
        Ok(roots)
    }

    fn configure(&self, root: &Root, service: &ServiceName, name: &str, addrs: &Addrs) -> Result<(), String> {
        let mut config = toml::Table::new();
        // A plan ignores the settings that it does not know.
        config.insert("program".to_owned(), self.program.display().to_string().into());
        config.insert("address".to_owned(), addrs.service.ip().to_string().into());
        config.insert("name".to_owned(), name.into());
        config.insert("port".to_owned(), i64::from(addrs.service.port()).into());
        let path = root.user_toml(service);
        let parent = path.parent().unwrap_or(root.path());
        let written = fs::create_dir_all(parent).and_then(|()| fs::write(&path, config.to_string()));
        written.map_err(|e| format!("{}: {e}", path.display()))
    }

    /// Repeats `ready` until it holds. Fails early when a supervisor ends.
    async fn until(&mut self, goal: &str, ready: impl AsyncFn(&mut Self) -> bool) -> Result<(), String> {
        let waiting = async {
            while !ready(self).await {
                for supervisor in &mut self.supervisors {
                    if let Some(end) = supervisor.take_end() {
                        let (name, tail) = (supervisor.name, supervisor.log_tail());
                        return Err(format!("{name} {}; the end of its log:\n{tail}", end.text()));
                    }
                }
                sleep(POLL_PERIOD).await;
            }
            Ok(())
        };
        if let Ok(result) = timeout(STEP_TIMEOUT, waiting).await {
            return result;
        }
        let logs = self.supervisors.iter().map(|s| format!("  {}:\n{}", s.name, s.log_tail()));
        let logs: String = logs.collect();
        Err(format!("the supervisors did not {goal} within 30 seconds; the ends of their logs:\n{logs}"))
    }

    async fn identify(&mut self) -> bool {
        for supervisor in &mut self.supervisors {
            let Some(ring) = butterfly(supervisor).await else { return false };
            supervisor.member = ring["local_member_id"].as_str().unwrap_or_default().to_owned();
        }
        true
    }

    async fn whole(&mut self) -> bool {
        for supervisor in &self.supervisors {
            if alive(supervisor).await != Some(NAMES.len()) {
                return false;
            }
        }
        true
    }

    async fn answering(&mut self) -> bool {
        for supervisor in &self.supervisors {
            if http::get(supervisor.addrs.service, "/").await.is_err() {
                return false;
            }
        }
        true
    }

    /// Tells what happens until the time is over or every supervisor has ended.
    async fn tell(&mut self, time: Option<Duration>) -> Result<(), String> {
        let (sender, mut events) = mpsc::channel(256);
        let mut followers = JoinSet::new();
        for (index, supervisor) in self.supervisors.iter().enumerate() {
            followers.spawn(watch::follow(index, supervisor.addrs.http, sender.clone()));
        }
        drop(sender);
        self.story.begin(time);
        self.replay(&mut events).await;
        let over = async {
            match time {
                Some(time) => sleep(time).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = &mut over => return Ok(()),
                Some(seen) = events.recv() => self.story.event(&self.supervisors, &seen),
                () = sleep(POLL_PERIOD * 4) => {}
            }
            self.notice_ends();
            if !self.supervisors.iter().any(Supervisor::running) {
                self.story.line("demo", "no supervisor is left");
                return Ok(());
            }
            if self.story.quiet_for(QUIET_PERIOD) {
                self.report_quiet().await;
            }
        }
    }

    /// Tells the events so far in the order in which they happened.
    async fn replay(&mut self, events: &mut mpsc::Receiver<Seen>) {
        let mut past = Vec::new();
        let collecting = async {
            while let Some(seen) = events.recv().await {
                past.push(seen);
            }
        };
        // Live events of this time are sorted in with the others.
        let _ = timeout(REPLAY_TIME, collecting).await;
        past.sort_by_key(Seen::at_unix_ms);
        for seen in &past {
            self.story.event(&self.supervisors, seen);
        }
    }

    fn notice_ends(&mut self) {
        for supervisor in &mut self.supervisors {
            if let Some(end) = supervisor.take_end() {
                self.story.line("demo", &format!("the supervisor {} {}", supervisor.name, end.text()));
                if matches!(end, End::Died(_)) {
                    self.died = true;
                }
            }
        }
    }

    async fn report_quiet(&mut self) {
        for supervisor in self.supervisors.iter().filter(|s| s.running()) {
            if let Some(count) = alive(supervisor).await {
                let text = format!("nothing new; {} sees {count} members alive", supervisor.name);
                self.story.line("demo", &text);
                return;
            }
        }
    }

    /// Ends every supervisor; false when one had to be killed.
    async fn stop(&mut self, stop: &mut Stop) -> bool {
        if !self.supervisors.iter().any(Supervisor::running) {
            return true;
        }
        let step = self.story.step("stopping the services and the supervisors");
        self.supervisors.iter().for_each(Supervisor::term);
        let ended = wait_all(&mut self.supervisors, stop).await;
        if !ended {
            self.supervisors.iter_mut().for_each(Supervisor::kill);
            for supervisor in &mut self.supervisors {
                supervisor.wait().await;
            }
        }
        self.story.done(step);
        ended
    }
}

async fn wait_all(supervisors: &mut [Supervisor], stop: &mut Stop) -> bool {
    let pids: Vec<u32> = supervisors.iter().filter_map(Supervisor::pid).collect();
    let waiting = async {
        for supervisor in supervisors.iter_mut() {
            supervisor.wait().await;
        }
    };
    let hurry = async {
        loop {
            stop.requested().await;
            pids.iter().for_each(|pid| supervisor::term(*pid));
        }
    };
    let ended: Result<(), _> = timeout(STOP_TIMEOUT, either(waiting, hurry)).await;
    ended.is_ok()
}

/// Runs both futures until the first is done.
async fn either(first: impl Future<Output = ()>, other: impl Future<Output = ()>) {
    tokio::select! {
        () = first => {}
        () = other => {}
    }
}

/// The ring as a supervisor sees it.
async fn butterfly(supervisor: &Supervisor) -> Option<Value> {
    let body = http::get(supervisor.addrs.http, "/butterfly").await.ok()?;
    serde_json::from_slice(&body).ok()
}

/// How many members a supervisor sees alive.
async fn alive(supervisor: &Supervisor) -> Option<usize> {
    let ring = butterfly(supervisor).await?;
    let health = ring["member"]["health"].as_object()?;
    Some(health.values().filter(|state| *state == "Alive").count())
}
