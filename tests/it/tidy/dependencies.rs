//! The dependencies of each package.

use std::collections::BTreeSet;
use std::fs;

use annulus_tests::repository;
use annulus_tests::source::sources;
use toml::{Table, Value};

use super::{PACKAGES, report};

/// Nothing is added to the core without a reason that a reviewer accepts.
const CORE: [&str; 3] = ["prost", "rand_chacha", "thiserror"];

fn manifest(package: &str) -> Table {
    let path = repository().join(package).join("Cargo.toml");
    let text = fs::read_to_string(&path).expect("a manifest");
    text.parse().expect("a valid manifest")
}

fn dependencies(package: &str) -> BTreeSet<String> {
    let manifest = manifest(package);
    let mut names = BTreeSet::new();
    for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
        names.extend(
            manifest.get(section).and_then(|s| s.as_table()).into_iter().flatten().map(|(k, _)| k.clone()),
        );
    }
    names
}

#[test]
fn the_core_stands_on_the_crates_that_were_decided_upon() {
    let manifest = manifest("core");
    let names: Vec<&str> =
        manifest["dependencies"].as_table().expect("a table").keys().map(String::as_str).collect();
    assert_eq!(
        names, CORE,
        "a crate is added to the core for a reason that stands in README's table, and in the list above"
    );
}

/// Dependencies that only real daemons and the simulator's command line need, each with its feature.
const TOOLS: [(&str, &str); 6] = [
    ("nix", "beds"),
    ("tempfile", "beds"),
    ("clap", "cli"),
    ("annulus", "turmoil"),
    ("tokio", "turmoil"),
    ("turmoil", "turmoil"),
];

#[test]
fn the_engine_builds_without_what_its_tools_need() {
    let manifest = manifest("runtime-sim");
    let features = manifest["features"].as_table().expect("a table");
    for (name, feature) in TOOLS {
        let optional = manifest["dependencies"][name].get("optional").and_then(Value::as_bool);
        assert_eq!(optional, Some(true), "{name} has to be optional");
        let wanted = Value::from(format!("dep:{name}"));
        let named: Vec<&str> = features
            .iter()
            .filter(|(_, brings)| brings.as_array().is_some_and(|brings| brings.contains(&wanted)))
            .map(|(feature, _)| feature.as_str())
            .collect();
        assert_eq!(named, [feature], "{name} belongs to one feature");
    }
    let optional = |(name, how): (&String, &Value)| how.get("optional").map(|_| name.clone());
    let listed: BTreeSet<String> = TOOLS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let found: BTreeSet<String> =
        manifest["dependencies"].as_table().into_iter().flatten().filter_map(optional).collect();
    assert_eq!(found, listed, "each optional dependency is listed here");
}

#[test]
fn the_engine_calls_no_operating_system() {
    let mut findings = Vec::new();
    for source in sources(&repository(), "runtime-sim/src") {
        let folder = source.path.split('/').nth(2).unwrap_or_default();
        if ["bed", "bench", "cli", "main.rs"].contains(&folder) {
            continue;
        }
        for word in ["fs", "thread", "env", "Command::new", "println", "eprintln"] {
            let lines = source.lines_with(word);
            findings.extend(lines.iter().map(|line| format!("{}:{line}: {word}", source.path)));
        }
    }
    report("code below the features beds and cli takes text and bytes as arguments", &findings);
}

#[test]
fn the_daemon_does_not_depend_on_the_simulator() {
    assert!(!dependencies("runtime-real").contains("annulus-sim"));
    assert!(!dependencies("core").iter().any(|name| name.starts_with("annulus")));
}

#[test]
fn every_dependency_is_used_by_a_package_and_every_package_takes_it_from_the_workspace() {
    let workspace = manifest("");
    let listed = workspace["workspace"]["dependencies"].as_table().expect("a table");
    let used: BTreeSet<String> = PACKAGES.iter().flat_map(|package| dependencies(package)).collect();
    let unused = listed.keys().filter(|name| !used.contains(*name)).map(|name| format!("{name}: not used"));
    let elsewhere =
        used.iter().filter(|name| !listed.contains_key(*name)).map(|name| format!("{name}: not listed"));
    let findings: Vec<String> = unused.chain(elsewhere).collect();
    report("[workspace.dependencies] is the one list of dependencies", &findings);
}

#[test]
fn the_readme_says_what_each_dependency_is_for() {
    let Ok(readme) = fs::read_to_string(repository().join("README.md")) else { return };
    let rows: Vec<&str> = readme.lines().filter(|line| line.starts_with('|')).collect();
    let workspace = manifest("");
    let listed = workspace["workspace"]["dependencies"].as_table().expect("a table");
    let missing = |name: &&String| {
        let ours = name.starts_with("annulus");
        let quoted = format!("`{name}`");
        !ours && !rows.iter().any(|row| row.contains(&quoted))
    };
    let findings: Vec<String> = listed.keys().filter(missing).cloned().collect();
    report(
        "add a row with the name in backticks and the reason to README's table of dependencies",
        &findings,
    );
}
