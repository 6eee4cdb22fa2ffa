//! A follower reads every line of a log once and in order, through every rotation.

use std::collections::VecDeque;
use std::fs::{self, OpenOptions};
use std::io::Write as _;

use annulus_core::UnixTime;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn collect(work: impl FnOnce(&mut dyn FnMut(Line<'_>) -> io::Result<()>) -> io::Result<()>) -> Vec<String> {
    let mut lines = Vec::new();
    work(&mut |line| {
        lines.push(line.0.to_owned());
        Ok(())
    })
    .expect("readable");
    lines
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).expect("opened");
    file.write_all(text.as_bytes()).expect("written");
}

/// Puts the log aside as its writers do.
fn rotate(path: &Path, keep: u32) {
    for number in (1..keep).rev() {
        let _ = fs::rename(numbered(path, number), numbered(path, number + 1));
    }
    let _ = fs::rename(path, numbered(path, 1));
}

fn bench() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("web.log");
    (dir, path)
}

#[test]
fn a_line_tells_its_parts() {
    let line = Line("2026-01-31T12:00:00.123Z E it  failed");
    assert_eq!(line.stamp(), Some("2026-01-31T12:00:00.123Z"));
    let expected = json!({ "time": "2026-01-31T12:00:00.123Z", "stream": "stderr", "text": "it  failed" });
    assert_eq!(line.to_json(Kind::Service), expected);
    let line = Line("2026-01-31T12:00:00.123Z  INFO left the ring");
    let expected = json!({ "time": "2026-01-31T12:00:00.123Z", "level": "INFO", "text": "left the ring" });
    assert_eq!(line.to_json(Kind::Supervisor), expected);
    let text = r#"{"timestamp":"2026-01-31T12:00:00.123Z","level":"WARN","message":"slow disk","ms":7}"#;
    assert_eq!(Line(text).stamp(), Some("2026-01-31T12:00:00.123Z"));
    assert_eq!(Line(text).to_text(Kind::Supervisor, false), "2026-01-31T12:00:00.123Z  WARN slow disk ms=7");
    assert_eq!(Line(text).to_text(Kind::Service, true), text, "what a service prints is left as it is");
    let evil = "2026-01-31T12:00:00.123Z E \u{1b}]0;evil\u{7}";
    assert_eq!(Line(evil).to_text(Kind::Service, false), "2026-01-31T12:00:00.123Z E \\u{1b}]0;evil\\u{7}");
    assert_eq!(Line(evil).to_json(Kind::Service)["text"], "\u{1b}]0;evil\u{7}");
    assert!(Line(evil).to_text(Kind::Service, true).starts_with("\u{1b}[33m2026"));
    let expected =
        json!({ "time": "2026-01-31T12:00:00.123Z", "level": "WARN", "text": "slow disk", "ms": 7 });
    assert_eq!(Line(text).to_json(Kind::Supervisor), expected);
    for odd in ["", "x", "no stamp", "2026-01-31T12:00:00.123", "2026-01-31T12:00:00.123Zx y"] {
        assert_eq!(Line(odd).stamp(), None, "{odd:?}");
        assert_eq!(Line(odd).to_json(Kind::Service), json!({ "time": null, "stream": null, "text": odd }));
    }
}

#[test]
fn a_link_in_the_logs_place_is_not_followed() {
    let (dir, path) = bench();
    std::fs::write(dir.path().join("secret"), "2026-01-31T12:00:00.000Z O secret\n").expect("written");
    std::os::unix::fs::symlink(dir.path().join("secret"), &path).expect("linked");
    let mut given = Vec::new();
    let shown = Follower::new(&path).past(None, None, &mut |line| {
        given.push(line.0.to_owned());
        Ok(())
    });
    assert!(
        shown.is_err_and(|error| error.to_string().contains("is a link")) && given.is_empty(),
        "{given:?}"
    );
}

#[test]
fn lines_since_a_time_come_with_what_belongs_to_them() {
    let (_dir, path) = bench();
    let text = "2026-01-31T11:00:00.000Z O old\n  its second line\n2026-01-31T12:00:00.000Z O new\n  its second line\n";
    append(&path, text);
    let now = UnixTime::from_millis(1_769_860_800_000);
    let since = since("30m", now).expect("a time");
    let given = collect(|give| Follower::new(&path).past(None, Some(&since), give));
    assert_eq!(given, ["2026-01-31T12:00:00.000Z O new", "  its second line"]);
    let given = collect(|give| Follower::new(&path).past(Some(1), Some(&since), give));
    assert_eq!(given, ["  its second line"]);
}

#[test]
fn a_log_that_is_not_there_yet_is_waited_for() {
    let (_dir, path) = bench();
    let mut follower = Follower::new(&path);
    assert!(collect(|give| follower.past(Some(10), None, give)).is_empty());
    assert!(collect(|give| follower.new_lines(give)).is_empty());
    append(&path, "one\ntw");
    assert_eq!(collect(|give| follower.new_lines(give)), ["one"]);
    append(&path, "o\n");
    assert_eq!(collect(|give| follower.new_lines(give)), ["two"]);
    fs::write(&path, "3\n").expect("emptied and written anew");
    assert_eq!(collect(|give| follower.new_lines(give)), ["3"]);
}

#[test]
fn long_lines_come_in_pieces() {
    let (_dir, path) = bench();
    let long = usize::try_from(LINE_BYTES_MAX).expect("small");
    append(&path, &format!("{}\nend\n", "x".repeat(long + 5)));
    let lengths: Vec<usize> =
        collect(|give| Follower::new(&path).past(None, None, give)).iter().map(String::len).collect();
    assert_eq!(lengths, [long, 5, 3]);
}

#[derive(Clone, Debug)]
enum Step {
    Line,
    Rotate,
    Look,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![5 => Just(Step::Line), 1 => Just(Step::Rotate), 2 => Just(Step::Look)];
    prop::collection::vec(step, 0..60)
}

proptest! {
    #[test]
    fn a_follower_sees_every_line_once_and_in_order(steps in steps(), last in 0_usize..8) {
        let (_dir, path) = bench();
        let mut follower = Follower::new(&path);
        let (mut written, mut seen) = (0, Vec::new());
        let mut unseen_rotations = 0;
        for step in &steps {
            match step {
                Step::Line => {
                    append(&path, &format!("{written}\n"));
                    written += 1;
                }
                // Beyond the number of files that are kept, lines are lost before the follower has read them.
                Step::Rotate if unseen_rotations < 5 && path.exists() => {
                    rotate(&path, 5);
                    unseen_rotations += 1;
                }
                Step::Rotate => {}
                Step::Look => {
                    seen.extend(collect(|give| follower.new_lines(give)));
                    unseen_rotations = 0;
                }
            }
        }
        seen.extend(collect(|give| follower.new_lines(give)));
        let expected: Vec<String> = (0..written).map(|number| number.to_string()).collect();
        prop_assert_eq!(&seen, &expected);

        // The last lines of the files that are left, however many files hold them.
        let kept: VecDeque<String> = collect(|give| Follower::new(&path).past(None, None, give)).into();
        let tail = collect(|give| Follower::new(&path).past(Some(last), None, give));
        prop_assert_eq!(tail, kept.iter().skip(kept.len().saturating_sub(last)).cloned().collect::<Vec<_>>());
    }
}
