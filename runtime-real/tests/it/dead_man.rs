//! The dead-man switch: what a process that leads on a lease has started is killed when its supervisor stops renewing
//! the lease, whichever other process stands still.
//!
//! The supervisor here is this test program itself, started by a launcher: it starts services, gives them leases for
//! a while, and then stops, ends, or stops its launcher. The tests look at processes only.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use annulus::host::capabilities::Capabilities;
use annulus::host::clock::{self, Clock};
use annulus::host::exit;
use annulus::launcher::client::Client;
use annulus::launcher::message::{Launch, Lease, Limits, Resume};
use annulus::supervisor::effect::process::Processes;
use annulus_core::{EffectId, EffectResult, ServiceName};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getppid};
use tokio::sync::mpsc;

use crate::host::lives;
use crate::support::{annulus, eventually, text};

/// Set in the environment of the supervisor: the directory for what it reports.
const DIR_ENV: &str = "TEST_DEAD_MAN_DIR";
/// What happens in the end: `stop`, `kill`, `stay`, `freeze` or `again`.
const HOW_ENV: &str = "TEST_DEAD_MAN_HOW";
/// How long a service may go on without a new lease, in milliseconds.
const LEASE_MS: u64 = 400;
/// Renewals while the launcher stands still: many times as long as a lease.
const RENEWALS: u32 = 40;

/// A run hook that does not `exec`, with a child that has left group, session and parent.
const RUN: &str = "#!/bin/sh\n(setsid sh -c 'echo $$ > $NAME.child.new; mv $NAME.child.new $NAME.child; exec sleep 1000' &)\n\
                   sleep 1000\necho done\n";

fn launch(dir: &Path, service: &str, lease: Option<Lease>) -> Launch {
    Launch {
        service: service.to_owned(),
        group: format!("{service}.default"),
        ident: format!("test/{service}/1.0.0/20260101000000"),
        program: dir.join("run"),
        dir: dir.to_owned(),
        env: vec![("NAME".into(), service.into())],
        pid_file: dir.join(service),
        stop_signal: 15,
        stop_timeout_ms: 1_000,
        owner: None,
        capabilities: Capabilities::NONE,
        nofile: None,
        limits: Limits::default(),
        lease,
        restarts: 0,
    }
}

fn lease(left_ms: u64) -> Lease {
    let now_ms = clock::boot_ms();
    let resume = Resume {
        member: [7; 16],
        group: "leader.default".to_owned(),
        term: 12,
        until_ms: now_ms + 3_600_000,
    };
    Lease { kill_at_ms: now_ms + left_ms, resume: Some(resume) }
}

/// Writes a file that readers see as a whole.
fn report(dir: &Path, name: &str, content: &str) {
    let unfinished = dir.join(format!("{name}.new"));
    fs::write(&unfinished, content).expect("written");
    fs::rename(unfinished, dir.join(name)).expect("renamed");
}

/// Gives leases as the supervisor does.
struct Giver {
    processes: Processes,
    results: mpsc::Receiver<(EffectId, EffectResult)>,
}

impl Giver {
    async fn give(&mut self, service: &str, pid: u32, lease: Option<Lease>) {
        let service: ServiceName = service.parse().expect("a name");
        self.processes.lease(EffectId(1), &service, Some(pid), lease.as_ref());
        assert_eq!(self.results.recv().await, Some((EffectId(1), EffectResult::Leased)));
    }
}

/// The supervisor that the launcher starts.
#[tokio::test]
#[ignore = "a part of the tests below, in a process of its own"]
async fn supervisor() {
    let Some(dir) = std::env::var_os(DIR_ENV).map(std::path::PathBuf::from) else { return };
    let how = std::env::var(HOW_ENV).expect("set");
    let clock = Clock::host();
    let socket = dir.join("sup/default/launcher.sock");
    let (client, running) = Client::connect(&socket, &clock).await.expect("a launcher");
    if let Some(first) = running.iter().find(|running| running.service.as_str() == "renewed") {
        let resume = first.resume.as_ref().expect("the guard kept it");
        let left = resume.until.saturating_since(clock.now());
        assert!(left > Duration::from_secs(3_000) && left <= Duration::from_secs(3_600), "{left:?}");
        assert_eq!(*resume.member.as_bytes(), [7; 16]);
        report(&dir, "resumed", &format!("{} {} {}", first.pid, resume.group, resume.term));
        std::future::pending::<()>().await;
    }
    let (done, results) = mpsc::channel(8);
    let mut giver = Giver { processes: Processes::new(client.clone(), done), results };
    let mut pids = Vec::new();
    for service in SERVICES {
        let (pid, end) = client.spawn(launch(&dir, service, Some(lease(60_000)))).await.expect("started");
        eventually("it has started its child", || {
            fs::read_to_string(dir.join(format!("{service}.child"))).ok()
        });
        pids.push((pid, end));
    }
    if how == "freeze" {
        kill(getppid(), Signal::SIGSTOP).expect("stopped");
    }
    for (service, left_ms) in [("leader", LEASE_MS), ("renewed", 3_600_000)] {
        let at = SERVICES.iter().position(|name| *name == service).expect("one of them");
        giver.give(service, pids[at].0, Some(lease(left_ms))).await;
    }
    giver.give("released", pids[2].0, None).await;
    report(&dir, "began", &clock::boot_ms().to_string());
    match how.as_str() {
        "stop" => kill(Pid::this(), Signal::SIGSTOP).expect("stopped"),
        "kill" => kill(Pid::this(), Signal::SIGKILL).expect("killed"),
        "again" => std::process::exit(exit::RESTART.into()),
        "freeze" => {
            // Its leases are short now, and it lives by their renewal alone.
            for _ in 0..RENEWALS {
                giver.give("renewed", pids[1].0, Some(lease(LEASE_MS))).await;
                tokio::time::sleep(Duration::from_millis(LEASE_MS / 4)).await;
            }
            giver.give("renewed", pids[1].0, Some(lease(3_600_000))).await;
            report(&dir, "renewals", "done");
        }
        _ => {
            let status = (&mut pids[0].1).await.expect("told");
            report(&dir, "told", &status.to_string());
        }
    }
    std::future::pending::<()>().await;
}

const SERVICES: [&str; 3] = ["leader", "renewed", "released"];

/// The services of which any process lives. That of the first process is in the launcher's file, which names it as long
/// as the service runs, so the test remembers it.
fn living(dir: &Path, first: &[(String, u32)]) -> BTreeSet<String> {
    let child = |name: &str| fs::read_to_string(dir.join(format!("{name}.child"))).ok()?.trim().parse().ok();
    let live = first.iter().filter(|(name, pid)| lives(*pid) || child(name).is_some_and(lives));
    live.map(|(name, _)| name.clone()).collect()
}

fn dead_man(how: &str) -> String {
    let root = tempfile::tempdir().expect("a directory");
    let dir = root.path();
    fs::write(dir.join("run"), RUN).expect("written");
    fs::set_permissions(dir.join("run"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("set");
    let program = std::env::current_exe().expect("this program");
    let mut command = annulus();
    command.args(["--launch", text(dir), "default", text(&program), "1000000", "1000000", "1", "false"]);
    command.args(["dead_man::supervisor", "--exact", "--ignored", "--nocapture"]);
    command.env(DIR_ENV, dir).env(HOW_ENV, how).stdout(std::process::Stdio::null());
    let log = fs::File::create(dir.join("log")).expect("a file");
    let mut launcher = command.stderr(log).spawn().expect("the binary runs");
    let read = |name: &str| fs::read_to_string(dir.join(name)).ok();
    let began: u64 = eventually("the leases are given", || read("began")?.parse().ok());
    // The file of a service that has ended is removed by the launcher, which may be frozen.
    let first: Vec<(String, u32)> = SERVICES
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), read(name)?.trim().parse().ok()?)))
        .collect();
    let others = BTreeSet::from(["renewed".to_owned(), "released".to_owned()]);
    let ended_ms = eventually("the leader is gone", || {
        let living = living(dir, &first);
        assert!(living.is_superset(&others), "{living:?}");
        (!living.contains("leader")).then(clock::boot_ms)
    });
    // The lease was given a moment before it was written down. The margin is far more than a busy machine needs.
    assert!(ended_ms + 50 >= began + LEASE_MS, "{ended_ms} is before the end of the lease");
    assert!(ended_ms < began + LEASE_MS + 5_000, "{ended_ms}: too late");
    match how {
        "stay" => assert_eq!(eventually("it is told", || read("told")), "signal 9"),
        "freeze" => drop(eventually("it was renewed all the time", || read("renewals"))),
        "again" => {
            let pid = first.iter().find(|(name, _)| name == "renewed").expect("it ran").1;
            let resumed = eventually("the right to resume comes back", || read("resumed"));
            assert_eq!(resumed, format!("{pid} leader.default 12"));
        }
        _ => {}
    }
    assert_eq!(living(dir, &first), others, "no other process is killed");
    let log = read("log").expect("a log");
    launcher.kill().expect("killed");
    launcher.wait().expect("ended");
    eventually("nothing is left", || living(dir, &first).is_empty().then_some(()));
    log
}

#[test]
fn a_supervisor_that_does_not_run_does_not_keep_its_leader() {
    assert!(dead_man("stop").contains("leader"), "and the launcher says why");
}

#[test]
fn a_supervisor_that_is_dead_does_not_keep_its_leader() {
    dead_man("kill");
}

#[test]
fn a_supervisor_that_lives_is_told_of_the_end_that_it_allowed() {
    dead_man("stay");
}

#[test]
fn a_launcher_that_stands_still_neither_keeps_a_leader_nor_ends_one_that_is_renewed() {
    dead_man("freeze");
}

#[test]
fn the_right_to_resume_outlives_the_supervisor() {
    dead_man("again");
}
