//! A host is shut down while a load balancer sends its service requests, and not one request is lost.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::load::{Backend, Balancer, Load, free_port};
use crate::support::{Supervisor, annulus, eventually, text};

const HEALTH: &str = "/services/web/default/health";

/// A service that takes time for each request, tells how many are in flight, and drops them when it is told to stop.
fn plan(dir: &Path, listen: SocketAddr) -> std::path::PathBuf {
    let plan = dir.join("web");
    fs::create_dir_all(plan.join("hooks")).expect("made");
    let program = env!("CARGO_BIN_EXE_annulus");
    let files = [
        (
            "plan.toml",
            format!(
                "origin = \"test\"\nname = \"web\"\nversion = \"1.0.0\"\n\n[health]\nhttp = \"http://{listen}/in-flight\"\n\
                 interval_s = 1\n\n[drain]\ntimeout_s = 20\ninflight = {{ http = \"http://{listen}/in-flight\" }}\n"
            ),
        ),
        ("default.toml", String::new()),
        ("hooks/run", format!("#!/bin/sh\nexec {program} responder --listen {listen} --delay-ms 100\n")),
    ];
    for (name, content) in files {
        fs::write(plan.join(name), content).expect("written");
    }
    plan
}

/// A supervisor whose service answers, and the service's address.
pub(crate) fn instance(extra: &[&str]) -> (Supervisor, SocketAddr) {
    let supervisor = Supervisor::start(extra);
    let service = free_port();
    supervisor.install(&plan(&supervisor.root().join("plans"), service));
    let (code, _, stderr) = supervisor.run(&["svc", "load", "test/web"]);
    assert_eq!(code, 0, "{stderr}");
    eventually("the service is healthy", || (supervisor.get(HEALTH).status == 200).then_some(()));
    (supervisor, service)
}

fn backend((supervisor, service): &(Supervisor, SocketAddr)) -> Backend {
    Backend { service: *service, gateway: supervisor.http, health: HEALTH }
}

pub(crate) fn signal(supervisor: &Supervisor, signal: Signal) {
    let pid = i32::try_from(supervisor.child.id()).expect("a pid");
    kill(Pid::from_raw(pid), signal).expect("it runs");
}

pub(crate) fn ended(supervisor: &mut Supervisor) -> Option<i32> {
    eventually("the supervisor has ended", || supervisor.child.try_wait().expect("waited for")).code()
}

#[test]
fn a_host_shuts_down_and_no_request_is_lost() {
    let mut first = instance(&[]);
    let second = instance(&[]);
    let balancer = Balancer::new(vec![backend(&first), backend(&second)]);
    balancer.wait_for(2);
    let load = Load::start(balancer.addr);
    load.wait_for(20);
    signal(&first.0, Signal::SIGTERM);
    eventually("it says so", || (first.0.get(HEALTH).status == 503).then_some(()));
    assert_eq!(ended(&mut first.0), Some(0));
    load.wait_for(20);
    let (answered, lost) = load.stop();
    assert_eq!(lost, Vec::<String>::new(), "of {}", answered + lost.len() as u64);
}

#[test]
fn a_service_is_stopped_or_updated_and_no_request_is_lost() {
    let first = instance(&[]);
    let second = instance(&[]);
    let balancer = Balancer::new(vec![backend(&first), backend(&second)]);
    balancer.wait_for(2);
    let load = Load::start(balancer.addr);
    load.wait_for(20);
    for command in [
        &["svc", "stop", "test/web"][..],
        &["svc", "start", "test/web"],
        &["svc", "drain", "test/web"],
        &["svc", "undrain", "test/web"],
        &["svc", "update", "test/web", "--binding-mode", "relaxed"],
        &["svc", "unload", "test/web", "--drain-timeout", "10"],
    ] {
        let (code, _, stderr) = first.0.run(command);
        assert_eq!(code, 0, "{command:?}: {stderr}");
        if matches!(command[1], "start" | "undrain" | "update") {
            balancer.wait_for(2);
        }
        load.wait_for(10);
    }
    let (answered, lost) = load.stop();
    assert_eq!(lost, Vec::<String>::new(), "of {}", answered + lost.len() as u64);
}

/// The counterpart: without waiting, requests are lost.
#[test]
fn a_hurried_end_loses_requests_in_flight() {
    let mut first = instance(&[]);
    let second = instance(&[]);
    let balancer = Balancer::new(vec![backend(&first), backend(&second)]);
    balancer.wait_for(2);
    let load = Load::start(balancer.addr);
    load.wait_for(20);
    signal(&first.0, Signal::SIGTERM);
    eventually("it says so", || (first.0.get(HEALTH).status == 503).then_some(()));
    signal(&first.0, Signal::SIGTERM);
    assert_eq!(ended(&mut first.0), Some(0));
    let (_, lost) = load.stop();
    assert!(!lost.is_empty(), "requests of 100 ms were under way");
}

#[test]
fn maintenance_is_sticky_and_tells_why() {
    let (mut supervisor, _) = instance(&[]);
    let on = ["svc", "maintenance", "on", "test/web", "--reason", "new disk"];
    let (code, stdout, stderr) = supervisor.run(&on);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("in maintenance"), "{stdout}");
    let refused = |supervisor: &Supervisor| {
        let health = supervisor.get(HEALTH);
        assert_eq!(health.status, 503, "{}", health.body);
        assert_eq!(health.json()["reason"], "in maintenance: new disk");
    };
    refused(&supervisor);
    assert_eq!(supervisor.run(&["sup", "term"]).0, 0);
    supervisor.restart(&[]);
    eventually("it is up again", || {
        let list = supervisor.json("/services");
        (list[0]["state"] == "up").then_some(())
    });
    refused(&supervisor);
    let (_, stdout, _) = supervisor.run(&["svc", "status"]);
    assert!(stdout.contains("maintenance") && stdout.contains("new disk"), "{stdout}");
    let (code, _, stderr) = supervisor.run(&["svc", "maintenance", "off", "test/web"]);
    assert_eq!(code, 0, "{stderr}");
    eventually("it takes work again", || (supervisor.get(HEALTH).status == 200).then_some(()));
    for (bad, says) in [
        (&["svc", "maintenance", "on", "test/web"][..], "--reason"),
        (&["svc", "maintenance", "on", "test/web", "--reason", ""], "--reason"),
        (&["svc", "maintenance", "on", "test/other", "--reason", "x"], "not loaded"),
        (&["svc", "drain", "test/other"], "not loaded"),
        (&["svc", "undrain", "web"], "origin/name"),
        (&["svc", "update", "test/web"], "nothing to update"),
        (&["svc", "update", "test/other", "--group", "x"], "not loaded"),
        (&["svc", "stop", "test/web", "--no-drain", "--drain-timeout", "5"], "cannot be used with"),
        (&["svc", "stop", "test/web", "--drain-timeout", "soon"], "--drain-timeout"),
    ] {
        let (code, _, stderr) = supervisor.run(bad);
        assert_eq!(code, 2, "{bad:?}: {stderr}");
        assert!(stderr.contains(says), "{bad:?}: {stderr}");
    }
}

#[test]
fn a_stop_takes_no_longer_than_it_is_told() {
    let supervisor = Supervisor::start(&[]);
    let dir = supervisor.root().join("plans/deaf");
    // Left alone, the service would be waited for until the test gives up.
    let toml = "origin = \"test\"\nname = \"deaf\"\nversion = \"1.0.0\"\n[service]\nshutdown_timeout_s = 1000\n\
                [drain]\ntimeout_s = 1000\n";
    fs::create_dir_all(dir.join("hooks")).expect("made");
    for (name, content) in [
        ("plan.toml", toml),
        ("default.toml", ""),
        ("hooks/run", "#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 1; done\n"),
    ] {
        fs::write(dir.join(name), content).expect("written");
    }
    supervisor.install(&dir);
    assert_eq!(supervisor.run(&["svc", "load", "test/deaf"]).0, 0);
    let is = |state: &str| {
        let entry = supervisor.json("/services/deaf/default");
        (entry["state"] == state).then_some(entry)
    };
    for how in [["--no-drain", "--shutdown-timeout=0"], ["--drain-timeout=1", "--shutdown-timeout=1"]] {
        eventually("up", || is("up"));
        let (code, stdout, stderr) = supervisor.run(&[&["svc", "stop", "test/deaf"][..], &how].concat());
        assert_eq!(code, 0, "{stderr}");
        assert!(stdout.contains("is stopped"), "{stdout}");
        let down = is("down").expect("stopped when the command ends");
        assert_eq!(down["last_exit"], "signal 9", "{down}");
        assert_eq!(supervisor.run(&["svc", "start", "test/deaf"]).0, 0);
    }
    eventually("up", || is("up"));
    let unload = ["svc", "unload", "test/deaf", "--no-drain", "--shutdown-timeout", "0"];
    assert_eq!(supervisor.run(&unload).0, 0);
    assert_eq!(supervisor.run(&["svc", "status", "test/deaf"]).0, 2);
}

#[test]
fn update_changes_only_what_is_given() {
    let supervisor = Supervisor::start(&[]);
    let plans = supervisor.root().join("plans");
    supervisor.install(&crate::support::plan(&plans, "sleeper", "exec sleep 1000"));
    let load = ["svc", "load", "test/sleeper", "--group", "prod", "--channel", "blue"];
    assert_eq!(supervisor.run(&[&load[..], &["--binding-mode", "relaxed"]].concat()).0, 0);
    let up = eventually("up", || {
        let entry = supervisor.json("/services/sleeper/prod");
        (entry["state"] == "up").then_some(entry)
    });
    let update = |args: &[&str]| supervisor.run(&[&["svc", "update", "test/sleeper"][..], args].concat());
    assert_eq!(update(&["--strategy", "at-once"]).0, 0);
    let after = supervisor.json("/services/sleeper/prod");
    assert_eq!(after["update_strategy"], "at-once");
    for same in ["channel", "service_group", "binding_mode", "update_condition"] {
        assert_eq!(after[same], up[same], "{same}");
    }
    assert_eq!(after["process"]["pid"], up["process"]["pid"], "no restart for that");
    let (_, stdout, _) = update(&["--strategy", "at-once"]);
    assert!(stdout.contains("already"), "{stdout}");
    let (code, _, stderr) = supervisor.run(&["svc", "update", "test/sleeper/9.9.9"]);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("9.9.9"), "{stderr}");
}

#[test]
fn one_supervisor_of_several_is_named() {
    let root = tempfile::tempdir().expect("a directory");
    let blue = Supervisor::start_in(root, &["sup", "run", "--override-name", "blue"], &[]);
    let run = |args: &[&str]| crate::support::finish(annulus().arg("--root").arg(blue.root()).args(args));
    assert_eq!(run(&["sup", "status"]).0, 3, "no supervisor is called default");
    assert_eq!(run(&["sup", "status", "--override-name", "blue"]).0, 0);
    let remote = blue.ctl.to_string();
    let (code, _, stderr) = run(&["sup", "status", "-r", &remote, "--override-name", "blue"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(Path::new(text(blue.root())).join("sup/blue/specs").is_dir());
}
