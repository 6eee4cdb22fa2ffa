//! Spec files that an operator changes with an editor.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::{Supervisor, annulus, eventually, finish, plan, text};

fn spec_file(supervisor: &Supervisor, service: &str) -> PathBuf {
    supervisor.root().join(format!("sup/default/specs/{service}.spec"))
}

fn status(supervisor: &Supervisor) -> Value {
    let (code, stdout, stderr) = supervisor.run(&["svc", "status", "--json"]);
    assert_eq!(code, 0, "{stderr}");
    serde_json::from_str(&stdout).expect("JSON")
}

fn wait_until(supervisor: &Supervisor, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    eventually(what, || Some(status(supervisor)).filter(|list| holds(list)))
}

fn with_sleeper() -> Supervisor {
    let supervisor = Supervisor::start(&[]);
    supervisor.install(&plan(&supervisor.root().join("plans"), "sleeper", "exec sleep 1000"));
    supervisor
}

#[test]
fn what_is_loaded_stands_in_a_file_and_what_stands_in_a_file_is_loaded() {
    let supervisor = with_sleeper();
    let file = spec_file(&supervisor, "sleeper");
    let (code, _, stderr) = supervisor.run(&["svc", "load", "test/sleeper", "--group", "prod"]);
    assert_eq!(code, 0, "{stderr}");
    let spec: toml::Table = fs::read_to_string(&file).expect("the file").parse().expect("TOML");
    assert_eq!((&spec["ident"], &spec["group"]), (&"test/sleeper".into(), &"prod".into()));
    assert_eq!(supervisor.json("/services/sleeper/prod")["spec_file"], text(&file));
    let up = wait_until(&supervisor, "up", |list| list[0]["state"] == "up");

    // An edit by hand: another group, which means another process.
    fs::write(&file, "# by hand\nident = \"test/sleeper\"\ngroup = \"blue\"\n").expect("written");
    let moved = wait_until(&supervisor, "up in the other group", |list| {
        list[0]["service_group"] == "sleeper.blue" && list[0]["state"] == "up"
    });
    assert_ne!(moved[0]["process"]["pid"], up[0]["process"]["pid"]);
    assert!(fs::read_to_string(&file).expect("the file").starts_with("# by hand"), "left as it was written");

    fs::write(&file, "ident = \"test/sleeper\"\ngroup = \"blue\"\ndesired_state = \"down\"\n")
        .expect("written");
    wait_until(&supervisor, "down", |list| list[0]["state"] == "down");
    assert_eq!(supervisor.run(&["svc", "start", "test/sleeper"]).0, 0);
    wait_until(&supervisor, "up again", |list| list[0]["state"] == "up");

    fs::remove_file(&file).expect("removed");
    wait_until(&supervisor, "unloaded", |list| *list == Value::Array(Vec::new()));
    assert_eq!(supervisor.run(&["svc", "load", "test/sleeper"]).0, 0);
    assert!(file.exists());
    assert_eq!(supervisor.run(&["svc", "unload", "test/sleeper"]).0, 0);
    assert!(!file.exists());
}

#[test]
fn a_bad_file_is_named_and_its_service_goes_on() {
    let supervisor = with_sleeper();
    let file = spec_file(&supervisor, "sleeper");
    assert_eq!(supervisor.run(&["svc", "load", "test/sleeper"]).0, 0);
    let up = wait_until(&supervisor, "up", |list| list[0]["state"] == "up");
    let bad = "ident = \"test/sleeper\"\ntoplogy = \"leader\"\n";
    fs::write(&file, bad).expect("written");
    fs::write(spec_file(&supervisor, "ghost"), "ident = \"test/other\"\n").expect("written");
    let named = wait_until(&supervisor, "both are named", |list| {
        list.as_array().is_some_and(|list| list.len() == 2) && !list[0]["spec_problem"].is_null()
    });
    assert!(named[0]["spec_problem"].as_str().expect("text").contains("toplogy"), "{named:#}");
    assert_eq!(named[0]["process"]["pid"], up[0]["process"]["pid"]);
    assert_eq!(named[1]["state"], "unreadable");
    assert!(named[1]["spec_problem"].as_str().expect("text").contains("other.spec"), "{named:#}");
    let (_, stdout, _) = supervisor.run(&["svc", "status"]);
    assert!(stdout.contains("toplogy") && stdout.contains("ghost.spec"), "{stdout}");
    let (code, _, stderr) = supervisor.run(&["svc", "status", "test/ghost"]);
    assert_eq!(code, 2);
    assert!(stderr.contains("ghost.spec"), "{stderr}");
    assert_eq!(fs::read_to_string(&file).expect("there"), bad, "left alone");

    // After a correction the file counts again.
    fs::write(&file, "ident = \"test/sleeper\"\nshutdown_timeout = 3\n").expect("written");
    wait_until(&supervisor, "no longer named", |list| list[0]["spec_problem"].is_null());
}

#[test]
fn specs_outlive_the_supervisor_and_its_database() {
    let mut supervisor = with_sleeper();
    assert_eq!(supervisor.run(&["svc", "load", "test/sleeper", "--group", "prod"]).0, 0);
    assert_eq!(supervisor.run(&["svc", "stop", "test/sleeper"]).0, 0);
    let member = supervisor.member.clone();
    assert_eq!(supervisor.run(&["sup", "term"]).0, 0);
    fs::remove_dir_all(supervisor.root().join("sup/default/data")).expect("removed");
    supervisor.restart(&[]);
    assert_ne!(supervisor.member, member, "a new member");
    let list = status(&supervisor);
    assert_eq!((&list[0]["service_group"], &list[0]["state"]), (&"sleeper.prod".into(), &"down".into()));
}

#[test]
fn a_spec_directory_that_is_none_is_named() {
    let root = tempfile::tempdir().expect("a directory");
    fs::create_dir_all(root.path().join("sup/default")).expect("made");
    fs::write(root.path().join("sup/default/specs"), "").expect("written");
    let (code, _, stderr) = finish(annulus().arg("--root").arg(root.path()).args([
        "sup",
        "run",
        "--listen-gossip",
        "127.0.0.1:0",
        "--listen-http",
        "127.0.0.1:0",
        "--listen-ctl",
        "127.0.0.1:0",
    ]));
    assert_eq!(code, 5, "{stderr}");
    assert!(stderr.contains("sup/default/specs"), "{stderr}");
}
