//! `annulus start`, and `annulus sup run` with a service.

use std::fs;

use serde_json::Value;

use crate::support::{Supervisor, annulus, eventually, finish, plan, run_as_this_user, text};

const LISTEN: [&str; 6] =
    ["--listen-gossip", "127.0.0.1:0", "--listen-http", "127.0.0.1:0", "--listen-ctl", "127.0.0.1:0"];

fn status(supervisor: &Supervisor) -> Value {
    let (code, stdout, stderr) = supervisor.run(&["svc", "status", "--json"]);
    assert_eq!(code, 0, "{stderr}");
    serde_json::from_str(&stdout).expect("JSON")
}

#[test]
fn start_runs_a_supervisor_with_a_service_of_a_file() {
    let root = tempfile::tempdir().expect("a directory");
    let plan = plan(&root.path().join("plans"), "sleeper", "exec sleep 1000");
    run_as_this_user(&plan);
    let built = root.path().join("built");
    let build = ["pkg", "build", text(&plan), "--output", text(&built)];
    let (code, _, stderr) = finish(annulus().arg("--root").arg(root.path()).args(build));
    assert_eq!(code, 0, "{stderr}");
    let file = fs::read_dir(&built).expect("built").next().expect("a file").expect("an entry").path();

    let mut supervisor = Supervisor::start_in(root, &["start", text(&file), "--group", "prod"], &[]);
    eventually("the service is up", || (status(&supervisor)[0]["state"] == "up").then_some(()));
    assert_eq!(status(&supervisor)[0]["service_group"], "sleeper.prod");

    // A second call finds the supervisor of the first.
    let (code, stdout, stderr) =
        supervisor.run(&[&["start", text(&file), "--group", "prod"][..], &LISTEN].concat());
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("runs here already") && stdout.contains("loaded already"), "{stdout}");
    let (code, _, stderr) = supervisor.run(&["sup", "start", text(&file), "--group", "blue"]);
    assert_eq!(code, 1);
    assert!(stderr.contains("--force"), "{stderr}");

    // After a stop, a start with another option keeps the other options.
    assert_eq!(supervisor.run(&["svc", "stop", "test/sleeper"]).0, 0);
    assert_eq!(supervisor.run(&["sup", "term"]).0, 0);
    supervisor.restart_as(&["sup", "run", "test/sleeper", "--channel", "blue"]);
    let list = eventually("up again", || Some(status(&supervisor)).filter(|list| list[0]["state"] == "up"));
    assert_eq!(list[0]["service_group"], "sleeper.prod");
    let spec =
        fs::read_to_string(supervisor.root().join("sup/default/specs/sleeper.spec")).expect("the file");
    assert!(spec.contains("channel = \"blue\""), "{spec}");
}

#[test]
fn what_cannot_be_started_is_said_before_anything_runs() {
    let root = tempfile::tempdir().expect("a directory");
    let start =
        |args: &[&str]| finish(annulus().arg("--root").arg(root.path()).args([args, &LISTEN].concat()));
    let (code, _, stderr) = start(&["start", "core/redis"]);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("no package core/redis is installed"), "{stderr}");
    for (args, says) in [
        (&["start"][..], "IDENT|FILE"),
        (&["start", "redis"], "neither a package nor a .hart file"),
        (&["start", "/no/such.hart"], "/no/such.hart"),
        (&["start", "core/redis", "--topology", "star"], "standalone, leader"),
        (&["sup", "run", "--group", "prod"], "without one"),
    ] {
        let (code, _, stderr) = start(args);
        assert_ne!(code, 0, "{args:?}");
        assert!(stderr.contains(says), "{args:?}: {stderr}");
    }
    assert!(!root.path().join("sup/default/specs").read_dir().is_ok_and(|mut dir| dir.next().is_some()));
}

#[test]
fn a_group_can_be_named_with_its_service_and_organization() {
    let root = tempfile::tempdir().expect("a directory");
    let plan = plan(&root.path().join("plans"), "sleeper", "exec sleep 1000");
    run_as_this_user(&plan);
    let built = root.path().join("built");
    let build = ["pkg", "build", text(&plan), "--output", text(&built)];
    assert_eq!(finish(annulus().arg("--root").arg(root.path()).args(build)).0, 0);
    let file = fs::read_dir(&built).expect("built").next().expect("a file").expect("an entry").path();
    let start = |group: &str| {
        let args = ["start", text(&file), "--org", "acme", "--group", group];
        finish(annulus().arg("--root").arg(root.path()).args([&args[..], &LISTEN].concat()))
    };
    let (code, _, stderr) = start("redis.prod");
    assert!(code == 2 && stderr.contains("redis"), "the package has another name: {code} {stderr}");
    let args = ["start", text(&file), "--org", "acme", "--group", "sleeper.prod"];
    let supervisor = Supervisor::start_in(root, &args, &[]);
    eventually("the service is up", || (status(&supervisor)[0]["state"] == "up").then_some(()));
    assert_eq!(status(&supervisor)[0]["service_group"], "sleeper.prod@acme");
}
