//! What a service starts ends with it, however it tries to get away: other groups, other sessions, orphans, floods of new
//! processes. The tests look at processes only, found by their working directory.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, setpgid};

use crate::host::{Host, lives, number, number_in, status_field};
use crate::support::{eventually, text};

/// Leaves an orphan in a session of its own, and does not become its last program.
const RESTLESS: &str = "(setsid sh -c '(setsid sh -c \"exec sleep 1000\" &) ; exec sleep 1000' &)\n\
                        echo ready > var/ready\nsleep 1000\necho done";

/// The processes that work in the directory of a service.
fn tree(host: &Host, service: &str) -> Vec<u32> {
    let svc = host.root.path().join("svc").join(service).canonicalize().expect("it was loaded");
    let works_there = |pid: &u32| {
        fs::read_link(Path::new("/proc").join(pid.to_string()).join("cwd"))
            .is_ok_and(|at| at.starts_with(&svc))
    };
    let pids = fs::read_dir("/proc").expect("processes").flatten();
    pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(works_there).collect()
}

/// Loads a service, and waits until all of its processes are there.
fn load(host: &Host, name: &str, run: &str, processes: usize) -> (String, Vec<u32>) {
    let ident = host.install(name, run);
    host.load(&ident);
    host.service("up");
    let pids = eventually("all processes are there", || {
        let pids = tree(host, name);
        let sleeping =
            pids.iter().filter(|pid| status_field(**pid, "Name").is_some_and(|name| name == "sleep"));
        (sleeping.count() >= processes).then_some(pids)
    });
    (ident, pids)
}

fn gone(host: &Host, service: &str) {
    eventually("nothing of it is left", || tree(host, service).is_empty().then_some(()));
}

/// The parent of a process.
fn parent(pid: u32) -> u32 {
    status_field(pid, "PPid").expect("it runs").parse().expect("a pid")
}

#[test]
fn a_launcher_that_is_killed_takes_a_run_hook_that_does_not_exec_with_it() {
    let mut host = Host::start(|_| {});
    load(&host, "restless", RESTLESS, 3);
    host.launcher.kill().expect("killed");
    host.launcher.wait().expect("ended");
    gone(&host, "restless");
}

#[test]
fn orphans_in_other_sessions_end_with_a_stop_a_restart_and_an_unload() {
    let host = Host::start(|_| {});
    let (ident, first) = load(&host, "restless", RESTLESS, 3);
    assert_eq!(host.run(&["svc", "stop", &ident]).0, 0);
    host.service("down");
    assert_eq!(tree(&host, "restless"), [0; 0], "down means that nothing is left");
    assert_eq!(host.run(&["svc", "start", &ident]).0, 0);
    host.service("up");
    let again = eventually("it runs again", || {
        let pids = tree(&host, "restless");
        (pids.len() >= first.len()).then_some(pids)
    });
    // A crash of the first process alone.
    let pid = host.pid_of_service();
    kill(number(pid), Signal::SIGKILL).expect("killed");
    eventually("all that it had started is gone", || again.iter().all(|pid| !lives(*pid)).then_some(()));
    eventually("and it is there anew", || (host.pid_of_service() != pid).then_some(()));
    assert_eq!(host.run(&["svc", "unload", &ident]).0, 0);
    gone(&host, "restless");
}

/// A process of a service that joins the process group of its child; the service's first process leads a session, and
/// cannot.
#[test]
#[ignore = "a part of the test below, in a process of its own"]
fn joins_another_group() {
    let Some(file) = std::env::var_os("TEST_GROUP_FILE") else { return };
    let mut child = Command::new("sleep").arg("1000").process_group(0).spawn().expect("started");
    setpgid(Pid::from_raw(0), number(child.id())).expect("it is a group of this session");
    fs::write(file, format!("{}\n", child.id())).expect("written");
    child.wait().expect("waited for");
}

#[test]
fn a_service_that_changes_its_process_group_is_stopped_politely() {
    let host = Host::start(|_| {});
    let (program, file) = (std::env::current_exe().expect("this program"), host.said("group"));
    let ident = host.install(
        "mover",
        &format!(
            "TEST_GROUP_FILE={} {} guards::joins_another_group --exact --ignored\necho done",
            text(&file),
            text(&program)
        ),
    );
    let long = ["svc", "load", &ident, "--shutdown-timeout", "600"];
    assert_eq!(host.run(&long).0, 0);
    let pid = host.pid_of_service();
    let child = eventually("it has moved", || number_in(&file));
    assert_eq!(host.run(&["svc", "stop", &ident]).0, 0);
    let down = host.service("down");
    assert!(down.to_string().contains("signal 15"), "it was asked, not killed: {down}");
    assert!(!lives(pid) && !lives(child));
}

#[test]
fn a_guard_that_is_killed_leaves_its_tree_to_the_launcher_which_ends_it() {
    let host = Host::start(|_| {});
    let (_, pids) = load(&host, "restless", RESTLESS, 3);
    let pid = host.pid_of_service();
    let guard = parent(pid);
    assert_eq!(parent(guard), host.launcher.id());
    kill(number(guard), Signal::SIGKILL).expect("killed");
    eventually("the tree is gone", || pids.iter().all(|pid| !lives(*pid)).then_some(()));
    eventually("it is started again, below another guard", || {
        let service = host.services()?.get(0)?.clone();
        let again = u32::try_from(service["process"]["pid"].as_u64()?).ok()?;
        (service["state"] == "up" && again != pid && parent(again) != guard).then_some(())
    });
    assert!(host.log().contains("the guard of restless"), "{}", host.log());
}

#[test]
fn a_service_is_adopted_with_its_guard() {
    let host = Host::start(|_| {});
    let (ident, _) = load(&host, "restless", RESTLESS, 3);
    let (pid, supervisor) = (host.pid_of_service(), host.supervisor());
    let guard = parent(pid);
    kill(number(supervisor), Signal::SIGKILL).expect("killed");
    host.supervisor_after(supervisor);
    assert_eq!((host.pid_of_service(), parent(pid)), (pid, guard));
    assert_eq!(host.run(&["svc", "stop", &ident]).0, 0);
    assert_eq!(tree(&host, "restless"), [0; 0]);
    eventually("the guard has gone too", || (!lives(guard)).then_some(()));
}

#[test]
fn a_guard_that_stands_still_delays_a_stop_by_no_more_than_its_time() {
    let host = Host::start(|_| {});
    let (ident, pids) = load(&host, "restless", RESTLESS, 3);
    let guard = parent(host.pid_of_service());
    kill(number(guard), Signal::SIGSTOP).expect("stopped");
    let began = std::time::Instant::now();
    let (code, stdout, stderr) = host.run(&["svc", "stop", &ident, "--shutdown-timeout", "3"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("waiting") && stdout.contains("stands still"), "{stdout}");
    // Three seconds, the launcher's patience, and a busy machine.
    assert!(began.elapsed() < std::time::Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(pids.iter().all(|pid| !lives(*pid)) && !lives(guard));
    assert_eq!(tree(&host, "restless"), [0; 0]);
    assert!(host.log().contains("stands still and is killed"), "{}", host.log());
    assert_eq!(host.run(&["svc", "start", &ident]).0, 0);
    host.service("up");
}

#[test]
#[ignore = "needs a control group: for root, and run by .ci/run"]
fn processes_that_are_made_faster_than_they_are_killed_end() {
    let host = Host::start(|_| {});
    // Each process starts its successor and ends: their number stays the same, and a list of them is old when it is read.
    let comet = host.said("comet");
    fs::write(&comet, format!("#!/bin/sh\n{} &\n", text(&comet))).expect("written");
    fs::set_permissions(&comet, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("set");
    let run = format!("for i in 1 2 3 4 5 6 7 8; do {} & done\nsleep 1000\necho done", text(&comet));
    let (ident, _) = load(&host, "comets", &run, 1);
    assert_eq!(host.run(&["svc", "stop", &ident, "--shutdown-timeout", "0"]).0, 0);
    assert_eq!(tree(&host, "comets"), [0; 0]);
}
