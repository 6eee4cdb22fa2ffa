//! The driver on the host it is made for: sockets on loopback, a database, processes.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use annulus_core::{
    Command, Facts, Incarnation, MemberId, Obstacle, ObstacleKind, PackageIdent, Prepared, Rendered,
    ServiceName, ServiceSpec, ServiceState, State, StopHow, Timings,
};
use nix::sys::signal::Signal;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::*;
use crate::host::capabilities::Capabilities;
use crate::launcher::client::Client;
use crate::launcher::message::Limits;
use crate::net::{Rejected, TokioTransport, bind_gossip};
use crate::prepare::Overseer;
use crate::prepare::plan::{Packages, RunPlan, ServicePlan};
use crate::supervisor::effect::{HostEffects, RESULTS_MAX};
use crate::supervisor::identity::MemberKey;
use crate::supervisor::ledger::Ledger;
use crate::supervisor::room::Room;
use crate::supervisor::specs::Specs;
use crate::supervisor::store::Store;

struct Member {
    handle: DriverHandle,
    task: JoinHandle<ExitReason>,
    at: SocketAddr,
    id: MemberId,
}

/// A service is a script of its name in this directory, and has no files to render.
struct Scripts(PathBuf);

impl Packages for Scripts {
    fn prepare(
        &self,
        _: &ServiceName,
        spec: &ServiceSpec,
        _: &Facts,
        _: &dyn Overseer,
    ) -> Result<(Prepared, ServicePlan), Obstacle> {
        prepare(&self.0, spec)
    }

    fn look(
        &self,
        _: &ServiceName,
        spec: &ServiceSpec,
        _: &Facts,
    ) -> Result<(Prepared, ServicePlan), Obstacle> {
        prepare(&self.0, spec)
    }

    fn newest(&self, _: &PackageIdent) -> Result<Option<PackageIdent>, Obstacle> {
        Ok(None)
    }

    fn render(&self, name: &ServiceName, _: &Facts) -> Result<(Rendered, ServicePlan), Obstacle> {
        let plan = plan(&self.0, self.0.join(name.as_str()));
        Ok((Rendered::default(), plan))
    }
}

fn prepare(dir: &Path, spec: &ServiceSpec) -> Result<(Prepared, ServicePlan), Obstacle> {
    let program = dir.join(spec.ident.name());
    if !program.exists() {
        return Err(Obstacle::new(ObstacleKind::Package, format!("{} is not installed", spec.ident)));
    }
    let ident = format!("{}/{}/1.0.0/20260101000000", spec.ident.origin(), spec.ident.name());
    let prepared = Prepared::new(ident.parse().expect("an ident"), 5_000);
    Ok((prepared, plan(dir, program)))
}

fn plan(dir: &Path, program: PathBuf) -> ServicePlan {
    ServicePlan {
        run: RunPlan {
            ident: "test/script/1.0.0/20260101000000".to_owned(),
            pid_file: program.with_extension("pid"),
            program,
            dir: dir.to_owned(),
            env: vec![("PATH".into(), std::env::var_os("PATH").expect("set"))],
            stop_signal: Signal::SIGTERM,
            stop_timeout_ms: 5_000,
            owner: None,
            capabilities: Capabilities::NONE,
            nofile: None,
            limits: Limits::default(),
        },
        group: "script.default".parse().expect("a group"),
        hooks_dir: dir.join("hooks"),
        hooks: BTreeSet::new(),
        account: None,
        health: None,
        inflight: None,
        layers: Arc::default(),
    }
}

async fn start(dir: &TempDir, peers: &[SocketAddr]) -> Member {
    let at = SocketAddr::from(([127, 0, 0, 1], 0));
    let (datagrams, listener, at) = bind_gossip(&TokioTransport::default(), at).await.expect("a free port");
    let store = Store::open(dir.path()).expect("a database");
    let mut restored = store.load().expect("readable");
    let specs = Specs::open(dir.path().join("specs"), Vec::new()).expect("a directory");
    if let Some(snapshot) = &mut restored {
        snapshot.services = specs.known();
    }
    let (sender, done) = mpsc::channel(RESULTS_MAX);
    let writer = store.into_writer(Arc::new(specs), Room::of(dir.path()), sender.clone()).expect("a thread");
    let scripts = dir.path().to_owned();
    let launcher = crate::launcher::in_thread(dir.path());
    let (launcher, _) = Client::over(launcher, &crate::host::clock::Clock::host()).await.expect("a launcher");
    let effects = HostEffects::new(writer, Arc::new(Scripts(scripts)), Ledger::default(), launcher, sender);
    let config = Config { timings: Timings::local(), peers: peers.to_vec(), ..Config::new(at.port()) };
    let parts = Parts {
        config,
        signer: Box::new(MemberKey::load_or_create(dir.path()).expect("a key")),
        restored,
        seed: crate::host::entropy::seed().expect("entropy"),
        clock: Clock::host(),
        transport: TokioTransport::default(),
        datagrams,
        listener,
        gate: GateParts::open(Rejected::new(Clock::host())),
        effects,
        done,
    };
    let (driver, handle) = Driver::new(parts);
    let id = driver.member_id();
    Member { handle, task: tokio::spawn(driver.run()), at, id }
}

impl Member {
    /// Waits until `holds` is true of the node.
    async fn until(&self, what: &str, holds: impl Fn(&Node) -> bool + Clone + Send + 'static) {
        let reached = async {
            while self.handle.read(holds.clone()).await != Ok(true) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        let reached = timeout(Duration::from_secs(60), reached).await;
        assert!(reached.is_ok(), "{what}: {:?}", self.handle.read(|n| (n.members(), n.services())).await);
    }

    async fn sees(&self, state: State, count: usize) {
        self.until("members", move |n| n.members().iter().filter(|m| m.state == state).count() == count)
            .await;
    }

    async fn leave(self) {
        assert_eq!(self.handle.command(Command::Leave { drain: true }).await, Reply::Done);
        assert_eq!(self.task.await.expect("no panic"), ExitReason::Left);
    }
}

fn script(dir: &TempDir, name: &str, text: &str) -> ServiceSpec {
    let path = dir.path().join(name);
    fs::write(&path, text).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("made executable");
    ServiceSpec::new(format!("test/{name}").parse::<PackageIdent>().expect("an ident"))
}

fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

#[tokio::test]
async fn three_supervisors_form_a_ring_and_one_comes_back_as_itself() {
    let dirs = [directory(), directory(), directory()];
    let a = start(&dirs[0], &[]).await;
    let b = start(&dirs[1], &[a.at]).await;
    let c = start(&dirs[2], &[a.at]).await;
    for member in [&a, &b, &c] {
        member.sees(State::Alive, 3).await;
    }
    let (id, before) = (c.id, c.handle.read(Node::incarnation).await.expect("running"));
    c.task.abort();
    a.sees(State::Confirmed, 1).await;

    // The aborted task releases its database when it is dropped.
    let _ = c.task.await;
    let c = start(&dirs[2], &[a.at]).await;
    assert_eq!(c.id, id, "the disk remembers who it is");
    assert!(c.handle.read(Node::incarnation).await.expect("running") > before);
    for member in [&a, &b, &c] {
        member.sees(State::Alive, 3).await;
    }
    assert!(before > Incarnation(0));
    c.leave().await;
    b.leave().await;
    a.sees(State::Departed, 2).await;
    a.leave().await;
}

#[tokio::test]
async fn services_run_are_restarted_are_remembered_and_stop() {
    let dir = directory();
    let good = script(&dir, "good", "#!/bin/sh\nexec sleep 1000\n");
    let bad = script(&dir, "bad", "#!/bin/sh\necho no luck >&2\nexit 3\n");
    let missing = ServiceSpec::new("test/missing".parse().expect("an ident"));
    let a = start(&dir, &[]).await;
    for spec in [&good, &bad, &missing] {
        let load = Command::LoadService { spec: spec.clone(), force: false };
        assert_eq!(a.handle.command(load).await, Reply::Done);
    }
    let up =
        |n: &Node| n.services().iter().any(|s| s.spec.ident.name() == "good" && s.state == ServiceState::Up);
    a.until("good is up", up).await;
    let exits = |n: &Node| n.services().iter().any(|s| s.spec.ident.name() == "bad" && s.restarts >= 2);
    a.until("bad is tried again", exits).await;
    let told = |n: &Node| {
        n.services().iter().any(|s| s.last_error.as_deref().is_some_and(|e| e.contains("not installed")))
    };
    a.until("missing says why", told).await;
    let pid =
        a.handle.read(|n| n.services().iter().find_map(|s| (s.spec.ident.name() == "good").then_some(s.pid)));
    let pid = pid.await.expect("running").flatten().expect("a process");
    assert!(Path::new("/proc").join(pid.to_string()).exists());

    // A dropped driver leaves what a crash leaves: nothing runs, and everything acknowledged is on disk.
    a.task.abort();
    let _ = a.task.await;
    let a = start(&dir, &[]).await;
    assert_eq!(a.handle.read(|n| n.services().len()).await, Ok(3));
    a.until("good is up again", up).await;
    let service = good.name();
    assert_eq!(
        a.handle.command(Command::StopService { service: service.clone(), how: StopHow::default() }).await,
        Reply::Done
    );
    let down = |n: &Node| {
        n.services().iter().any(|s| s.spec.ident.name() == "good" && s.state == ServiceState::Down)
    };
    a.until("good is down", down).await;
    assert_eq!(
        a.handle.command(Command::UnloadService { service, how: StopHow::default() }).await,
        Reply::Done
    );
    a.until("good is gone", |n| n.services().len() == 2).await;
    a.leave().await;
}
