//! What the packages stand on.

use std::collections::BTreeSet;
use std::fs;

use annulus_tests::repository;
use toml::Table;

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
