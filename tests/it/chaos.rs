//! `annulus-sim chaos` refuses what it cannot do with a reason, and leaves nothing on the machine, whatever ends it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use annulus_tests::{KillOnDrop, binary};

/// What a killed run left is gone after so many looks, on a busy machine too.
const LOOKS: u32 = 2_400;
const LOOK: Duration = Duration::from_millis(50);
const SKIPPED: i32 = 77;

fn chaos(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary("annulus-sim"));
    command.arg("chaos").args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn ended(output: &Output) -> (Option<i32>, String) {
    let text = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    (output.status.code(), text.concat())
}

#[test]
fn what_cannot_be_done_is_refused_with_a_reason() {
    let here = std::env::temp_dir().display().to_string();
    for (arguments, code, reason) in [
        (&["--members", "1"][..], 2, "3 to 30 members: fewer elect no leader"),
        (&["--members", "5000"], 2, "3 to 30 members"),
        (&["--for", "5"], 2, "write it as 90s, 30m or 2h"),
        (&["--for", "0s"], 2, "no time is left for faults"),
        (&["--without", "earthquake"], 2, "kill-supervisor"),
        (&["--only", "kill-host", "--without", "partition"], 2, "cannot be used with"),
        (&["--figures", "0"], 2, "0 is not in 1..=100"),
        (&["--on", "loopback"], 6, "use --on netns"),
        (&["--evidence", &here], 2, "exists already"),
    ] {
        let (found, text) = ended(&chaos(arguments).output().expect("it can be started"));
        assert_eq!(found, Some(code), "{arguments:?}: {text}");
        assert!(text.contains(reason), "{arguments:?}: {text}");
    }
}

#[test]
fn a_missing_daemon_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let alone = folder.path().join("annulus-sim");
    fs::copy(binary("annulus-sim"), &alone).expect("copied");
    let output = Command::new(&alone).arg("chaos").output().expect("it can be started");
    let (code, text) = ended(&output);
    assert_eq!(code, Some(7), "{text}");
    assert!(text.contains("annulus is not there; build it with"), "{text}");
}

#[test]
fn without_the_tools_or_rights_it_is_skipped() {
    let mut command = chaos(&["--for", "1s"]);
    let (code, text) = ended(&command.env("PATH", "").output().expect("it can be started"));
    assert_eq!(code, Some(SKIPPED), "{text}");
    assert!(text.contains("need root") || text.contains("need `ip`, of iproute2"), "{text}");
}

/// Starts a run and waits until its ring is whole and the first fault has struck; none where it is skipped.
fn struck() -> Option<KillOnDrop> {
    let mut command = chaos(&["--on", "netns", "--for", "10m", "--members", "3", "--seed", "3", "--verbose"]);
    let mut run = KillOnDrop(command.spawn().expect("it can be started"));
    let mut lines = BufReader::new(run.stdout.take().expect("piped")).lines();
    let first = lines.next().and_then(Result::ok).unwrap_or_default();
    if first.starts_with("skipped") || first.is_empty() {
        let why = run.wait().expect("it ends");
        assert_eq!(why.code(), Some(SKIPPED), "{first}");
        println!("{first}");
        return None;
    }
    // The pipe has to stay open, and room in it for what the run says until it is ended.
    run.stdout = None;
    std::thread::spawn(move || lines.for_each(drop));
    Some(run)
}

/// Everything on this machine that has the number of a run in its name.
fn left_of(pid: u32) -> Vec<String> {
    let marks = [format!("annulus-chaos-{pid}-"), format!("annulus-bed-{pid}-")];
    let is_of_run = |text: &str| marks.iter().any(|mark| text.contains(mark));
    let names = |folder: &Path| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path().display().to_string()).collect::<Vec<_>>()
    };
    let mut found = [names(&std::env::temp_dir()), names(Path::new("/run/netns"))].concat();
    found.extend(fs::read_to_string("/proc/self/mounts").expect("mounts").lines().map(str::to_owned));
    for process in names(Path::new("/proc")) {
        found.push(fs::read_to_string(format!("{process}/cmdline")).unwrap_or_default().replace('\0', " "));
    }
    found.retain(|text| is_of_run(text));
    found
}

fn wait_until_nothing_is_left_of(pid: u32) {
    for _ in 0..LOOKS {
        if left_of(pid).is_empty() {
            return;
        }
        std::thread::sleep(LOOK);
    }
    panic!("left behind: {:?}", left_of(pid));
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args(["-s", name, &child.id().to_string()]).status();
    assert!(status.expect("kill can be started").success());
}

#[test]
#[ignore = "real daemons in network namespaces, which need root"]
fn ctrl_c_leaves_nothing() {
    let Some(mut run) = struck() else { return };
    assert!(!left_of(run.id()).is_empty(), "a run has processes, namespaces and a folder");
    signal(&run, "INT");
    assert_eq!(run.wait().expect("it ends").code(), Some(7), "interrupted");
    assert_eq!(left_of(run.id()), [""; 0]);
}

#[test]
#[ignore = "real daemons in network namespaces, which need root"]
fn the_next_run_removes_what_a_killed_one_left() {
    let Some(mut run) = struck() else { return };
    let pid = run.id();
    signal(&run, "KILL");
    run.wait().expect("it ends");
    assert!(!left_of(pid).is_empty(), "a killed run cannot clean up");
    // One that ends early, but after it has looked for leftovers.
    let Some(mut next) = struck() else { return };
    wait_until_nothing_is_left_of(pid);
    signal(&next, "TERM");
    next.wait().expect("it ends");
    assert_eq!(left_of(next.id()), [""; 0]);
}
