//! Stops that operators trust: hooks that end with the order, time for the whole of a tree, signals that end what they
//! say and start nothing. The witnesses are processes and the files that they write.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};

use crate::host::{Host, lives, number, number_in};
use crate::support::{eventually, plan, run_as_this_user, text};

/// A hook that ignores polite signals and leaves an orphan in a session of its own. Both write their pids.
const STUBBORN: &str = "trap '' TERM INT QUIT\n(setsid sh -c 'echo $$ >> PIDS; exec sleep 1000' &)\n\
                        echo $$ >> PIDS; touch BEGUN\nwhile :; do sleep 0.1; done";

/// A plan with this run hook and another one.
fn with_hook(host: &Host, name: &str, run: &str, hook: &str, script: &str) -> String {
    let plan = plan(&host.root.path().join("plans"), name, run);
    fs::write(plan.join("hooks").join(hook), format!("#!/bin/sh\n{script}\n")).expect("written");
    host.install_plan(&plan)
}

/// The script with places for files of this test.
fn stubborn(host: &Host, of: &str) -> String {
    let pids = host.said(&format!("{of}.pids"));
    STUBBORN.replace("PIDS", text(&pids)).replace("BEGUN", text(&host.said(&format!("{of}.begun"))))
}

fn pids(file: &Path) -> Vec<u32> {
    let said = fs::read_to_string(file).unwrap_or_default();
    said.lines().filter_map(|line| line.parse().ok()).collect()
}

/// The processes of a stubborn hook that was begun for the n-th time.
fn begun(file: &Path, times: usize) -> Vec<u32> {
    eventually("the hook runs", || {
        let pids = pids(file);
        (pids.len() >= 2 * times).then_some(pids)
    })
}

#[test]
fn an_order_ends_a_running_init_and_status_says_how_long_it_has_run() {
    let host = Host::start(|_| {});
    let said = host.said("init.pids");
    let ident = with_hook(&host, "slow", "exec sleep 1000", "init", &stubborn(&host, "init"));
    host.load(&ident);
    let first = begun(&said, 1);
    let service = host.service("starting");
    assert_eq!(
        (&service["hooks"][0]["hook"], &service["hooks"][0]["limit_ms"]),
        (&"init".into(), &300_000.into())
    );
    let (_, stdout, _) = host.run(&["svc", "status"]);
    assert!(stdout.contains("in init hook since") && stdout.contains("limit 300 s"), "{stdout}");
    let (code, _, stderr) = host.run(&["svc", "stop", &ident]);
    assert_eq!(code, 0, "{stderr}");
    assert!(first.iter().all(|pid| !lives(*pid)), "nothing of it is left when the order is answered");
    host.service("down");

    assert_eq!(host.run(&["svc", "start", &ident]).0, 0);
    let second = begun(&said, 2);
    assert_eq!(host.run(&["svc", "unload", &ident]).0, 0);
    assert!(second.iter().all(|pid| !lives(*pid)));
}

#[test]
fn an_order_ends_the_hook_that_installs_a_package_too() {
    let host = Host::start(|_| {});
    let said = host.said("install.pids");
    let plan = plan(&host.root.path().join("plans"), "slow", "exec sleep 1000");
    let script = format!("#!/bin/sh\n{}\n", stubborn(&host, "install"));
    fs::write(plan.join("hooks/install"), script).expect("written");
    let out = host.root.path().join("built");
    run_as_this_user(&plan);
    assert_eq!(host.run(&["pkg", "build", text(&plan), "--output", text(&out)]).0, 0);
    let file = fs::read_dir(&out).expect("built").next().expect("a file").expect("readable").path();
    assert_eq!(host.run(&["pkg", "install", "--ignore-install-hook", text(&file)]).0, 0);
    host.load("test/slow");
    let first = begun(&said, 1);
    let (_, stdout, _) = host.run(&["svc", "status"]);
    assert!(stdout.contains("in install hook since") && stdout.contains("limit 600 s"), "{stdout}");
    let supervisor = host.supervisor();
    kill(number(supervisor), Signal::SIGKILL).expect("killed");
    host.supervisor_after(supervisor);
    // The next one begins when nothing of the first is left.
    let both = begun(&said, 2);
    assert_eq!(first.iter().filter(|pid| lives(**pid)).count(), 0, "all of it ends with its supervisor");
    let (code, _, stderr) = host.run(&["svc", "stop", "test/slow"]);
    assert_eq!(code, 0, "{stderr}");
    let second = || both.iter().filter(|pid| !first.contains(pid));
    eventually("the second hook ends with all of it", || second().all(|pid| !lives(*pid)).then_some(()));
    let service = host.service("down");
    assert_eq!((&service["obstacles"], &service["hooks"]), (&serde_json::json!([]), &serde_json::json!([])));
}

#[test]
fn an_init_ends_with_its_supervisor_and_its_launcher() {
    let mut host = Host::start(|_| {});
    let (said, overlap) = (host.said("init.pids"), host.said("overlap"));
    let look = format!(
        "for pid in $(cat {said} 2>/dev/null); do kill -0 $pid 2>/dev/null && echo $pid >> {overlap}; done\n",
        said = text(&said),
        overlap = text(&overlap)
    );
    let script = look + &stubborn(&host, "init");
    let ident = with_hook(&host, "slow", "exec sleep 1000", "init", &script);
    host.load(&ident);
    let first = begun(&said, 1);
    let supervisor = host.supervisor();
    kill(number(supervisor), Signal::SIGKILL).expect("killed");
    host.supervisor_after(supervisor);
    let both = begun(&said, 2);
    assert!(first.iter().all(|pid| !lives(*pid)), "the first has ended with its supervisor");
    assert!(!overlap.exists(), "and before the second began: {:?}", fs::read_to_string(&overlap));
    host.launcher.kill().expect("killed");
    host.launcher.wait().expect("ended");
    eventually("the second ends with its launcher", || both.iter().all(|pid| !lives(*pid)).then_some(()));
}

#[test]
fn an_order_that_waits_says_so_within_a_second() {
    let host = Host::start(|_| {});
    let ident = with_hook(&host, "last", "exec sleep 1000", "post-stop", "sleep 2");
    host.load(&ident);
    host.service("up");
    let (code, stdout, stderr) = host.run(&["svc", "stop", &ident]);
    assert_eq!(code, 0, "{stderr}");
    let waits = "waiting: last is stopping, in post-stop hook since";
    assert!(stdout.contains(waits) && stdout.contains("limit 60 s"), "{stdout}");
}

#[test]
fn a_second_signal_ends_every_hook_and_every_wait() {
    let mut host = Host::start(|_| {});
    let mut hooks: Vec<PathBuf> = Vec::new();
    for name in ["one", "two", "three"] {
        let script = stubborn(&host, name);
        let ident = with_hook(&host, name, "exec sleep 1000", "post-stop", &script);
        host.load(&ident);
        hooks.push(host.said(&format!("{name}.pids")));
    }
    eventually("all are up", || {
        let services = host.services()?;
        let mut states = services.as_array()?.iter().map(|service| service["state"] == "up");
        states.all(|up| up).then_some(())
    });
    host.signal(Signal::SIGTERM);
    let pids: Vec<u32> = hooks.iter().flat_map(|said| begun(said, 1)).collect();
    assert!(host.launcher.try_wait().expect("waited for").is_none(), "the first signal waits for them");
    // `sup term` is such a signal, and says what it waits for.
    let (code, stdout, stderr) = host.run(&["sup", "term"]);
    assert_eq!((code, host.end()), (0, Some(0)), "{stdout}{stderr}{}", host.log());
    assert!(pids.iter().all(|pid| !lives(*pid)));
}

#[test]
fn a_third_signal_starts_nothing() {
    let mut host = Host::start(|_| {});
    let starts = host.said("starts");
    let run = format!("trap '' TERM\necho $$ >> {}\nwhile :; do sleep 0.1; done", text(&starts));
    let ident = with_hook(&host, "deaf", &run, "post-stop", &stubborn(&host, "post-stop"));
    host.load(&ident);
    host.service("up");
    let slow = with_hook(&host, "slow", "exec sleep 1000", "init", &stubborn(&host, "init"));
    host.load(&slow);
    let hooks = begun(&host.said("init.pids"), 1);
    let (supervisor, pid) = (host.supervisor(), number_in(&starts).expect("it was started"));
    // Of one kind, signals that come at once would count as one.
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT] {
        host.signal(signal);
    }
    assert_eq!(host.end(), Some(130), "{}", host.log());
    assert!(hooks.into_iter().chain([pid, supervisor]).all(|pid| !lives(pid)));
    assert_eq!(pids(&starts), [pid], "no service was started again");
    assert!(!host.log().contains("started again"), "{}", host.log());
}

/// A run hook that does not become its program: the shell ends at once, its child needs a moment.
fn slow_child(host: &Host) -> String {
    format!(
        "sh -c 'trap \"sleep 1; echo \\$\\$ >> {bye}; exit 0\" TERM; echo $$ >> {up}; while :; do sleep 0.05; done' &\nwait",
        bye = text(&host.said("bye")),
        up = text(&host.said("child"))
    )
}

#[test]
fn all_of_a_tree_has_its_time_on_an_order_and_none_after_a_crash() {
    let mut host = Host::start(|_| {});
    let ident = host.install("forker", &slow_child(&host));
    let (child, bye) = (host.said("child"), host.said("bye"));
    let up = |times: usize| eventually("the child is there", || pids(&child).get(times - 1).copied());
    let patient = ["svc", "load", &ident, "--shutdown-timeout", "60"];
    assert_eq!(host.run(&patient).0, 0);
    up(1);
    assert_eq!(host.run(&["svc", "stop", &ident]).0, 0);
    assert_eq!(pids(&bye).len(), 1, "a stop waits for the child of a run hook that ended first");

    assert_eq!(host.run(&["svc", "start", &ident]).0, 0);
    up(2);
    // The options of its group are others: the process is replaced.
    assert_eq!(host.run(&["svc", "update", &ident, "--group", "other"]).0, 0);
    let third = up(3);
    assert_eq!(pids(&bye).len(), 2, "so does a replacement, before the next one begins");

    kill(number(host.pid_of_service()), Signal::SIGKILL).expect("killed");
    eventually("a crash leaves no time", || (!lives(third)).then_some(()));
    up(4);
    assert_eq!(pids(&bye).len(), 2, "it could not say goodbye");

    host.signal(Signal::SIGTERM);
    assert_eq!(host.end(), Some(0));
    assert_eq!(pids(&bye).len(), 3, "a supervisor that leaves waits as well");
}

#[test]
fn what_does_not_end_in_its_time_is_killed() {
    let host = Host::start(|_| {});
    let child = host.said("child");
    let run =
        format!("sh -c 'trap \"\" TERM; echo $$ > {}; while :; do sleep 0.05; done' &\nwait", text(&child));
    let ident = host.install("forker", &run);
    assert_eq!(host.run(&["svc", "load", &ident, "--shutdown-timeout", "1"]).0, 0);
    let pid = eventually("the child is there", || number_in(&child));
    assert_eq!(host.run(&["svc", "stop", &ident]).0, 0);
    assert!(!lives(pid));
}
