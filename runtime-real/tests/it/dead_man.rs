//! The dead-man switch: a process that leads on a lease is killed when the supervisor stops renewing the lease.
//!
//! The supervisor here is this test program itself, started by a launcher: it starts one process, gives it leases for
//! a while, and then stops running, like the supervisor of a host that is suspended or out of memory.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use annulus::host::clock;
use annulus::launcher::client::Client;
use annulus::launcher::message::{Answer, Launch, Limits, Request};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{annulus, eventually, text};

/// Set in the environment of the supervisor: the directory for what it reports.
const DIR_ENV: &str = "TEST_DEAD_MAN_DIR";
/// The way in which it ends: `stop` or `exit`.
const HOW_ENV: &str = "TEST_DEAD_MAN_HOW";
/// How long the process may go on without a new lease, in milliseconds.
const LEASE_MS: u64 = 400;

fn launch(dir: &Path, service: &str) -> Launch {
    Launch {
        service: service.to_owned(),
        group: format!("{service}.default"),
        ident: format!("test/{service}/1.0.0/20260101000000"),
        program: "/bin/sleep".into(),
        dir: dir.to_owned(),
        env: Vec::new(),
        pid_file: dir.join(service),
        stop_signal: 15,
        stop_timeout_ms: 1_000,
        owner: None,
        nofile: None,
        limits: Limits::default(),
    }
}

/// The supervisor that the launcher starts.
#[tokio::test]
#[ignore = "a part of the tests below, in a process of its own"]
async fn supervisor() {
    let Some(dir) = std::env::var_os(DIR_ENV).map(std::path::PathBuf::from) else { return };
    let socket = dir.join("sup/default/launcher.sock");
    let (client, _) = Client::connect(&socket).await.expect("a launcher");
    // The launcher starts programs without arguments.
    let run = dir.join("run");
    let mut pids = Vec::new();
    for service in ["leader", "renewed", "released"] {
        let launch = Launch { program: run.clone(), ..launch(&dir, service) };
        let (pid, end) = client.spawn(launch).await.expect("started");
        pids.push((service.to_owned(), pid, end));
    }
    let lease = |service: &str, pid, left_ms: Option<u64>| {
        let deadline_ms = left_ms.map(|left_ms| clock::boot_ms() + left_ms);
        let request = Request::Lease { service: service.to_owned(), pid, deadline_ms };
        let client = client.clone();
        async move { assert_eq!(client.request(&request).await, Ok(Answer::Done)) }
    };
    for (service, pid, _) in &pids {
        lease(service, *pid, Some(LEASE_MS)).await;
    }
    lease("renewed", pids[1].1, Some(3_600_000)).await;
    lease("released", pids[2].1, None).await;
    fs::write(dir.join("began.new"), clock::boot_ms().to_string()).expect("written");
    fs::rename(dir.join("began.new"), dir.join("began")).expect("renamed");
    match std::env::var(HOW_ENV).as_deref() {
        Ok("stop") => kill(Pid::this(), Signal::SIGSTOP).expect("stopped"),
        Ok("kill") => kill(Pid::this(), Signal::SIGKILL).expect("killed"),
        _ => {
            let status = (&mut pids[0].2).await.expect("told");
            fs::write(dir.join("told"), status.to_string()).expect("written");
        }
    }
    std::future::pending::<()>().await;
}

/// The pids of the processes that live, by the files that the launcher keeps.
fn living(dir: &Path) -> BTreeSet<String> {
    let lives = |name: &str| {
        let pid = fs::read_to_string(dir.join(name)).ok()?.trim().parse::<u32>().ok()?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        (!stat.contains(") Z ")).then(|| name.to_owned())
    };
    ["leader", "renewed", "released"].into_iter().filter_map(lives).collect()
}

fn dead_man(how: &str) -> String {
    let root = tempfile::tempdir().expect("a directory");
    let run = root.path().join("run");
    fs::write(&run, "#!/bin/sh\nexec sleep 1000\n").expect("written");
    fs::set_permissions(&run, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("made executable");
    let program = std::env::current_exe().expect("this program");
    let mut command = annulus();
    command.args([
        "--launch",
        text(root.path()),
        "default",
        text(&program),
        "1000000",
        "1000000",
        "1",
        "false",
    ]);
    command.args(["dead_man::supervisor", "--exact", "--ignored", "--nocapture"]);
    command.env(DIR_ENV, root.path()).env(HOW_ENV, how).stdout(std::process::Stdio::null());
    let log = fs::File::create(root.path().join("log")).expect("a file");
    let mut launcher = command.stderr(log).spawn().expect("the binary runs");
    let began: u64 = eventually("the leases are given", || {
        fs::read_to_string(root.path().join("began")).ok()?.parse().ok()
    });
    let others = BTreeSet::from(["renewed".to_owned(), "released".to_owned()]);
    let ended_ms = eventually("the leader is gone", || {
        let living = living(root.path());
        assert!(living.is_superset(&others), "{living:?}");
        (!living.contains("leader")).then(clock::boot_ms)
    });
    // The lease was given a moment before it was written down. The margin is far more than a busy machine needs.
    assert!(ended_ms + 50 >= began + LEASE_MS, "{ended_ms} is before the end of the lease");
    assert!(ended_ms < began + LEASE_MS + 5_000, "{ended_ms}: too late");
    if how == "stay" {
        let told = eventually("it is told", || fs::read_to_string(root.path().join("told")).ok());
        assert_eq!(told, "signal 9");
    }
    assert_eq!(living(root.path()), others, "no other process is killed");
    let log = fs::read_to_string(root.path().join("log")).expect("a log");
    launcher.kill().expect("killed");
    launcher.wait().expect("ended");
    eventually("nothing is left", || living(root.path()).is_empty().then_some(()));
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
