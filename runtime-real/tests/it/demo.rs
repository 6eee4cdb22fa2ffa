//! The demonstration, which is the first command that a newcomer runs.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{DEADLINE, annulus, finish};

/// Processes whose command line names this directory.
fn processes_in(dir: &std::path::Path) -> Vec<String> {
    let entries = fs::read_dir("/proc").expect("processes").flatten();
    let lines = entries.filter_map(|entry| fs::read_to_string(entry.path().join("cmdline")).ok());
    lines.filter(|line| line.contains(dir.to_str().expect("text"))).collect()
}

#[test]
fn the_demonstration_ends_by_itself_and_leaves_nothing() {
    let tmp = tempfile::tempdir().expect("a directory");
    let (code, stdout, stderr) = finish(annulus().env("TMPDIR", tmp.path()).args(["demo", "--for", "1s"]));
    assert_eq!(code, 0, "{stdout}\n{stderr}");
    for text in [
        "alpha",
        "beta",
        "gamma",
        "svc status annulus/responder",
        "/census",
        "sup depart",
        "is up",
        "Nothing is left",
    ] {
        assert!(stdout.contains(text), "{text:?} is missing in\n{stdout}");
    }
    assert_eq!(processes_in(tmp.path()), Vec::<String>::new());
    assert_eq!(fs::read_dir(tmp.path()).expect("a directory").count(), 0, "files are left");
}

#[test]
fn an_interrupt_ends_the_demonstration_in_order_and_a_death_shows() {
    let tmp = tempfile::tempdir().expect("a directory");
    let mut command = annulus();
    command.env("TMPDIR", tmp.path()).arg("demo").stdout(Stdio::piped());
    let mut demo = command.spawn().expect("the binary runs");
    let mut lines = BufReader::new(demo.stdout.take().expect("piped")).lines().map_while(Result::ok);
    let start = Instant::now();
    let mut wait_for = |text: &str| {
        for line in lines.by_ref() {
            if line.contains(text) {
                return;
            }
            assert!(start.elapsed() < DEADLINE, "no {text:?} in time");
        }
        panic!("the demonstration ended without {text:?}");
    };
    wait_for("What happened so far");
    // The root's last component is the supervisor's name, by which the test finds its launcher.
    let victim = fs::read_dir("/proc").expect("processes").flatten().find_map(|entry| {
        let line = fs::read_to_string(entry.path().join("cmdline")).ok()?;
        let ours = line.contains(tmp.path().to_str()?) && line.contains("/gamma\0sup\0run");
        let ours = ours && line.contains("\0--launch\0");
        ours.then(|| entry.file_name().to_str()?.parse::<i32>().ok()).flatten()
    });
    kill(Pid::from_raw(victim.expect("gamma runs")), Signal::SIGKILL).expect("killed");
    wait_for("the supervisor gamma was killed by signal 9");
    wait_for("gamma went from Suspect to Confirmed");
    kill(Pid::from_raw(demo.id().try_into().expect("a pid")), Signal::SIGINT).expect("interrupted");
    wait_for("A supervisor died");
    assert_eq!(demo.wait().expect("ended").code(), Some(1));
    assert_eq!(processes_in(tmp.path()), Vec::<String>::new());
    assert_eq!(fs::read_dir(tmp.path()).expect("a directory").count(), 0, "files are left");
}

#[test]
fn redis_has_a_leader_loses_it_and_goes_on() {
    let missing = annulus::cli::demo::missing_programs();
    if !missing.is_empty() {
        println!("skipped: {} not found; Debian's package redis-server has both", missing.join(" and "));
        return;
    }
    let tmp = tempfile::tempdir().expect("a directory");
    let (code, stdout, stderr) = finish(annulus().env("TMPDIR", tmp.path()).args(["demo", "redis"]));
    assert_eq!(code, 0, "{stdout}\n{stderr}");
    for text in [
        "leads; the others follow",
        "refuses a write: READONLY",
        "leads now, and still has \"written to the first leader\"",
        "is back as a follower",
        "Nothing is left running",
    ] {
        assert!(stdout.contains(text), "{text:?} is missing in\n{stdout}");
    }
    assert_eq!(processes_in(tmp.path()), Vec::<String>::new());
    assert_eq!(fs::read_dir(tmp.path()).expect("a directory").count(), 0, "files are left");
}

#[test]
fn the_keyed_demonstration_hears_no_stranger_changes_its_key_seals_a_configuration_and_invites() {
    let tmp = tempfile::tempdir().expect("a directory");
    let (code, stdout, stderr) = finish(annulus().env("TMPDIR", tmp.path()).args(["demo", "keys"]));
    assert_eq!(code, 0, "{stdout}\n{stderr}");
    for text in [
        "alpha$ annulus ring key generate demo",
        "no key:",
        "the stranger got no answer",
        "alpha$ annulus ring key use demo",
        "3 of 3",
        "no member was lost",
        "name = \"(sealed)\"",
        "no supervisor has stored it readably",
        "alpha$ annulus ring invite --for 10m",
        "      annulus-join-1/demo/127.0.0.1:",
        "delta$ annulus sup run --join LINE",
        "which no other host can use any more",
        "Nothing is left running",
    ] {
        assert!(stdout.contains(text), "{text:?} is missing in\n{stdout}");
    }
    assert_eq!(processes_in(tmp.path()), Vec::<String>::new());
    assert_eq!(fs::read_dir(tmp.path()).expect("a directory").count(), 0, "files are left");
}
