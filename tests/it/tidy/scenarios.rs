//! Every scenario teaches, and every action, statement and event has a scenario.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use annulus_core::RumorKind;
use annulus_sim::form::Word;
use annulus_sim::{action, expect};
use annulus_tests::repository;
use annulus_tests::source::{files, relative, words};
use toml::{Table, Value};

use super::report;

/// Long enough for a sentence that tells what happens and why.
const ABOUT_CHARS_MIN: usize = 60;

struct Scenario {
    path: String,
    text: String,
    table: Table,
}

fn scenarios() -> Vec<Scenario> {
    let top = repository();
    let is_scenario = |path: &str| path.ends_with(".toml") && !path.starts_with("scenarios/plans/");
    let mut scenarios = Vec::new();
    for file in files(&top, "scenarios") {
        let path = relative(&top, &file);
        if is_scenario(&path) {
            let text = fs::read_to_string(&file).expect("a readable scenario");
            let table = text.parse().unwrap_or_else(|error| panic!("{path}: {error}"));
            scenarios.push(Scenario { path, text, table });
        }
    }
    assert!(!scenarios.is_empty(), "the repository has scenarios");
    scenarios
}

#[test]
fn every_scenario_says_what_it_teaches() {
    let mut findings = Vec::new();
    let mut seen = BTreeMap::new();
    for scenario in scenarios() {
        let about = scenario.table.get("about").and_then(Value::as_str).unwrap_or_default().trim().to_owned();
        if about.chars().count() < ABOUT_CHARS_MIN || !about.ends_with(['.', '!', '?']) {
            findings.push(format!("{}: about = {about:?}", scenario.path));
        } else if let Some(other) = seen.insert(about, scenario.path.clone()) {
            findings.push(format!("{}: says the same as {other}", scenario.path));
        }
    }
    report("`about` tells a learner in whole sentences what happens and why", &findings);
}

/// The keys of all entries of one array of tables, over all scenarios.
fn keys_of(scenarios: &[Scenario], section: &str) -> BTreeSet<String> {
    let entries = scenarios.iter().filter_map(|s| s.table.get(section)?.as_array()).flatten();
    entries.filter_map(Value::as_table).flat_map(|entry| entry.keys().cloned()).collect()
}

fn unused(words: Vec<(Word, Vec<&str>)>, used: &BTreeSet<String>, section: &str) -> Vec<String> {
    let keys = words.iter().flat_map(|(word, parts)| std::iter::once(word.key).chain(parts.iter().copied()));
    let missing: BTreeSet<&str> = keys.filter(|key| !used.contains(*key)).collect();
    missing.into_iter().map(|key| format!("[[{section}]] {key}")).collect()
}

#[test]
fn every_fault_and_every_statement_has_a_scenario() {
    let scenarios = scenarios();
    let mut findings = unused(action::words(), &keys_of(&scenarios, "at"), "at");
    findings.extend(unused(expect::words(), &keys_of(&scenarios, "expect"), "expect"));
    report("write a scenario that shows it", &findings);
}

#[test]
fn every_kind_of_rumor_has_a_scenario() {
    let scenarios = scenarios();
    let is_shown = |kind: &RumorKind| {
        let name = kind.name().replace('_', " ");
        let plural = format!("{name}s");
        // Words of the prose may be parted by the end of a line.
        let shows = |text: &str| [&name, &plural].iter().any(|name| words(text, name).next().is_some());
        scenarios.iter().any(|scenario| shows(&scenario.text.to_lowercase().replace('\n', " ")))
    };
    let findings: Vec<String> =
        RumorKind::ALL.iter().filter(|kind| !is_shown(kind)).map(|kind| kind.name().to_owned()).collect();
    report("write a scenario that names it", &findings);
}
