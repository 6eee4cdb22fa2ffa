//! `annulus svc log` and `annulus sup log`, on files that a real supervisor and its launcher write.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::Value;

use crate::support::{Supervisor, annulus, eventually, plan};

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
    assert_eq!(ready.expect("the same lines")["level"], "INFO");
    let (code, _, stderr) = supervisor.run(&["sup", "log", "--override-name", "other"]);
    assert!(code == 3 && stderr.contains("other"), "{code} {stderr}");
}
