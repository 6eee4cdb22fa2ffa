//! `annulus svc log` and `annulus sup log`, on files that a real supervisor and its launcher write.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::Value;

use crate::support::{Supervisor, annulus, eventually, finish, plan};

#[test]
fn what_a_service_prints_can_be_read_and_followed() {
    let supervisor = Supervisor::start(&[]);
    let run = "echo first; echo oops >&2; n=0; while [ ! -e enough ]; do n=$((n + 1)); echo line $n; sleep 0.05; done";
    supervisor.install(&plan(&supervisor.root().join("plans"), "teller", run));
    let (code, _, stderr) = supervisor.run(&["svc", "log", "teller"]);
    assert!(code == 2 && stderr.contains("teller has never run"), "{code} {stderr}");
    assert_eq!(supervisor.run(&["svc", "load", "test/teller"]).0, 0);

    let whole = || supervisor.run(&["svc", "log", "test/teller", "--json"]).1;
    let text = eventually("both streams are in the log", || {
        let text = whole();
        (text.contains("first") && text.contains("oops") && text.contains("line 2")).then_some(text)
    });
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let of = |text: &str| lines.iter().find(|line| line["text"] == text).expect("it was printed");
    assert_eq!((&of("first")["stream"], &of("oops")["stream"]), (&"stdout".into(), &"stderr".into()));
    assert_eq!(supervisor.run(&["svc", "log", "teller.default", "-n", "2"]).1.lines().count(), 2);
    assert_eq!(
        supervisor.run(&["svc", "log", "teller", "--since", "1h"]).1.lines().next().map(|l| &l[25..]),
        Some("O first")
    );

    let mut follower = annulus();
    follower.arg("--root").arg(supervisor.root()).args(["svc", "log", "teller", "-f", "-n", "1"]);
    let mut follower = follower.stdout(Stdio::piped()).spawn().expect("it runs");
    let mut heard = BufReader::new(follower.stdout.take().expect("piped")).lines();
    let numbers: Vec<u32> = (0..4)
        .map(|_| {
            let line = heard.next().expect("more lines").expect("text");
            line.rsplit(' ').next().and_then(|word| word.parse().ok()).expect("a number")
        })
        .collect();
    assert!(numbers.windows(2).all(|two| two[1] == two[0] + 1), "{numbers:?}");
    // Its output has no reader any more, so it ends by itself.
    drop(heard);
    eventually("the follower ends", || follower.try_wait().expect("waited for"));
}

#[test]
fn what_a_supervisor_says_is_kept() {
    let supervisor = Supervisor::start(&[]);
    let text = eventually("it is in the log", || {
        let (code, text, _) = supervisor.run(&["sup", "log"]);
        (code == 0 && text.contains("is ready")).then_some(text)
    });
    assert!(!text.contains('\u{1b}'), "no colours: {text}");
    let (_, json, _) = supervisor.run(&["sup", "log", "--json", "-n", "1000"]);
    let lines: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let ready = lines.iter().find(|line| line["text"].as_str().is_some_and(|text| text.contains("is ready")));
    let ready = ready.expect("the same lines");
    assert_eq!((&ready["level"], &ready["ready"]), (&"INFO".into(), &true.into()));
    assert_eq!(
        (&ready["gossip"], &ready["member"]),
        (&supervisor.gossip.to_string().into(), &supervisor.member.as_str().into())
    );
    let started = lines.iter().find(|line| line["kind"] == "started").expect("an event with its fields");
    assert_eq!((&started["incarnation"], &started["restored"]), (&1.into(), &false.into()));
    let said = text.lines().find(|line| line.contains("starts as the new member")).expect("the same as text");
    assert!(said.contains(&format!("({}), incarnation 1", &supervisor.member[..8])), "{said}");
    assert!(!said.contains('=') && !said.contains(&supervisor.member), "each thing once: {said}");
    let (code, _, stderr) = supervisor.run(&["sup", "log", "--override-name", "other"]);
    assert!(code == 3 && stderr.contains("other"), "{code} {stderr}");
}

#[test]
fn logs_that_another_program_moves_away_are_begun_anew_and_that_is_said_once() {
    let supervisor = Supervisor::start(&["--log-max-size", "2K", "--log-keep", "2"]);
    let run = "n=0; while [ ! -e enough ]; do n=$((n + 1)); echo line $n; sleep 0.02; done";
    supervisor.install(&plan(&supervisor.root().join("plans"), "teller", run));
    assert_eq!(supervisor.run(&["svc", "load", "test/teller"]).0, 0);
    let logs = supervisor.root().join("svc/teller/logs");
    let log = logs.join("teller.log");
    let written = |what: &str| {
        eventually(what, || {
            fs::metadata(&log).is_ok_and(|meta| meta.is_file() && meta.len() > 0).then_some(())
        });
    };
    let said = |text: &str| supervisor.run(&["sup", "log"]).1.matches(text).count();

    written("the log is there");
    fs::remove_file(&log).expect("removed");
    written("it is begun anew after its removal");
    eventually("the removal is told", || {
        (said("the log of teller was removed by another program") == 1).then_some(())
    });
    fs::rename(&log, logs.join("away")).expect("renamed");
    written("it is begun anew after it was renamed");
    fs::remove_dir_all(&logs).expect("removed");
    written("its directory is made again");

    // A link to a file of another user is not followed, and the log goes on when it is gone.
    let other = supervisor.root().join("other");
    fs::write(&other, "another's").expect("written");
    fs::remove_file(&log).expect("removed");
    std::os::unix::fs::symlink(&other, &log).expect("made");
    eventually("the link is told", || {
        (said("it is a symbolic link, which is not followed; remove it") == 1).then_some(())
    });
    fs::remove_file(&log).expect("removed");
    written("the log goes on");
    assert_eq!(fs::read_to_string(&other).expect("readable"), "another's");
    eventually("it is put aside at its limit", || logs.join("teller.log.2").exists().then_some(()));
    for name in ["teller.log", "teller.log.1", "teller.log.2"] {
        assert!(fs::metadata(logs.join(name)).map_or(0, |meta| meta.len()) <= 2_048, "{name}");
    }
    assert_eq!(said("the log of teller was removed by another program"), 1, "once a minute");

    let own = supervisor.root().join("sup/default/logs/sup.log");
    fs::remove_file(&own).expect("removed");
    assert_eq!(supervisor.run(&["svc", "stop", "test/teller"]).0, 0);
    eventually("the supervisor's log is begun anew", || {
        (said("the log of the supervisor was removed by another program") == 1).then_some(())
    });
}

#[test]
fn a_pipe_in_the_place_of_a_log_holds_no_command_up() {
    let root = tempfile::tempdir().expect("a directory");
    let logs = root.path().join("svc/teller/logs");
    fs::create_dir_all(&logs).expect("made");
    nix::unistd::mkfifo(&logs.join("teller.log"), nix::sys::stat::Mode::S_IRWXU).expect("made");
    let (code, _, stderr) = finish(annulus().arg("--root").arg(root.path()).args(["svc", "log", "teller"]));
    assert!(code == 1 && stderr.contains("is no regular file"), "{code} {stderr}");
}

/// Text mode: what operators see on a terminal and in a service manager's journal.
#[test]
fn a_line_is_one_line_and_says_each_thing_once() {
    let supervisor = Supervisor::start(&[]);
    let run = "printf 'a\\033[31mb\\n'; exec sleep 1000";
    supervisor.install(&plan(&supervisor.root().join("plans"), "painter", run));
    let specs = supervisor.root().join("sup/default/specs");
    fs::write(specs.join("odd.spec"), "ident = \"a/b\"\nnonsense = = 1\n").expect("written");
    assert_eq!(supervisor.run(&["svc", "load", "test/painter"]).0, 0);
    let text = eventually("the bad file is named", || {
        let text = supervisor.run(&["sup", "log"]).1;
        (text.contains("odd.spec is left alone") && text.contains("painter is up")).then_some(text)
    });
    let stamped = |line: &str| line.starts_with("20") && line.get(23..25) == Some("Z ");
    assert!(text.lines().all(stamped), "an error of several lines is on one: {text}");
    let bad = text.lines().find(|line| line.contains("odd.spec")).expect("it is named");
    assert!(bad.contains("\\n") && bad.matches("odd.spec").count() == 1, "{bad}");
    let up = text.lines().find(|line| line.contains("painter is up")).expect("it is told");
    assert!(up.ends_with(|c: char| c.is_ascii_digit()) && !up.contains("event="), "{up}");
    let printed = eventually("it has printed", || {
        let text = supervisor.run(&["svc", "log", "painter"]).1;
        (!text.is_empty()).then_some(text)
    });
    assert!(printed.ends_with("O a\\u{1b}[31mb\n"), "{printed:?}");
    let json: Value =
        serde_json::from_str(&supervisor.run(&["svc", "log", "painter", "--json"]).1).expect("JSON");
    assert_eq!(json["text"], "a\u{1b}[31mb", "programs get every byte");
}
