//! The table of attacks promises nothing that no test shows: each row names the scenarios and tests that do.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use annulus_tests::repository;

use super::text::read;

const GUIDE: &str = "runtime-real/README.md";
/// Attack, three systems, and what shows the last.
const COLUMNS: usize = 5;

/// The rows of the table below the heading.
fn rows() -> Vec<Vec<String>> {
    let text = read(GUIDE);
    let (_, rest) =
        text.split_once("\n## Attacks\n").unwrap_or_else(|| panic!("{GUIDE} has a table of attacks"));
    let section = rest.split("\n## ").next().unwrap_or_default();
    let lines = section.lines().filter(|line| line.starts_with('|')).skip(2);
    lines.map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// The names of all functions below a folder.
fn functions(dir: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(dir).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() && !entry.ends_with("target") && !entry.ends_with(".git") {
            functions(&entry, found);
        } else if entry.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(&entry).expect("text");
            let names = text
                .lines()
                .filter_map(|line| line.trim_start().split_once("fn ")?.1.split(['(', '<']).next());
            found.extend(names.map(str::to_owned));
        }
    }
}

#[test]
fn each_attack_is_shown_by_a_test_or_a_scenario() {
    let mut known = BTreeSet::new();
    functions(&repository(), &mut known);
    let rows = rows();
    assert!(rows.len() >= 10, "{} rows", rows.len());
    for row in rows {
        assert_eq!(row.len(), COLUMNS, "{row:?}");
        let shown: Vec<&str> = row[COLUMNS - 1].split('`').skip(1).step_by(2).collect();
        assert!(!shown.is_empty(), "{row:?} is shown by nothing");
        for name in shown {
            let is_scenario =
                name.contains('/') && repository().join("scenarios").join(format!("{name}.toml")).is_file();
            assert!(is_scenario || known.contains(name), "{name:?} is neither a scenario nor a test");
        }
    }
}
