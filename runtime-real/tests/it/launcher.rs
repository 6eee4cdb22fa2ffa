//! Services survive their supervisor's death and restarts, floods of output, and each other's failures.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};

use crate::host::{Host, lives, number, number_in, responder, status_field};
use crate::support::{eventually, get, text};

/// How often the supervisor is killed; more often where the environment asks for it.
fn kills() -> u32 {
    std::env::var("ANNULUS_TEST_KILLS").ok().and_then(|count| count.parse().ok()).unwrap_or(5)
}

#[test]
fn services_serve_while_their_supervisor_is_killed_again_and_again() {
    let mut host = Host::start(|_| {});
    let port = responder(&host);
    let pid = host.pid_of_service();
    let over = Arc::new(AtomicBool::new(false));
    let asking = std::thread::spawn({
        let over = Arc::clone(&over);
        move || {
            let mut answers = 0_u64;
            while !over.load(Ordering::Relaxed) {
                let answer = get(port, "/", &[]);
                assert_eq!(answer.status, 200);
                assert!(answer.body.contains(&format!("process {pid}")), "{}", answer.body);
                answers += 1;
            }
            answers
        }
    });
    let mut supervisor = host.supervisor();
    let mut slowest = Duration::ZERO;
    for _ in 0..kills() {
        kill(number(supervisor), Signal::SIGKILL).expect("killed");
        let start = Instant::now();
        supervisor = host.supervisor_after(supervisor);
        let service = host.service("up");
        slowest = slowest.max(start.elapsed());
        assert_eq!(service["process"]["pid"], pid, "{service}");
        assert_eq!(service["restarts"], 0, "{service}");
    }
    over.store(true, Ordering::Relaxed);
    let answers = asking.join().expect("every request is answered");
    println!("{} kills, {answers} requests, none failed; taken over after {slowest:?} at most", kills());
    assert!(answers > 0);
    assert!(host.log().contains("signal 9") && host.log().contains("started again"), "{}", host.log());
    // The supervisor that took over owns the process.
    assert_eq!(host.run(&["svc", "stop", "test/responder"]).0, 0);
    host.service("down");
    assert!(!lives(pid));
    host.signal(Signal::SIGTERM);
    assert_eq!(host.end(), Some(0));
}

#[test]
fn a_restart_is_an_order_or_a_signal_and_logs_flow_on() {
    let mut host = Host::start(|_| {});
    let ident = host.install("ticker", "while :; do echo tick $((n += 1)); sleep 0.02; done");
    host.load(&ident);
    let pid = host.pid_of_service();
    let first = host.supervisor();
    let (code, stdout, stderr) = host.run(&["sup", "restart"]);
    assert_eq!(code, 0, "{stderr}");
    let second = host.supervisor();
    assert!(second != first && stdout.contains(&second.to_string()), "{stdout}");
    host.signal(Signal::SIGHUP);
    let third = host.supervisor_after(second);
    kill(number(third), Signal::SIGHUP).expect("signalled");
    host.supervisor_after(third);
    assert_eq!(host.pid_of_service(), pid);
    let seen = host.service_log("ticker").lines().count();
    eventually("it is heard on", || (host.service_log("ticker").lines().count() > seen + 5).then_some(()));
    let log = host.service_log("ticker");
    for (number, line) in (1..).zip(log.lines()) {
        assert!(line.ends_with(&format!(" O tick {number}")), "line {number} of {log}");
    }
    host.signal(Signal::SIGTERM);
    assert_eq!(host.end(), Some(0));
    assert!(!lives(pid), "it was stopped with the supervisor");
}

#[test]
fn an_unseen_end_is_told_to_the_next_supervisor() {
    let host = Host::start(|_| {});
    let go = host.said("go");
    let ident = host.install("ender", &format!("while [ ! -e {} ]; do sleep 0.01; done; exit 7", text(&go)));
    host.load(&ident);
    let pid = host.pid_of_service();
    let supervisor = host.supervisor();
    kill(number(supervisor), Signal::SIGSTOP).expect("stopped");
    kill(number(supervisor), Signal::SIGKILL).expect("killed");
    fs::write(&go, "").expect("written");
    eventually("it ends", || (!lives(pid)).then_some(()));
    host.supervisor_after(supervisor);
    let service = eventually("it was tried again", || {
        let service = host.services()?.get(0)?.clone();
        (service["restarts"].as_u64()? > 0).then_some(service)
    });
    assert!(service.to_string().contains('7'), "{service}");
}

#[test]
fn forks_and_ignored_signals_leave_no_process_behind() {
    let host = Host::start(|_| {});
    let children = host.said("children");
    let run = format!(
        "trap '' TERM\nfor i in 1 2 3; do (trap '' TERM; while :; do sleep 0.1; done) & echo $! >> {}; done\n\
         while :; do sleep 0.1; done",
        text(&children)
    );
    let ident = host.install("forker", &run);
    let (code, _, stderr) = host.run(&["svc", "load", &ident, "--shutdown-timeout", "1"]);
    assert_eq!(code, 0, "{stderr}");
    let pid = host.pid_of_service();
    let pids: Vec<u32> = eventually("it has forked", || {
        let text = fs::read_to_string(&children).ok().filter(|text| text.lines().count() == 3)?;
        Some(text.lines().map(|line| line.parse().expect("a pid")).collect())
    });
    assert!(pids.iter().all(|pid| lives(*pid)));
    assert_eq!(host.run(&["svc", "stop", &ident]).0, 0);
    let down = host.service("down");
    assert!(down.to_string().contains("signal"), "how it ended is shown: {down}");
    for pid in pids.into_iter().chain([pid]) {
        eventually("it is gone", || (!lives(pid)).then_some(()));
    }
}

#[test]
fn a_flood_of_output_takes_no_memory_and_stops_no_service() {
    const FLOOD_BYTES: u64 = 100_000_000;
    let host = Host::start(|command| {
        // Two pipes without a reader.
        command.stdout(Stdio::piped()).args(["--log-max-size", "1M", "--log-keep", "2"]);
    });
    let done = host.said("done");
    let half = FLOOD_BYTES / 2;
    let run = format!(
        "yes 'a line that is neither short nor long, as lines are' | head -c {half} &\n\
         yes 'an error that comes again and again' | head -c {half} >&2 &\nwait; touch {}; exec sleep 1000",
        text(&done)
    );
    let ident = host.install("flooder", &run);
    host.load(&ident);
    let pid = host.launcher.id();
    let resident = || status_field(pid, "VmRSS").and_then(|kib| kib.parse::<u64>().ok()).expect("it runs");
    let before = resident();
    let mut most = before;
    eventually("everything was taken", || {
        most = most.max(resident());
        done.exists().then_some(())
    });
    println!("{FLOOD_BYTES} bytes: resident {before} KiB before, {most} KiB at most");
    assert!(most < before + 4_096, "{before} KiB before, {most} KiB at most");
    let logs = host.root.path().join("svc/flooder/logs");
    let sizes: Vec<u64> = fs::read_dir(&logs)
        .expect("logs")
        .map(|entry| entry.expect("readable").metadata().expect("a size").len())
        .collect();
    assert!(sizes.len() == 3 && sizes.iter().all(|size| *size <= 1 << 20), "{sizes:?}");
}

#[test]
fn an_orphan_is_waited_for() {
    let host = Host::start(|_| {});
    let orphan = host.said("orphan");
    // A daemon that leaves group, session and parent, and then ends.
    let run = format!("(setsid sh -c 'echo $$ > {}; sleep 0.2' &)\nexec sleep 1000", text(&orphan));
    let ident = host.install("daemon", &run);
    host.load(&ident);
    host.pid_of_service();
    let pid = eventually("it is there", || number_in(&orphan));
    // It is gone, and no zombie either.
    eventually("it is waited for", || (!Path::new(&format!("/proc/{pid}")).exists()).then_some(()));
}

#[test]
fn a_launcher_that_is_killed_takes_everything_with_it() {
    let mut host = Host::start(|_| {});
    let port = responder(&host);
    let (pid, supervisor) = (host.pid_of_service(), host.supervisor());
    host.launcher.kill().expect("killed");
    host.launcher.wait().expect("ended");
    for pid in [pid, supervisor] {
        eventually("it is gone", || (!lives(pid)).then_some(()));
    }
    eventually("its port is free", || TcpListener::bind(port).ok());
}

#[test]
fn only_its_supervisor_speaks_to_a_launcher() {
    use std::io::Read as _;
    use std::os::unix::fs::PermissionsExt as _;
    let host = Host::start(|_| {});
    let ident = host.install("sleeper", "exec sleep 1000");
    host.load(&ident);
    let pid = host.pid_of_service();
    let path = host.root.path().join("sup/default/launcher.sock");
    assert_eq!(fs::metadata(&path).expect("a socket").permissions().mode() & 0o777, 0o600);
    let mut stranger = std::os::unix::net::UnixStream::connect(&path).expect("it listens");
    assert_eq!(stranger.read(&mut [0; 8]).expect("closed"), 0, "refused without a word");
    eventually("it is told", || host.log().contains("no supervisor of it").then_some(()));
    assert_eq!(host.pid_of_service(), pid);
}

#[test]
fn a_second_launcher_is_refused_while_the_first_has_services() {
    let host = Host::start(|_| {});
    let (code, _, stderr) = host.run(&["sup", "run", "--listen-gossip", "127.0.0.1:0"]);
    assert_eq!(code, 3, "{stderr}");
    assert!(stderr.contains(&format!("process {}", host.launcher.id())), "{stderr}");
}

#[test]
fn without_a_supervisor_the_launcher_stops_services_itself() {
    let mut host = Host::start(|_| {});
    let bye = host.said("bye");
    let run = format!("trap 'echo bye > {}; exit 0' TERM\nwhile :; do sleep 0.05; done", text(&bye));
    let ident = host.install("polite", &run);
    host.load(&ident);
    let pid = host.pid_of_service();
    // Two crashes in a row make the launcher wait before the next start.
    let supervisor = host.supervisor();
    kill(number(supervisor), Signal::SIGKILL).expect("killed");
    host.signal(Signal::SIGTERM);
    let code = host.end();
    assert!(!lives(pid), "nothing runs on");
    // With a new supervisor or without one, the service had time to say goodbye.
    assert!(bye.exists(), "exit code {code:?}: {}", host.log());
}
