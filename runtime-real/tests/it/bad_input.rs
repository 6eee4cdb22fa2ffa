//! Mistakes of users: each gets a message that names the cause, and an exit code.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Supervisor, annulus, finish, get, plan};

/// `sup run` on free ports of loopback.
fn sup_run(root: &Path) -> Command {
    let mut command = annulus();
    command.arg("--root").arg(root).args(["sup", "run"]);
    for option in ["--listen-gossip", "--listen-http", "--listen-ctl"] {
        command.args([option, "127.0.0.1:0"]);
    }
    command
}

#[test]
fn a_port_in_use_is_named_with_its_option() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = taken.local_addr().expect("an address").to_string();
    for option in ["--listen-gossip", "--listen-http", "--listen-ctl"] {
        let root = tempfile::tempdir().expect("a directory");
        let mut command = annulus();
        command.arg("--root").arg(root.path()).args(["sup", "run"]);
        for other in ["--listen-gossip", "--listen-http", "--listen-ctl"] {
            command.args([other, if other == option { addr.as_str() } else { "127.0.0.1:0" }]);
        }
        let (code, _, stderr) = finish(&mut command);
        assert_eq!(code, 6, "{option}: {stderr}");
        assert!(stderr.contains(&addr) && stderr.contains(option), "{stderr}");
    }
}

#[test]
fn malformed_arguments_are_usage_errors() {
    for args in [
        &["svc", "load", "redis"][..],
        &["svc", "load", "core/redis", "--topology", "ring"],
        &["svc", "load", "core/redis", "--bind", "db"],
        &["svc", "load", "core/redis", "--health-check-interval", "0"],
        &["svc", "status", "../../etc"],
        &["sup", "depart", "xyz"],
        &["--override-name", "a/b", "svc", "status"],
        &["demo", "--for", "3 fortnights"],
        &["sup", "run", "--listen-http", "nowhere"],
        &["dance"],
    ] {
        let root = tempfile::tempdir().expect("a directory");
        let (code, stdout, stderr) = finish(annulus().arg("--root").arg(root.path()).args(args));
        assert_eq!(code, 2, "{args:?}: {stderr}");
        assert!(stdout.is_empty() && !stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn a_package_file_that_is_none_is_named() {
    let root = tempfile::tempdir().expect("a directory");
    let file = root.path().join("rubbish.hart");
    std::fs::write(&file, "rubbish").expect("written");
    for args in [["svc", "load"], ["pkg", "install"]] {
        let (code, _, stderr) = finish(annulus().arg("--root").arg(root.path()).args(args).arg(&file));
        assert_eq!(code, 1, "{stderr}");
        assert!(stderr.contains("rubbish.hart"), "{stderr}");
    }
}

#[test]
fn help_and_version_need_no_root() {
    for args in [&["--help"][..], &["--version"], &["svc", "load", "--help"], &["sup", "run", "--help"]] {
        let (code, stdout, _) = finish(annulus().env_remove("HOME").args(args));
        assert_eq!(code, 0, "{args:?}");
        assert!(!stdout.is_empty());
    }
}

#[test]
fn a_root_that_cannot_be_used_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("file");
    std::fs::write(&file, "").expect("written");
    for root in [&file, Path::new("/proc/self/fdinfo/annulus")] {
        let (code, _, stderr) = finish(&mut sup_run(root));
        assert_eq!(code, 4, "{stderr}");
        assert!(stderr.contains(root.to_str().expect("text")) && stderr.contains("--root"), "{stderr}");
    }
}

#[test]
fn stored_state_that_cannot_be_read_is_named_and_kept() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("sup/default/data");
    std::fs::create_dir_all(&data).expect("made");
    let database = data.join("annulus.redb");
    for content in ["", "a letter to another reader"] {
        std::fs::write(&database, content).expect("written");
        let (code, _, stderr) = finish(&mut sup_run(dir.path()));
        assert_eq!(code, 5, "{stderr}");
        assert!(
            stderr.contains(database.to_str().expect("text")) && stderr.contains("move it aside"),
            "{stderr}"
        );
        assert_eq!(std::fs::read_to_string(&database).expect("still there"), content);
    }
}

#[test]
fn a_malformed_plan_is_pointed_at() {
    let dir = tempfile::tempdir().expect("a directory");
    let plan = plan(dir.path(), "web", "exec true");
    std::fs::write(
        plan.join("plan.toml"),
        "origin = \"test\"\nname = \"web\"\nversion = \"1\"\ncolour = 3\n",
    )
    .expect("written");
    let (code, _, stderr) = finish(annulus().arg("--root").arg(dir.path()).args(["pkg", "build"]).arg(&plan));
    assert_eq!(code, 1, "{stderr}");
    assert!(["plan.toml", "line 4", "colour"].iter().all(|word| stderr.contains(word)), "{stderr}");
}

#[test]
fn a_package_that_is_not_installed_is_not_known() {
    let dir = tempfile::tempdir().expect("a directory");
    for command in ["path", "config"] {
        let (code, _, stderr) =
            finish(annulus().arg("--root").arg(dir.path()).args(["pkg", command, "test/nothing"]));
        assert_eq!(code, 2, "{stderr}");
        assert!(stderr.contains("test/nothing") && stderr.contains("pkg install"), "{stderr}");
    }
}

#[test]
fn a_supervisor_outlives_the_reader_of_its_log() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut child = sup_run(dir.path()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    let mut log = BufReader::new(child.stderr.take().expect("piped")).lines();
    assert!(log.any(|line| line.expect("text").contains("is ready")), "it starts");
    drop(log);
    let run = |args: &[&str]| finish(annulus().arg("--root").arg(dir.path()).args(args)).0;
    // Each of them is logged: a refusal by the gateway, a command to leave by the loop.
    assert_eq!(run(&["svc", "load", "test/nothing"]), 2);
    assert_eq!(run(&["svc", "status"]), 0);
    assert_eq!(run(&["sup", "term"]), 0);
    assert_eq!(child.wait().expect("ended").code(), Some(0));
}

#[test]
fn a_log_reader_that_pauses_holds_up_no_supervisor() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut command = sup_run(dir.path());
    let mut child =
        command.args(["-v", "--log-format", "json"]).stderr(Stdio::piped()).spawn().expect("it runs");
    let mut log = BufReader::new(child.stderr.take().expect("piped")).lines().map(|line| line.expect("text"));
    let ready = log.find(|line| line.contains("\"ready\":true")).expect("it starts");
    let ready: serde_json::Value = serde_json::from_str(&ready).expect("JSON");
    let addr = |name: &str| ready[name].as_str().expect(name).parse().expect("an address");
    let (gossip, http): (SocketAddr, SocketAddr) = (addr("gossip"), addr("http"));
    let noise = UdpSocket::bind("127.0.0.1:0").expect("a port");
    // Each datagram is a line, and far more come than a pipe and the queue hold.
    for _ in 0..40 {
        for _ in 0..200 {
            noise.send_to(&[0xff; 100], gossip).expect("sent");
        }
        assert_eq!(get(http, "/live", &[]).status, 200, "the loop turns");
    }
    assert!(log.any(|line| line.contains("log lines were lost")), "and it says so");
    let reading = std::thread::spawn(move || log.last());
    assert_eq!(finish(annulus().arg("--root").arg(dir.path()).args(["sup", "term"])).0, 0);
    assert_eq!(child.wait().expect("ended").code(), Some(0));
    let last = reading.join().expect("read").expect("a line");
    assert!(last.contains("left the ring"), "nothing is cut off at the end: {last}");
}

#[test]
fn an_impatient_third_signal_ends_it_at_once() {
    use nix::sys::signal::{Signal, kill};
    let mut supervisor = Supervisor::start(&[]);
    let pid = nix::unistd::Pid::from_raw(supervisor.child.id().try_into().expect("a pid"));
    // The launcher is stopped meanwhile, and finds all three at once.
    let signals = [Signal::SIGSTOP, Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGCONT];
    for signal in signals {
        kill(pid, signal).expect("sent");
    }
    assert_eq!(supervisor.child.wait().expect("ended").code(), Some(130));
}

#[test]
fn a_service_that_cannot_run_is_not_loaded() {
    let supervisor = Supervisor::start(&[]);
    let plans = supervisor.root().join("plans");
    let library = plan(&plans, "library", "");
    std::fs::remove_file(library.join("hooks/run")).expect("removed");
    let bound = plan(&plans, "bound", "exec sleep 1000");
    let toml = std::fs::read_to_string(bound.join("plan.toml")).expect("a plan");
    std::fs::write(bound.join("plan.toml"), toml + "\n[binds]\ndatabase = [\"port\"]\n").expect("written");
    for plan in [&library, &bound] {
        supervisor.install(plan);
    }
    for (args, said) in [
        (&["test/library"][..], "is not a service"),
        (&["test/bound"], "--bind database:SERVICE.GROUP"),
        (
            &["test/bound", "--bind", "database:db.default", "--bind", "cache:redis.default"],
            "no bind \"cache\"",
        ),
    ] {
        let (code, _, stderr) = supervisor.run(&[&["svc", "load"], args].concat());
        assert!(code == 1 && stderr.contains(said), "{args:?}: {code} {stderr}");
    }
    assert_eq!(supervisor.run(&["svc", "status", "--json"]).1.trim(), "[]", "nothing is loaded");
    let (code, _, stderr) = supervisor.run(&["svc", "load", "test/bound", "--bind", "database:db.default"]);
    assert_eq!(code, 0, "{stderr}");
    let (code, _, stderr) = supervisor.run(&["svc", "update", "test/bound", "--bind", "cache:redis.default"]);
    assert!(code == 1 && stderr.contains("database"), "an update takes no bind away: {code} {stderr}");
}
