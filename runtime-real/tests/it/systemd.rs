//! What the supervisor tells a service manager, and that systemd accepts the unit files.

use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use crate::support::{DEADLINE, Supervisor, eventually, plan, text};

/// A service manager's socket.
struct Manager {
    socket: UnixDatagram,
    dir: tempfile::TempDir,
}

impl Manager {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let socket = UnixDatagram::bind(dir.path().join("notify")).expect("bound");
        socket.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        Self { socket, dir }
    }

    /// The lines of the next message.
    fn next(&self) -> Vec<String> {
        let mut buffer = [0; 4096];
        let bytes = self.socket.recv(&mut buffer).expect("a message in time");
        String::from_utf8_lossy(&buffer[..bytes]).lines().map(str::to_owned).collect()
    }

    /// Reads messages until one holds a line that begins with this text; returns that line.
    #[track_caller]
    fn wait_for(&self, begins: &str) -> String {
        let start = std::time::Instant::now();
        while start.elapsed() < DEADLINE {
            if let Some(line) = self.next().into_iter().find(|line| line.starts_with(begins)) {
                return line;
            }
        }
        panic!("no {begins} within {DEADLINE:?}");
    }
}

#[test]
fn a_service_manager_hears_of_every_step() {
    let manager = Manager::new();
    let socket = manager.dir.path().join("notify");
    let watchdog_us = Duration::from_millis(400).as_micros().to_string();
    let env = [("NOTIFY_SOCKET", text(&socket)), ("WATCHDOG_USEC", &watchdog_us)];
    let mut supervisor = Supervisor::start_with(&[], &env);
    manager.wait_for("READY=1");
    manager.wait_for("WATCHDOG=1");
    manager.wait_for("WATCHDOG=1");

    let said = supervisor.root().join("said");
    let run = format!("env > {said}.new && mv {said}.new {said}\nexec sleep 1000", said = text(&said));
    supervisor.install(&plan(&supervisor.root().join("plans"), "teller", &run));
    assert_eq!(supervisor.run(&["svc", "load", "test/teller"]).0, 0);
    let env = eventually("the service runs", || std::fs::read_to_string(&said).ok());
    assert!(
        !env.contains("NOTIFY_SOCKET") && !env.contains("WATCHDOG"),
        "services do not speak for it: {env}"
    );
    eventually("the status tells of it", || {
        (manager.wait_for("STATUS=") == "STATUS=1 of 1 services up; 1 members in the ring").then_some(())
    });

    let (code, _, stderr) = supervisor.run(&["sup", "restart"]);
    assert_eq!(code, 0, "{stderr}");
    manager.wait_for("RELOADING=1");
    manager.wait_for("READY=1");

    assert_eq!(supervisor.run(&["sup", "term"]).0, 0);
    manager.wait_for("STOPPING=1");
    let extended = manager.wait_for("EXTEND_TIMEOUT_USEC=");
    assert!(
        extended.split_once('=').is_some_and(|(_, us)| us.parse::<u64>().is_ok_and(|us| us >= 1_000_000))
    );
    let status = eventually("the process is over", || supervisor.child.try_wait().expect("waited for"));
    assert_eq!(status.code(), Some(0));
}

#[test]
fn an_absent_manager_does_no_harm() {
    let env = [("NOTIFY_SOCKET", "/no/such/socket"), ("WATCHDOG_USEC", "much")];
    let supervisor = Supervisor::start_with(&[], &env);
    assert_eq!(supervisor.run(&["sup", "status"]).0, 0);
}

#[test]
fn the_unit_files_are_understood() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        println!("skipped: systemd-analyze is not installed");
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let packaging = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging");
    for (name, place) in
        [("annulus.service", "annulus.service"), ("annulus@.service", "annulus@blue.service")]
    {
        let unit = std::fs::read_to_string(packaging.join(name)).expect("the unit");
        // The program in the unit has to exist for the check, at any path.
        let unit = unit.replace("/usr/bin/annulus", env!("CARGO_BIN_EXE_annulus"));
        let path = dir.path().join(place);
        std::fs::write(&path, unit).expect("written");
        let checked = Command::new("systemd-analyze").arg("verify").arg(&path).output().expect("it runs");
        let said = String::from_utf8_lossy(&checked.stderr);
        let about: Vec<_> = said.lines().filter(|line| line.contains(place)).collect();
        assert!(checked.status.success() && about.is_empty(), "{said}");
    }
}
