//! A full disk: no stored data is damaged, the supervisor says what it cannot do, and everything goes on once there is
//! room again.

use std::fs;
use std::process::Command;

use nix::libc;
use nix::sys::signal::{Signal, kill};

use crate::host::{Host, lives, number, responder};
use crate::support::{eventually, get, text};

/// Loads one service, fills the disk, and checks every part that writes.
fn fills_up(host: Host, fill: impl Fn(&Host), make_room: impl Fn(&Host), is_seen_at_once: bool) {
    let port = responder(&host);
    let ticker = host.install("ticker", "while :; do echo tick $((n += 1)); sleep 0.01; done");
    let second = host.install("second", "exec sleep 1000");
    let writer = host.install("writer", "exec sleep 1000");
    host.load(&writer);
    let pid_of = |host: &Host, name: &str| {
        let services = host.services()?;
        let service = services.as_array()?.iter().find(|service| service["service"] == name)?.clone();
        u32::try_from(service["process"]["pid"].as_u64()?).ok()
    };
    let written = eventually("it runs", || pid_of(&host, "writer"));
    host.load(&ticker);
    eventually("it is heard", || host.service_log("ticker").contains(" tick 3\n").then_some(()));

    fill(&host);
    eventually("the launcher says so", || {
        host.log_shown().contains("the log of ticker cannot be written").then_some(())
    });
    if is_seen_at_once {
        // Before anything had to be stored.
        let ready = eventually("it is seen", || {
            Some(get(http(&host), "/ready", &[])).filter(|ready| ready.status == 503)
        });
        assert!(ready.body.contains("the disk is full"), "{}", ready.body);
    }
    let (code, _, stderr) = host.run(&["svc", "load", &second]);
    assert!(code != 0 && !stderr.is_empty(), "it is not promised what cannot be kept: {code} {stderr}");
    assert_eq!(get(port, "/", &[]).status, 200, "services go on");
    let (code, _, stderr) = host.run(&["svc", "stop", &writer]);
    assert_eq!(code, 10, "stopped, and not stored: {stderr}");
    assert!(stderr.contains("it is stopped"), "{stderr}");
    assert!(!lives(written), "what fills a disk can be stopped");
    let (_, stdout, _) = host.run(&["svc", "status"]);
    assert!(stdout.contains("cannot store anything: the disk is full"), "{stdout}");
    let ready = get(http(&host), "/ready", &[]);
    assert!(ready.status == 503 && ready.body.contains("the disk is full"), "{}", ready.body);
    assert!(host.services().is_some(), "the supervisor answers");

    make_room(&host);
    eventually("the launcher says so", || {
        host.log_shown().contains("the log of ticker is written again").then_some(())
    });
    eventually("it can be loaded now", || {
        let (code, _, stderr) = host.run(&["svc", "load", &second]);
        assert!(code == 0 || code == 1, "{stderr}");
        (code == 0).then_some(())
    });
    eventually("the stop is stored too", || {
        let services = host.services()?;
        let service = services.as_array()?.iter().find(|service| service["service"] == "writer")?.clone();
        let stored = service["obstacles"].as_array()?.iter().all(|obstacle| obstacle["kind"] != "disk");
        (stored && service["supervisor_problems"] == serde_json::json!([])).then_some(())
    });
    assert_eq!(get(http(&host), "/ready", &[]).status, 200);
    assert_eq!(host.run(&["svc", "unload", &writer]).0, 0);
    whole_after_a_crash(host);
}

/// A crash at this moment leaves every file whole.
fn whole_after_a_crash(mut host: Host) {
    let supervisor = host.supervisor();
    kill(number(supervisor), Signal::SIGKILL).expect("killed");
    host.supervisor_after(supervisor);
    eventually("all three are up", || {
        let services = host.services()?;
        let up = |service: &serde_json::Value| service["state"] == "up";
        (services.as_array()?.len() == 3 && services.as_array()?.iter().all(up)).then_some(())
    });
    let log = host.service_log("ticker");
    assert!(
        log.lines().all(|line| line.is_empty() || line.contains(" O tick ")),
        "no line is mixed with another"
    );
    let pids: Vec<u64> = host
        .services()
        .expect("JSON")
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|service| service["process"]["pid"].as_u64())
        .collect();
    host.signal(Signal::SIGTERM);
    assert_eq!(host.end(), Some(0));
    assert!(pids.into_iter().all(|pid| !lives(pid.try_into().expect("a pid"))));
}

/// The address of the HTTP gateway, as the log says.
fn http(host: &Host) -> std::net::SocketAddr {
    let log = host.log_shown();
    let at = log.lines().find_map(|line| line.split("HTTP on http://").nth(1)).expect("it is logged");
    at.split(',').next().expect("an address").parse().expect("an address")
}

/// Lets a process write files up to this size from now on.
#[allow(unsafe_code)]
fn limit_file_size(pid: u32, bytes: libc::rlim_t) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: libc::RLIM_INFINITY };
    let pid = pid.try_into().expect("a pid");
    // SAFETY: the limit outlives the call, and nothing is returned through the null pointer.
    let done = unsafe { libc::prlimit(pid, libc::RLIMIT_FSIZE, &raw const limit, std::ptr::null_mut()) };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}

#[test]
fn files_that_may_not_grow() {
    // Its output must not go to a file, which could not grow either.
    let host = Host::start_heard(|_| {});
    let limit = |host: &Host, bytes| {
        for pid in [host.launcher.id(), host.supervisor()] {
            limit_file_size(pid, bytes);
        }
    };
    fills_up(host, move |host| limit(host, 0), move |host| limit(host, libc::RLIM_INFINITY), false);
}

/// A file system of its own, unmounted when dropped.
struct Tmpfs(tempfile::TempDir);

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

impl Tmpfs {
    fn mounted() -> Self {
        let tmpfs = Self(tempfile::tempdir().expect("a directory"));
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"])
            .arg(tmpfs.0.path())
            .status();
        assert!(mounted.expect("mount runs").success());
        tmpfs
    }

    fn host(&self) -> Host {
        Host::start_heard_in(tempfile::tempdir_in(self.0.path()).expect("a directory"), |_| {})
    }
}

/// Large units and then single pages, until not even one is left.
const UNITS: [&str; 2] = ["64K", "1K"];

fn filler(host: &Host, unit: &str) -> String {
    format!("{}/filler.{unit}", text(host.root.path()))
}

fn fill(host: &Host) {
    for unit in UNITS {
        let file = format!("of={}", filler(host, unit));
        let _ = Command::new("dd").args(["if=/dev/zero", &file, &format!("bs={unit}")]).output();
    }
}

fn make_room(host: &Host) {
    for unit in UNITS {
        let _ = fs::remove_file(filler(host, unit));
    }
}

#[test]
#[ignore = "mounts a file system: for root, and run by .ci/run"]
fn a_small_file_system() {
    let tmpfs = Tmpfs::mounted();
    fills_up(tmpfs.host(), fill, make_room, true);
    drop(tmpfs);
}

#[test]
#[ignore = "mounts a file system: for root, and run by .ci/run"]
fn a_supervisor_that_starts_on_a_full_disk_takes_over_and_stops_what_runs_there() {
    let tmpfs = Tmpfs::mounted();
    let mut host = tmpfs.host();
    let names = ["first", "second", "third"].map(|name| host.install(name, "exec sleep 1000"));
    names.iter().for_each(|ident| host.load(ident));
    let pids = |host: &Host| -> Option<Vec<u32>> {
        let services = host.services()?;
        let pid = |service: &serde_json::Value| service["process"]["pid"].as_u64()?.try_into().ok();
        let pids: Vec<u32> = services.as_array()?.iter().filter_map(pid).collect();
        (pids.len() == names.len()).then_some(pids)
    };
    let before = eventually("all run", || pids(&host));
    fill(&host);
    for _ in 0..3 {
        let supervisor = host.supervisor();
        kill(number(supervisor), Signal::SIGKILL).expect("killed");
        host.supervisor_after(supervisor);
        let after = eventually("all are taken over", || pids(&host));
        assert_eq!(after, before);
    }
    let [first, second, _] = &names;
    for (order, ident, pid) in [("stop", first, before[0]), ("unload", second, before[1])] {
        let (code, _, stderr) = host.run(&["svc", order, ident]);
        assert!(code == 0 || code == 10, "{order} is stored or not, and carried out: {code} {stderr}");
        assert!(!lives(pid), "{order} ends it");
    }
    make_room(&host);
    host.signal(Signal::SIGTERM);
    assert_eq!(host.end(), Some(0));
    drop(tmpfs);
}
