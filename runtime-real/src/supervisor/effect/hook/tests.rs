//! Hooks that end by themselves, and hooks that hang, flood or leave processes behind.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Mutex;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::*;
use crate::host::clock::{self, Clock};
use crate::supervisor::effect::checkup;
use annulus_core::{EffectId, EffectResult, Health};
use tokio::sync::mpsc;

use crate::supervisor::effect::process::Processes;

struct Bed {
    dir: tempfile::TempDir,
    said: Arc<Mutex<Vec<String>>>,
    launcher: Client,
}

impl Bed {
    /// Hooks below a guard.
    async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let launcher = crate::launcher::in_thread(dir.path());
        let (launcher, _) = Client::over(launcher, &Clock::host()).await.expect("a launcher");
        assert!(launcher.has_guards());
        Self { dir, said: Arc::default(), launcher }
    }

    /// Hooks as children of the supervisor, as below a launcher of an earlier version.
    async fn without_guards() -> Self {
        let bed = Self::new().await;
        let launcher = bed.launcher.clone().of_version(2);
        Self { launcher, ..bed }
    }

    fn hook(&self, script: &str) -> HookRun {
        let program = self.dir.path().join("hook");
        fs::write(&program, script).expect("written");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("made executable");
        let dir = self.dir.path().to_owned();
        let (service, launcher) = ("web".parse().expect("a name"), self.launcher.clone());
        let env = vec![("WHO".into(), "web".into()), ("PATH".into(), std::env::var_os("PATH").expect("set"))];
        let capabilities = Capabilities::NONE;
        let ended = Ended::new().1;
        let (hook, account, lease) = (Hook::Init, None, None);
        HookRun { service, hook, program, dir, env, account, capabilities, launcher, ended, lease }
    }

    fn say(&self) -> Say {
        let said = Arc::clone(&self.said);
        Arc::new(move |line: &str| said.lock().expect("no panic").push(line.to_owned()))
    }

    fn said(&self) -> Vec<String> {
        self.said.lock().expect("no panic").clone()
    }

    async fn run_for(&self, script: &str, limit: Duration) -> Heard {
        run(self.hook(script), limit, self.say()).await
    }

    async fn run(&self, script: &str) -> Heard {
        self.run_for(script, Duration::from_secs(30)).await
    }

    fn pid(&self, name: &str) -> u32 {
        fs::read_to_string(self.dir.path().join(name)).expect(name).trim().parse().expect("a pid")
    }
}

async fn is_gone(pid: u32) {
    for _ in 0..1_000 {
        let stat = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
        // A dead process may stay visible until its new parent has waited for it.
        if stat.map_or(true, |s| s.rsplit(')').next().is_none_or(|s| s.trim_start().starts_with(['Z', 'X'])))
        {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("{pid} still runs");
}

fn code(n: i32) -> HookExit {
    HookExit::Ended(ExitStatus::Code(n))
}

#[tokio::test]
async fn a_hook_says_what_it_says_and_ends_as_it_ends() {
    for bed in [Bed::new().await, Bed::without_guards().await] {
        a_hook_says_what_it_says_and_ends_as_it_ends_on(&bed).await;
    }
}

async fn a_hook_says_what_it_says_and_ends_as_it_ends_on(bed: &Bed) {
    let heard = bed.run("#!/bin/sh\necho \"$WHO in $PWD\"\necho oops >&2\nexit 7\n").await;
    assert_eq!(heard.end, HookEnd { exit: code(7), value: None });
    let dir = bed.dir.path().canonicalize().expect("a path");
    assert_eq!(heard.stdout, format!("web in {}\n", dir.display()));
    assert_eq!(heard.stderr, "oops\n");
    let mut said = bed.said();
    said.sort();
    assert_eq!(said, ["oops".to_owned(), heard.stdout.trim_end().to_owned()]);
    assert_eq!(bed.run("#!/bin/sh\nkill -9 $$\n").await.end.exit, HookExit::Ended(ExitStatus::Signal(9)));
}

/// A hook that runs until it is ended, with a child in a session of its own.
const LEADING: &str = "#!/bin/sh\nsetsid sh -c 'echo $$ > child; exec sleep 1000' &\n\
                       while [ ! -s child ]; do sleep 0.01; done; echo $$ > own; sleep 1000\necho done\n";

fn lease(left_ms: u64) -> Lease {
    Lease { kill_at_ms: clock::boot_ms() + left_ms, resume: None }
}

#[tokio::test]
async fn a_hook_that_leads_ends_with_the_lease_that_its_guard_holds() {
    let bed = Bed::new().await;
    let (done, mut results) = mpsc::channel(8);
    let processes = Processes::new(bed.launcher.clone(), done);
    let web = "web".parse().expect("a name");
    let own = bed.dir.path().join("own");
    let hook = HookRun { lease: Some(lease(60_000)), ..bed.hook(LEADING) };
    let running = tokio::spawn(run(hook, Duration::from_secs(600), bed.say()));
    while fs::read_to_string(&own).map_or(true, |pid| !pid.ends_with('\n')) {
        sleep(Duration::from_millis(5)).await;
    }
    // It lives by its renewals, for longer than one of them lasts.
    for _ in 0..10 {
        processes.lease(EffectId(1), &web, None, Some(&lease(400)));
        assert_eq!(results.recv().await, Some((EffectId(1), EffectResult::Leased)));
        sleep(Duration::from_millis(100)).await;
        assert!(!running.is_finished());
    }
    let (began, left) = (clock::boot_ms(), lease(400));
    processes.lease(EffectId(2), &web, None, Some(&left));
    let heard = running.await.expect("no panic");
    assert_eq!(heard.end.exit, HookExit::Ended(ExitStatus::Signal(9)));
    assert!(clock::boot_ms() >= began + 400, "not before its time");
    is_gone(bed.pid("child")).await;
    is_gone(bed.pid("own")).await;
    assert_eq!(results.recv().await, Some((EffectId(2), EffectResult::Leased)));
    processes.lease(EffectId(3), &web, None, Some(&lease(400)));
    assert!(matches!(results.recv().await, Some((EffectId(3), EffectResult::LeaseFailed { .. }))));
    let late = HookRun { lease: Some(Lease { kill_at_ms: 1, resume: None }), ..bed.hook(LEADING) };
    let heard = run(late, Duration::from_secs(600), bed.say()).await;
    assert!(matches!(heard.end.exit, HookExit::Failed(reason) if reason.contains("may lead has ended")));
}

#[tokio::test]
async fn the_last_line_of_a_hook_that_succeeds_is_its_value() {
    let bed = Bed::new().await;
    for (script, value) in [
        ("echo first; echo ' 42 '; echo", Some(42)),
        ("echo 18446744073709551615", Some(u64::MAX)),
        ("echo 42; exit 1", None),
        ("echo 42 >&2", None),
        ("echo -1", None),
        ("echo 42; echo high", None),
        ("true", None),
    ] {
        assert_eq!(bed.run(&format!("#!/bin/sh\n{script}\n")).await.end.value, value, "{script}");
    }
}

#[tokio::test]
async fn a_hook_that_hangs_is_killed_with_all_that_it_started() {
    for bed in [Bed::new().await, Bed::without_guards().await] {
        a_hook_that_hangs_is_killed_with_all_that_it_started_on(&bed).await;
    }
}

async fn a_hook_that_hangs_is_killed_with_all_that_it_started_on(bed: &Bed) {
    let script = "#!/bin/sh\ntrap '' TERM\nsleep 1000 &\necho $! > child\necho $$ > own\nwait\n";
    let heard = bed.run_for(script, Duration::from_millis(300)).await;
    assert_eq!(heard.end.exit, HookExit::TimedOut);
    is_gone(bed.pid("own")).await;
    is_gone(bed.pid("child")).await;
    assert!(bed.said().iter().any(|line| line.contains("did not end within 300 ms")), "{:?}", bed.said());
}

#[tokio::test]
async fn what_a_hook_leaves_behind_ends_with_it_and_is_not_waited_for() {
    let bed = Bed::new().await;
    let heard = bed.run("#!/bin/sh\nsleep 1000 &\necho $! > child\necho done\n").await;
    assert_eq!((heard.end.exit, heard.stdout.as_str()), (code(0), "done\n"));
    is_gone(bed.pid("child")).await;
    // A process that left the group and the session does not get away.
    let heard = bed.run(AWAY).await;
    assert_eq!(heard.end.exit, code(0));
    is_gone(bed.pid("away")).await;
}

const AWAY: &str =
    "#!/bin/sh\nsetsid sh -c 'echo $$ > away; exec sleep 1000' &\nwhile [ ! -s away ]; do :; done\n";

#[tokio::test]
async fn without_guards_only_the_group_of_a_hook_ends_with_it() {
    let bed = Bed::without_guards().await;
    bed.run("#!/bin/sh\nsleep 1000 &\necho $! > child\n").await;
    is_gone(bed.pid("child")).await;
    // A process that left the group and holds the pipe is not waited for either.
    assert_eq!(bed.run(AWAY).await.end.exit, code(0));
    let away = i32::try_from(bed.pid("away")).expect("a pid");
    killpg(Pid::from_raw(away), Signal::SIGKILL).expect("it is alive");
}

#[tokio::test]
async fn a_hook_that_floods_both_streams_is_read_to_its_end_and_cut_in_the_log() {
    for bed in [Bed::new().await, Bed::without_guards().await] {
        a_hook_that_floods_both_streams_is_read_to_its_end_and_cut_in_the_log_on(&bed).await;
    }
}

async fn a_hook_that_floods_both_streams_is_read_to_its_end_and_cut_in_the_log_on(bed: &Bed) {
    let script = "#!/bin/sh\nyes out | head -c 20000000 &\nyes err | head -c 20000000 >&2\nwait\necho 5\n";
    let heard = bed.run(script).await;
    assert_eq!(heard.end, HookEnd { exit: code(0), value: Some(5) });
    assert!(heard.stdout.len() <= 2 * KEPT_BYTES_MAX && heard.stderr.len() <= 2 * KEPT_BYTES_MAX);
    let bytes: usize = bed.said().iter().map(|line| line.len() + 1).sum();
    assert!(bytes <= 2 * LOGGED_BYTES_MAX + 1_024, "{bytes}");
    assert_eq!(bed.said().iter().filter(|line| line.contains("left out")).count(), 2);
    // Output without line ends that is not text.
    let heard = bed.run("#!/bin/sh\nhead -c 1000000 /dev/zero | tr '\\0' '\\377'\n").await;
    assert_eq!(heard.end.exit, code(0));
    assert!(heard.stdout.len() <= 8 * KEPT_BYTES_MAX);
}

#[tokio::test]
async fn a_hook_that_cannot_start_says_why() {
    for bed in [Bed::new().await, Bed::without_guards().await] {
        a_hook_that_cannot_start_says_why_on(&bed).await;
    }
}

async fn a_hook_that_cannot_start_says_why_on(bed: &Bed) {
    let HookExit::Failed(reason) = bed.run("#!/no/such/interpreter\n").await.end.exit else {
        panic!("started")
    };
    assert!(reason.contains("interpreter"), "{reason}");
    let run_without = HookRun { program: bed.dir.path().join("none"), ..bed.hook("") };
    let heard = run(run_without, Duration::from_secs(30), bed.say()).await;
    assert!(matches!(heard.end.exit, HookExit::Failed(_)));
}

#[tokio::test]
async fn a_hook_without_a_waiting_task_is_killed() {
    let bed = Bed::new().await;
    let hook = bed.hook("#!/bin/sh\necho $$ > own.new && mv own.new own\nsleep 1000\n");
    let running = tokio::spawn(run(hook, Duration::from_secs(1_000), bed.say()));
    let own = bed.dir.path().join("own");
    for _ in 0..2_000 {
        if own.exists() {
            break;
        }
        sleep(Duration::from_millis(10)).await;
    }
    running.abort();
    is_gone(bed.pid("own")).await;
}

/// A hook that ignores the polite signal, and leaves an orphan in a session of its own.
const STUBBORN: &str = "#!/bin/sh\ntrap '' TERM INT\n(setsid sh -c 'echo $$ > away.new; mv away.new away; sleep 1000' &)\n\
                        echo $$ > own.new; mv own.new own\nwhile :; do sleep 1000; done\n";

#[tokio::test]
async fn a_hook_that_is_ordered_to_end_leaves_nothing_behind() {
    let bed = Bed::new().await;
    let (order, ended) = Ended::new();
    let hook = HookRun { ended, ..bed.hook(STUBBORN) };
    let running = tokio::spawn(run(hook, Duration::from_secs(1_000), bed.say()));
    for file in ["own", "away"] {
        for _ in 0..2_000 {
            if bed.dir.path().join(file).exists() {
                break;
            }
            sleep(Duration::from_millis(10)).await;
        }
    }
    order.send(true).expect("it runs");
    let heard = timeout(Duration::from_secs(30), running).await.expect("in time").expect("no panic");
    assert_eq!(heard.end.exit, KILLED);
    for file in ["own", "away"] {
        let pid = bed.pid(file);
        assert!(!Path::new("/proc").join(pid.to_string()).exists(), "{file} is gone when this is answered");
    }
    let (order, ended) = Ended::new();
    order.send(true).expect("not begun");
    let late = HookRun { ended, ..bed.hook("#!/bin/sh\ntouch begun\n") };
    assert_eq!(run(late, Duration::from_secs(30), bed.say()).await.end.exit, KILLED);
    assert!(!bed.dir.path().join("begun").exists(), "an order that comes first lets none begin");

    let bed = Bed::without_guards().await;
    let (order, ended) = Ended::new();
    let hook = HookRun { ended, ..bed.hook("#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 1000; done\n") };
    let running = tokio::spawn(run(hook, Duration::from_secs(1_000), bed.say()));
    order.send(true).expect("it waits for this");
    let heard = timeout(Duration::from_secs(30), running).await.expect("in time").expect("no panic");
    assert_eq!(heard.end.exit, KILLED);
}

#[tokio::test]
async fn the_exit_code_of_a_health_check_is_the_health() {
    let bed = Bed::new().await;
    for (script, health, note) in [
        ("echo fine", Health::Ok, "fine"),
        ("echo slow; exit 1", Health::Warning, "slow"),
        ("echo broken >&2; exit 2", Health::Critical, "broken"),
        ("exit 3", Health::Unknown, ""),
        ("echo what; exit 4", Health::Unknown, "the health-check hook ended with exit code 4: what"),
        ("kill -9 $$", Health::Unknown, "the health-check hook ended with signal 9"),
    ] {
        let hook = bed.hook(&format!("#!/bin/sh\n{script}\n"));
        let checkup = checkup::check(Some((hook, bed.say())), None, Duration::from_secs(30)).await;
        assert_eq!((checkup.health, checkup.note.as_str()), (health, note), "{script}");
    }
    let hook = bed.hook("#!/bin/sh\nsleep 1000\n");
    let checkup = checkup::check(Some((hook, bed.say())), None, Duration::from_millis(100)).await;
    assert_eq!(checkup.health, Health::Critical, "what it asks hangs");
    assert!(checkup.note.contains("within 100 ms"), "{}", checkup.note);
}
