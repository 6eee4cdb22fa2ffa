//! What services live through: their supervisor's death, its restarts, floods, and one another.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{DEADLINE, annulus, eventually, finish, get, plan, text};

/// A launcher whose supervisors come and go, with a root of its own. It is told to end, and killed if it does not.
struct Host {
    launcher: Child,
    root: TempDir,
}

fn number(pid: u32) -> Pid {
    Pid::from_raw(pid.try_into().expect("a pid"))
}

/// A field of `/proc/PID/status`, in KiB or as it is.
fn status_field(pid: u32, field: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    Some(line.split_whitespace().next()?.to_owned())
}

fn lives(pid: u32) -> bool {
    status_field(pid, "State").is_some_and(|state| !matches!(state.as_str(), "Z" | "X"))
}

fn number_in(path: &Path) -> Option<u32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

impl Host {
    fn start(configure: impl FnOnce(&mut Command)) -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let mut command = annulus();
        command.arg("--root").arg(root.path()).args(["sup", "run", "--profile", "local"]);
        for option in ["--listen-gossip", "--listen-http", "--listen-ctl"] {
            command.args([option, "127.0.0.1:0"]);
        }
        let log = fs::File::create(root.path().join("log")).expect("a file");
        command.stderr(log).stdout(Stdio::null());
        configure(&mut command);
        let host = Self { launcher: command.spawn().expect("the binary runs"), root };
        host.supervisor();
        host
    }

    /// The supervisor that is ready now.
    fn supervisor(&self) -> u32 {
        self.supervisor_after(0)
    }

    /// A supervisor that is ready and is not `before`.
    fn supervisor_after(&self, before: u32) -> u32 {
        let dir = self.root.path().join("sup/default");
        eventually("a supervisor is ready", || {
            let pid = number_in(&dir.join("PID")).filter(|pid| *pid != before && lives(*pid))?;
            (self.run(&["svc", "status", "--json"]).0 == 0).then_some(pid)
        })
    }

    fn run(&self, args: &[&str]) -> (i32, String, String) {
        finish(annulus().arg("--root").arg(self.root.path()).args(args))
    }

    fn install(&self, name: &str, run: &str) -> String {
        self.install_plan(&plan(&self.root.path().join("plans"), name, run))
    }

    fn install_plan(&self, plan: &Path) -> String {
        let out = self.root.path().join("built").join(plan.file_name().expect("a name"));
        let (code, _, stderr) = self.run(&["pkg", "build", text(plan), "--output", text(&out)]);
        assert_eq!(code, 0, "{stderr}");
        let file = fs::read_dir(&out).expect("built").next().expect("a file").expect("readable").path();
        let (code, _, stderr) = self.run(&["pkg", "install", text(&file)]);
        assert_eq!(code, 0, "{stderr}");
        format!("test/{}", plan.file_name().expect("a name").to_str().expect("text"))
    }

    fn load(&self, ident: &str) {
        let (code, _, stderr) = self.run(&["svc", "load", ident]);
        assert_eq!(code, 0, "{stderr}");
    }

    fn services(&self) -> Option<Value> {
        let (code, stdout, _) = self.run(&["svc", "status", "--json"]);
        (code == 0).then(|| serde_json::from_str(&stdout).expect("JSON"))
    }

    /// The only service, as soon as it is in this state.
    fn service(&self, state: &str) -> Value {
        eventually(&format!("the service is {state}"), || {
            let service = self.services()?.get(0)?.clone();
            (service["state"] == state).then_some(service)
        })
    }

    fn pid_of_service(&self) -> u32 {
        let pid = self.service("up")["process"]["pid"].as_u64().expect("a pid");
        pid.try_into().expect("a pid")
    }

    fn signal(&self, signal: Signal) {
        kill(number(self.launcher.id()), signal).expect("signalled");
    }

    fn end(&mut self) -> Option<i32> {
        eventually("the launcher ends", || self.launcher.try_wait().expect("waited for")).code()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.root.path().join("log")).expect("a log")
    }

    fn service_log(&self, name: &str) -> String {
        let path = self.root.path().join(format!("svc/{name}/logs/{name}.log"));
        fs::read_to_string(path).unwrap_or_default()
    }

    fn said(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Three times: at once.
        for _ in 0..3 {
            let _ = kill(number(self.launcher.id()), Signal::SIGTERM);
        }
        let start = Instant::now();
        while start.elapsed() < DEADLINE && self.launcher.try_wait().is_ok_and(|status| status.is_none()) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.launcher.kill();
        let _ = self.launcher.wait();
    }
}

/// The example service on a port of its own.
fn responder(host: &Host) -> SocketAddr {
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let program = env!("CARGO_BIN_EXE_annulus");
    let ident = host.install("responder", &format!("exec {program} responder --listen {port}"));
    host.load(&ident);
    eventually("it answers", || std::net::TcpStream::connect(port).ok());
    port
}

/// How often the supervisor is killed: often where nobody waits for it.
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
    // Whoever took over still owns it.
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
fn an_end_that_nobody_saw_is_told_to_the_next_supervisor() {
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
fn who_forks_and_who_ignores_the_polite_signal_leave_nobody_behind() {
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
fn a_flood_of_output_takes_no_memory_and_stops_nobody() {
    const FLOOD_BYTES: u64 = 100_000_000;
    let host = Host::start(|command| {
        // Two pipes that nobody reads.
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
fn whoever_loses_their_parent_is_waited_for() {
    let host = Host::start(|_| {});
    let orphan = host.said("orphan");
    // A daemon that left group, session and parent, and ends.
    let run = format!("(setsid sh -c 'echo $$ > {}; sleep 0.2' &)\nexec sleep 1000", text(&orphan));
    let ident = host.install("daemon", &run);
    host.load(&ident);
    host.pid_of_service();
    let pid = eventually("it is there", || number_in(&orphan));
    // Not even as a zombie.
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
fn nobody_but_its_supervisor_speaks_to_a_launcher() {
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
    // Two crashes in a row make the launcher wait a little.
    let supervisor = host.supervisor();
    kill(number(supervisor), Signal::SIGKILL).expect("killed");
    host.signal(Signal::SIGTERM);
    let code = host.end();
    assert!(!lives(pid), "nothing runs on");
    // Whether a new supervisor was there already or not, the service could say goodbye.
    assert!(bye.exists(), "exit code {code:?}: {}", host.log());
}
