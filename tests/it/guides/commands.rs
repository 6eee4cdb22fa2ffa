//! Every command that a guide shows is carried out, in the order in which it stands there.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use annulus_tests::{binary, repository};

use super::text::{GUIDES, Line, lines, spans};
use super::world::{World, succeed};

/// Commands that are not carried out here, by a part of them, and the words of the gate that carries them out.
const ELSEWHERE: [(&str, &str); 3] = [
    // This test is part of it.
    ("cargo test --workspace", "cargo test --workspace"),
    // Needs a feature that the tests are not built with.
    ("--on turmoil", "--features turmoil"),
    // Needs root.
    ("--on netns", "--on netns"),
];

fn is_run_elsewhere(line: &Line) -> bool {
    ELSEWHERE.iter().any(|(part, _)| line.command.contains(part))
}

/// What the words in capitals stand for, and smaller numbers for the large ones.
fn filled_in(line: &str, world: &World) -> String {
    let scenario = "scenarios/parity/join_and_converge.toml";
    let traced = "scenarios/membership/crash_is_confirmed.toml";
    let file = if line.contains("--trace") { traced } else { scenario };
    let mut text = line.to_owned();
    for (word, value) in [
        ("FILE.hart", world.hart().display().to_string()),
        ("FIRST_HOST", world.gossip(0).to_owned()),
        ("PLAN_DIR", "web".to_owned()),
        ("FAILING", failing(world)),
        ("FILE", file.to_owned()),
        ("HOST", world.ctl(0).to_owned()),
        ("0..1000000", "0..32".to_owned()),
        ("0..1000", "0..4".to_owned()),
    ] {
        text = text.replace(word, &value);
    }
    text
}

/// A scenario that does not hold, for the commands that begin with one.
fn failing(world: &World) -> String {
    let path = world.folder().join("failing.toml");
    let text = "about = \"No member dies, and one is expected to.\"\nduration = \"10s\"\n\
                [members]\nnames = [\"ada\", \"bob\", \"cyd\"]\n\
                [[expect]]\nby = \"10s\"\nconfirmed = \"bob\"\n";
    fs::write(&path, text).expect("written");
    "failing.toml".to_owned()
}

/// `cargo run … --bin X -- ARGUMENTS` is `X ARGUMENTS` with the binary that is built already.
fn without_cargo(command: &str) -> String {
    let Some(rest) = command.strip_prefix("cargo run ") else { return command.to_owned() };
    let (options, arguments) = rest.split_once(" -- ").unwrap_or((rest, ""));
    let bin = options.split_whitespace().skip_while(|word| *word != "--bin").nth(1).expect("a binary");
    let line = format!("{bin} {arguments}");
    // The demonstration goes on until Ctrl-C; so does nothing else.
    if line == "annulus demo" { "annulus demo --for 1s".to_owned() } else { line }
}

fn is_daemon(command: &str) -> bool {
    command.starts_with("annulus sup run") || command.starts_with("annulus start ")
}

fn carry_out(line: &Line, world: &mut World) {
    if is_run_elsewhere(line) {
        return;
    }
    let command = filled_in(&without_cargo(&line.command), world);
    if command.starts_with("annulus sup run --peer") {
        for _ in 1..world.size() {
            world.start(&command);
        }
        return;
    }
    if is_daemon(&command) {
        return world.start(&command);
    }
    let hosts = if line.remark.contains("on each of three hosts") { world.size() } else { 1 };
    for host in 0..hosts {
        let output = world.shell(host, &command);
        // What reduces a scenario that fails ends with the failure's code.
        if !command.contains("failing.toml") || output.status.code() != Some(3) {
            succeed(&output, &format!("{}: {command}", line.place));
        }
    }
    if command.ends_with("sup term") {
        world.ended(0);
    }
}

#[test]
fn every_command_that_a_guide_shows_runs() {
    let mut world = World::new();
    for guide in GUIDES {
        for line in lines(guide) {
            carry_out(&line, &mut world);
        }
    }
}

#[test]
fn every_command_that_is_run_elsewhere_is_run_by_the_gate() {
    let gate = fs::read_to_string(repository().join(".ci/run")).expect("the gate");
    for (part, run) in ELSEWHERE {
        let shown = GUIDES.iter().any(|guide| lines(guide).iter().any(|line| line.command.contains(part)));
        assert!(shown, "no guide shows `{part}` any more");
        assert!(gate.contains(run), ".ci/run does not run `{run}` any more");
    }
}

/// The commands in prose are not carried out, but each of their options has to exist.
#[test]
fn every_option_that_a_guide_names_exists() {
    let mut help = BTreeMap::new();
    let mut findings = Vec::new();
    for guide in GUIDES {
        for span in spans(guide) {
            let words: Vec<&str> = span.split_whitespace().collect();
            let is_name = |word: &&&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
            let path: Vec<&str> = words.iter().skip(1).take_while(is_name).copied().collect();
            let path: Vec<&str> = path.into_iter().take_while(|word| !word.starts_with('-')).collect();
            let text = help.entry((words[0].to_owned(), path.join(" "))).or_insert_with(|| {
                let output = Command::new(binary(words[0])).args(&path).arg("--help").output();
                let output = output.expect("it runs");
                output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
            });
            let Some(text) = text else {
                findings.push(format!("{guide}: `{span}`: there is no such command"));
                continue;
            };
            for option in words.iter().filter(|word| word.starts_with("--") && word.len() > 2) {
                let option = option.split('=').next().unwrap_or(option);
                if !text.contains(option) {
                    findings.push(format!("{guide}: `{span}`: there is no {option}"));
                }
            }
        }
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}
