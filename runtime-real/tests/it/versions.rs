//! Launchers and supervisors of other versions: no process is lost, and both sides say which versions do not fit.
//!
//! The supervisor here is this test program itself, started by a real launcher, a different one at each start. At the
//! end a real supervisor meets a launcher of version 1.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use annulus::host::capabilities::Capabilities;
use annulus::host::clock::Clock;
use annulus::host::exit;
use annulus::launcher::client::Client;
use annulus::launcher::message::{Launch, Limits};

use crate::host::lives;
use crate::support::{annulus, eventually, text};

/// Set in the environment of the supervisor: the directory for what it reports.
const DIR_ENV: &str = "TEST_VERSIONS_DIR";
/// The greeting of a supervisor of version 1, as it was recorded.
const RECORDED: &str = include_str!("../../src/launcher/frames/version-1.txt");
/// The greeting of a supervisor that speaks versions 5 to 9.
const HELLO_5_TO_9: &[u8] = &[6, 0, 0, 0, 0x12, 4, 8, 5, 0x10, 9];

fn hello_of_version_1() -> Vec<u8> {
    let hex = RECORDED.lines().find_map(|line| line.strip_prefix("supervisor hello ")).expect("recorded");
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
}

fn socket(dir: &Path) -> PathBuf {
    dir.join("sup/default/launcher.sock")
}

/// Greets with these bytes, and writes down the answer until the launcher hangs up.
fn greet(dir: &Path, hello: &[u8], name: &str) {
    let mut stream = UnixStream::connect(socket(dir)).expect("a launcher");
    stream.write_all(hello).expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer and the end");
    fs::write(dir.join(name), answer).expect("written");
}

async fn first_of_all(dir: &Path) {
    let (client, running) = Client::connect(&socket(dir), &Clock::host()).await.expect("a launcher");
    assert!(running.is_empty());
    let launch = Launch {
        service: "web".to_owned(),
        group: "web.default".to_owned(),
        ident: "test/web/1.0.0/20260101000000".to_owned(),
        program: dir.join("run"),
        dir: dir.to_owned(),
        env: Vec::new(),
        pid_file: dir.join("web"),
        stop_signal: 15,
        stop_timeout_ms: 1_000,
        owner: None,
        capabilities: Capabilities::NONE,
        nofile: None,
        limits: Limits::default(),
        lease: None,
        restarts: 0,
    };
    client.spawn(launch).await.expect("started");
}

async fn last_of_all(dir: &Path) {
    let (client, running) = Client::connect(&socket(dir), &Clock::host()).await.expect("a launcher");
    let web = running.first().expect("it went on");
    client.adopt(web.service.to_string(), web.pid).await.expect("taken over");
    fs::write(dir.join("adopted.new"), web.pid.to_string()).expect("written");
    fs::rename(dir.join("adopted.new"), dir.join("adopted")).expect("renamed");
    std::future::pending::<()>().await;
}

/// The supervisor that the launcher starts.
#[tokio::test]
#[ignore = "a part of the test below, in a process of its own"]
async fn supervisor() {
    let Some(dir) = std::env::var_os(DIR_ENV).map(PathBuf::from) else { return };
    let starts = fs::read_to_string(dir.join("starts")).unwrap_or_default();
    fs::write(dir.join("starts"), format!("{starts}x")).expect("written");
    match starts.len() {
        0 => first_of_all(&dir).await,
        1 => greet(&dir, &hello_of_version_1(), "answer-1"),
        2 => greet(&dir, HELLO_5_TO_9, "answer-3"),
        _ => last_of_all(&dir).await,
    }
    let code = if starts.is_empty() { exit::RESTART } else { exit::FAILED };
    std::process::exit(code.into());
}

#[test]
fn an_upgrade_that_does_not_fit_loses_no_service() {
    let root = tempfile::tempdir().expect("a directory");
    let dir = root.path();
    let run = dir.join("run");
    fs::write(&run, "#!/bin/sh\nexec sleep 1000\n").expect("written");
    fs::set_permissions(&run, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("made executable");
    let program = std::env::current_exe().expect("this program");
    let mut command = annulus();
    command.args(["--launch", text(dir), "default", text(&program), "1000000", "1000000", "1", "false"]);
    command.args(["versions::supervisor", "--exact", "--ignored", "--nocapture"]);
    let log = fs::File::create(dir.join("log")).expect("a file");
    command.env(DIR_ENV, dir).stdout(Stdio::null()).stderr(log);
    let mut launcher = command.spawn().expect("the binary runs");
    let read = |name: &str| fs::read_to_string(dir.join(name)).ok();
    let pid = eventually("the service runs", || read("web")).trim().to_owned();
    let adopted = eventually("a supervisor that fits takes over", || read("adopted"));
    assert_eq!(adopted, pid, "the very process");
    assert_eq!(read("starts"), Some("xxxx".to_owned()));
    assert!(lives(pid.parse().expect("a pid")));
    let log = read("log").expect("a log");
    for refused in ["speaks version 1 of the messages", "speaks versions 5 to 9 of the messages"] {
        let line = log.lines().find(|line| line.contains(refused)).unwrap_or_else(|| panic!("{log}"));
        assert!(line.contains("this launcher versions 2 to 4"), "{line}");
        assert!(
            line.contains("the service that runs goes on") && line.contains("annulus sup term"),
            "{line}"
        );
    }
    // Each supervisor is answered in its own words: a welcome of version 4 and nothing to take over; and a refusal.
    let [first, third] = ["answer-1", "answer-3"].map(|name| fs::read(dir.join(name)).expect("written"));
    assert_eq!((first.len(), first[14]), (30, 4), "{first:?}");
    assert_eq!(third, [8, 0, 0, 0, 0x0a, 6, 0x1a, 4, 8, 2, 0x10, 4]);
    launcher.kill().expect("killed");
    launcher.wait().expect("ended");
}

#[test]
fn a_supervisor_names_the_version_of_a_launcher_that_is_too_old() {
    let root = tempfile::tempdir().expect("a directory");
    fs::create_dir_all(root.path().join("sup/default")).expect("made");
    let listener = UnixListener::bind(socket(root.path())).expect("a socket");
    let launcher = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a supervisor");
        let mut greeting = [0; 4];
        // A launcher of version 1 does not know the greeting, and hangs up.
        stream.read_exact(&mut greeting).expect("a greeting");
    });
    let mut supervisor: Command = annulus();
    supervisor.arg("--root").arg(root.path()).args(["sup", "run"]);
    for listen in ["--listen-gossip", "--listen-http", "--listen-ctl"] {
        supervisor.args([listen, "127.0.0.1:0"]);
    }
    supervisor.env("ANNULUS_LAUNCHER", std::process::id().to_string());
    let output = supervisor.output().expect("the binary runs");
    launcher.join().expect("it was greeted");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(exit::FAILED.into()), "{said}");
    assert!(said.contains("speaks version 1 of its messages and this supervisor versions 2 to 4"), "{said}");
    assert!(said.contains("go on") && said.contains("annulus sup term"), "{said}");
}
