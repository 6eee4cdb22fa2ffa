//! Several supervisors of one root: a service's directory has one owner at a time, who may be killed and is not robbed.

use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};

use crate::host::{Host, lives, number};
use crate::support::{annulus, eventually, finish, plan};

/// A second supervisor in the root of another one.
struct Second<'a> {
    host: &'a Host,
    launcher: Child,
}

impl<'a> Second<'a> {
    fn start(host: &'a Host) -> Self {
        let mut command = annulus();
        command.arg("--root").arg(host.root.path()).args(["--override-name", "green", "sup", "run"]);
        command.args(["--profile", "local"]);
        for option in ["--listen-gossip", "--listen-http", "--listen-ctl"] {
            command.args([option, "127.0.0.1:0"]);
        }
        let launcher = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary runs");
        let second = Self { host, launcher };
        eventually("the second supervisor answers", || {
            (second.run(&["svc", "status", "--json"]).0 == 0).then_some(())
        });
        second
    }

    fn run(&self, args: &[&str]) -> (i32, String, String) {
        let mut command: Command = annulus();
        command.arg("--root").arg(self.host.root.path()).args(["--override-name", "green"]).args(args);
        finish(&mut command)
    }
}

impl Drop for Second<'_> {
    fn drop(&mut self) {
        let _ = self.launcher.kill();
        let _ = self.launcher.wait();
    }
}

#[test]
fn a_second_load_is_refused_and_says_who_has_the_service() {
    let host = Host::start(|_| {});
    let ident = host.install("web", "exec sleep 1000");
    host.load(&ident);
    let pid = host.pid_of_service();
    let second = Second::start(&host);
    let (code, _, stderr) = second.run(&["svc", "load", &ident]);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains(&format!("\"default\", process {}", host.launcher.id())), "{stderr}");
    assert!(stderr.contains("one owner"), "{stderr}");
    assert_eq!(host.pid_of_service(), pid, "the first one's process is not touched");

    let start =
        ["--listen-gossip", "127.0.0.1:0", "--listen-http", "127.0.0.1:0", "--listen-ctl", "127.0.0.1:0"];
    let mut third = annulus();
    third.arg("--root").arg(host.root.path()).args(["--override-name", "blue", "start", &ident]).args(start);
    let (code, _, stderr) = finish(&mut third);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains(&format!("\"default\", process {}", host.launcher.id())), "{stderr}");

    // It is the launcher's, also while no supervisor is there to say so.
    let supervisor = host.supervisor();
    kill(number(supervisor), Signal::SIGSTOP).expect("stopped");
    assert_eq!(second.run(&["svc", "load", &ident]).0, 1);
    kill(number(supervisor), Signal::SIGKILL).expect("killed");
    assert_eq!(second.run(&["svc", "load", &ident]).0, 1);
    host.supervisor_after(supervisor);
    assert_eq!(host.pid_of_service(), pid);

    let other = host.install("db", "exec sleep 1000");
    assert_eq!(second.run(&["svc", "load", &other]).0, 0, "another service is free");
    assert_eq!(host.run(&["svc", "unload", &ident]).0, 0);
    assert!(!lives(pid));
    let (code, _, stderr) = second.run(&["svc", "load", &ident]);
    assert_eq!(code, 0, "it was let go: {stderr}");
}

#[test]
fn of_two_that_load_a_service_at_once_one_is_refused() {
    let host = Host::start(|_| {});
    let ident = host.install("web", "exec sleep 1000");
    let second = Second::start(&host);
    for _ in 0..12 {
        let (one, other) = std::thread::scope(|scope| {
            let one = scope.spawn(|| host.run(&["svc", "load", &ident]));
            (second.run(&["svc", "load", &ident]), one.join().expect("no panic"))
        });
        let results = [one, other];
        let (mut refused, mut done) = (Vec::new(), 0);
        for (code, _, stderr) in &results {
            if *code == 0 { done += 1 } else { refused.push(stderr) }
        }
        assert_eq!((done, refused.len()), (1, 1), "{results:?}");
        assert!(refused[0].contains("belongs to another supervisor"), "{refused:?}");
        let loaded = |(code, stdout, _): (i32, String, String)| code == 0 && stdout.contains("test/web");
        let both = [host.run(&["svc", "status"]), second.run(&["svc", "status"])].map(loaded);
        assert_ne!(both[0], both[1], "loaded at one of them");
        let (code, _, stderr) = if both[0] {
            host.run(&["svc", "unload", &ident])
        } else {
            second.run(&["svc", "unload", &ident])
        };
        assert_eq!(code, 0, "{stderr}");
    }
}

#[test]
fn hooks_that_end_an_unloaded_service_do_not_keep_it() {
    let host = Host::start(|_| {});
    let plan = plan(&host.root.path().join("plans"), "web", "exec sleep 1000");
    for hook in ["drain", "post-stop", "health-check", "reconfigure"] {
        std::fs::write(plan.join("hooks").join(hook), "#!/bin/sh\ntrue\n").expect("written");
    }
    let ident = host.install_plan(&plan);
    let second = Second::start(&host);
    for _ in 0..2 {
        host.load(&ident);
        host.pid_of_service();
        let (code, _, stderr) = host.run(&["svc", "unload", &ident]);
        assert_eq!(code, 0, "{stderr}");
        let (code, _, stderr) = second.run(&["svc", "load", &ident]);
        assert_eq!(code, 0, "it was let go: {stderr}");
        assert_eq!(second.run(&["svc", "unload", &ident]).0, 0);
    }
}

#[test]
fn a_service_that_both_want_is_run_by_one_and_taken_over_when_that_one_is_gone() {
    let mut host = Host::start(|_| {});
    let ident = host.install("web", "exec sleep 1000");
    host.load(&ident);
    let pid = host.pid_of_service();
    // A spec that was written by hand asks nobody.
    let specs = host.root.path().join("sup/green/specs");
    std::fs::create_dir_all(&specs).expect("made");
    std::fs::write(specs.join("web.spec"), format!("ident = \"{ident}\"\n")).expect("written");
    let root = host.root.path().to_owned();
    let second = Second::start(&host);
    let status = || -> serde_json::Value {
        serde_json::from_str(&second.run(&["svc", "status", "--json"]).1).expect("JSON")
    };
    eventually("it says why it does not run", || {
        let status = status();
        let error = status[0]["last_error"].as_str()?.to_owned();
        error.contains("belongs to another supervisor").then_some(())
    });
    assert!(lives(pid) && host.pid_of_service() == pid);
    let (launcher, green) = (number(host.launcher.id()), &second);
    kill(launcher, Signal::SIGKILL).expect("killed");
    eventually("it is run by the other now, and never by both", || {
        let up = status()[0]["state"] == "up";
        assert!(!up || !lives(pid), "both run");
        up.then_some(())
    });
    let (code, ..) = green.run(&["svc", "unload", &ident]);
    assert_eq!(code, 0);
    drop(second);
    assert!(root.exists());
    let _ = host.launcher.wait();
}
