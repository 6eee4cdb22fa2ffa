//! The command line as a user meets it: exit codes, and the output that goes with them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn annulus_sim(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_annulus-sim"))
        .args(arguments)
        .output()
        .expect("the simulator can be started")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("an exit code")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A scenario of three members that expects this.
fn scenario(folder: &Path, name: &str, rest: &str) -> PathBuf {
    let path = folder.join(name);
    let text = format!(
        "about = \"A scenario that a test of the command line needs.\"\nduration = \"5s\"\nseed = 7\n\n\
         [members]\ncount = 3\n\n{rest}"
    );
    fs::write(&path, text).expect("a writable folder");
    path
}

const HOLDS: &str = "[[expect]]\nby = \"4s\"\nrunning = \"all\"\n";
const FAILS: &str = "[[expect]]\nat = \"4s\"\nstopped = \"m2\"\n";

#[test]
fn what_holds_ends_with_0_and_shows_the_trace_hash() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = scenario(folder.path(), "good.toml", HOLDS);
    let output = annulus_sim(&["run", &path.to_string_lossy()]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).contains("seed 7") && stdout(&output).contains("trace hash "));
    let again = annulus_sim(&["run", &path.to_string_lossy()]);
    assert_eq!(stdout(&output), stdout(&again));
}

#[test]
fn what_does_not_hold_ends_with_3_and_says_how_to_repeat_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = scenario(folder.path(), "unmet.toml", FAILS);
    let output = annulus_sim(&["run", &path.to_string_lossy(), "--seed", "9"]);
    assert_eq!(code(&output), 3);
    let told = stderr(&output);
    assert!(told.contains("unmet.toml:8: expectation did not hold at 4.000s"), "{told}");
    assert!(told.contains("found: m2 runs"), "{told}");
    let repeat = format!("annulus-sim run {} --seed 9 --narrate --trace trace.jsonl", path.display());
    assert!(told.contains(&repeat), "{told}");
}

#[test]
fn what_cannot_be_done_ends_with_2_and_names_the_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let rest = format!("[[at]]\ntime = \"2s\"\nrestart = \"m1\"\n\n{HOLDS}");
    let path = scenario(folder.path(), "impossible.toml", &rest);
    let output = annulus_sim(&["run", &path.to_string_lossy()]);
    assert_eq!(code(&output), 2);
    let told = stderr(&output);
    assert!(told.contains("impossible.toml:9: this cannot be done at 2.000s: m1 cannot restart"), "{told}");
}

#[test]
fn bad_files_and_command_lines_end_with_2() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = scenario(folder.path(), "bad.toml", "[[expect]]\nby = \"4s\"\nrunnin = \"all\"\n");
    let output = annulus_sim(&["run", &path.to_string_lossy()]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("did you mean `running`?"), "{}", stderr(&output));
    for arguments in [&["run"][..], &["run", "/nonexistent.toml"], &["check", "/nonexistent"], &["walk"]] {
        let output = annulus_sim(arguments);
        assert_eq!(code(&output), 2, "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
    let good = scenario(folder.path(), "good.toml", HOLDS);
    let output = annulus_sim(&["run", &good.to_string_lossy(), "--trace", "/nonexistent/t.jsonl"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("/nonexistent/t.jsonl: cannot be written"), "{}", stderr(&output));
}

#[test]
fn nothing_but_a_regular_file_is_read_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let fifo = folder.path().join("fifo.toml");
    let made = Command::new("mkfifo").arg(&fifo).status().expect("mkfifo runs");
    assert!(made.success());
    for (path, why) in [(fifo.as_path(), "it is no regular file"), (folder.path(), "it is a folder")] {
        for args in [&["run"][..], &["explain", "--group", "redis"]] {
            let output = annulus_sim(&[args, &[&path.to_string_lossy()]].concat());
            assert_eq!(code(&output), 2);
            assert!(stderr(&output).contains(why), "{}", stderr(&output));
        }
    }
    let large = folder.path().join("large.toml");
    fs::write(&large, format!("about = \"{}\"", "x".repeat(30_000_000))).expect("a writable folder");
    let output = annulus_sim(&["run", &large.to_string_lossy()]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).len() < 1_000 && stderr(&output).contains("is larger than"));
    let long =
        scenario(folder.path(), "long.toml", &format!("[[at]]\ntime = \"{}\"\n", "9".repeat(1_000_000)));
    let output = annulus_sim(&["run", &long.to_string_lossy()]);
    assert_eq!(code(&output), 2);
    assert!(output.stderr.len() < 4_000, "{} bytes", output.stderr.len());
    let good = fs::File::open(scenario(folder.path(), "good.toml", HOLDS)).expect("readable");
    let output = Command::new(env!("CARGO_BIN_EXE_annulus-sim")).args(["run", "-"]).stdin(good).output();
    assert_eq!(code(&output.expect("it starts")), 0);
}

#[test]
fn what_a_bed_cannot_do_ends_with_6_before_anything_is_started() {
    let folder = tempfile::tempdir().expect("a folder");
    let cut =
        scenario(folder.path(), "cut.toml", &format!("[[at]]\ntime = \"2s\"\npartition = \"m1\"\n\n{HOLDS}"));
    let lossy = scenario(folder.path(), "lossy.toml", &format!("[links]\nloss = \"1%\"\n\n{HOLDS}"));
    for (path, word) in [(cut, "cut.toml:9: partitions; use --on netns"), (lossy, "links with loss")] {
        let output = annulus_sim(&["run", &path.to_string_lossy(), "--on", "loopback"]);
        assert_eq!(code(&output), 6);
        let told = stderr(&output);
        assert!(told.contains("not on this bed: ") && told.contains(word), "{told}");
    }
}

#[test]
fn check_has_a_line_for_each_and_ends_with_the_worst() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("below")).expect("a folder");
    scenario(&folder.path().join("below"), "b.toml", HOLDS);
    scenario(folder.path(), "a.toml", FAILS);
    scenario(folder.path(), "c.toml", "nonsense");
    let root = folder.path().to_string_lossy().into_owned();
    let output = annulus_sim(&["check", &root]);
    assert_eq!(code(&output), 3);
    let told = stdout(&output);
    let words: Vec<&str> = told.lines().take(3).filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(words, ["unmet", "pass", "bad-file"], "{told}");
    assert!(told.ends_with("3 scenarios: 1 pass, 1 bad-file, 1 unmet\n"), "{told}");

    let output = annulus_sim(&["check", "--json", "--jobs", "1", &root]);
    let lines: Vec<serde_json::Value> =
        stdout(&output).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[1]["outcome"], "pass");
    assert_eq!(lines[1]["trace_hash"].as_str().map(str::len), Some(16));
}

#[test]
fn check_with_seeds_names_those_that_fail() {
    let folder = tempfile::tempdir().expect("a folder");
    // Whether m2's identity is the smaller one is decided by the seed.
    let lucky = "[[expect]]\nat = \"4s\"\nleader = \"m2\"\nof_service = \"redis\"\n\n[[at]]\ntime = \"1500ms\"\n\
                 load = \"redis\"\non = \"all\"\ntopology = \"leader\"\n";
    scenario(folder.path(), "a.toml", HOLDS);
    let path = scenario(folder.path(), "b.toml", lucky);
    let root = folder.path().to_string_lossy().into_owned();
    let output = annulus_sim(&["check", "--seeds", "5..13", &root]);
    let told = stdout(&output);
    assert_eq!(code(&output), 3, "{told}");
    let first: Vec<&str> = told.lines().take(2).collect();
    assert!(first[0].starts_with("pass") && first[0].ends_with("a.toml (8 seeds)"), "{told}");
    assert!(first[1].starts_with("unmet") && first[1].contains(" of 8 seeds: "), "{told}");
    assert!(told.contains(&format!("annulus-sim run {} --seed ", path.display())), "{told}");
    assert!(told.ends_with("2 scenarios with 8 seeds each: 1 pass, 1 unmet\n"), "{told}");

    let output = annulus_sim(&["check", "--json", "--seeds", "5..13", &root]);
    let lines: Vec<serde_json::Value> =
        stdout(&output).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let failing = lines[1]["failing_seeds"].as_array().expect("a list");
    assert!(!failing.is_empty() && failing.len() < 8, "{failing:?}");
    assert_eq!(lines[1]["runs"].as_array().map(Vec::len), Some(8));
}

#[test]
fn an_interrupted_sweep_keeps_what_it_has() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out.json");
    let mut child = Command::new(env!("CARGO_BIN_EXE_annulus-sim"))
        .args(["sweep", "--seeds", "0..100000", "--jobs", "1", "--out"])
        .arg(&out)
        .stderr(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("the simulator can be started");
    // The first line of progress says that the sweep is under way.
    let mut progress = std::io::BufReader::new(child.stderr.take().expect("a pipe"));
    let mut line = String::new();
    std::io::BufRead::read_line(&mut progress, &mut line).expect("a line");
    assert!(line.contains(" of 100000 seeds, ") && line.contains(" left"), "{line}");
    let kill = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(kill.expect("kill can be run").success());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(code(&output), 130, "{}", stdout(&output));
    assert!(stdout(&output).contains(" of 100000 seeds were not run"), "{}", stdout(&output));
    let kept: serde_json::Value =
        serde_json::from_slice(&fs::read(&out).expect("it was written")).expect("JSON");
    let seeds = kept["seeds"].as_array().expect("a list");
    assert!(!seeds.is_empty() && seeds.iter().any(|seed| seed["took_ms"].as_u64() > Some(0)));
    assert_eq!(kept["not_run"].as_u64(), Some(100_000 - seeds.len() as u64));

    let merged = annulus_sim(&["merge", &out.to_string_lossy()]);
    assert_eq!(code(&merged), 0);
    assert!(stdout(&merged).contains("interrupted: "), "{}", stdout(&merged));
}

#[test]
fn help_and_list_name_what_there_is() {
    let help = stdout(&annulus_sim(&["--help"]));
    for code in [
        "0  every expectation",
        "2  a scenario",
        "3  an expectation",
        "4  a property",
        "6  the scenario",
        "70  a bug",
        "77  skipped",
        "130  a sweep was interrupted",
    ] {
        assert!(help.contains(code), "{help}");
    }
    let list = stdout(&annulus_sim(&["list"]));
    for word in ["partition", "crash_service", "all_alive", "probe-failed"] {
        assert!(list.contains(word), "{list}");
    }
}
