//! The repository's rules, checked. Each test lists every place that breaks its rule and says what to do.
//!
//! An exception is written beside its rule with the reason; one that is no longer needed fails the test, so the
//! lists can only become shorter.

mod dependencies;
mod imports;
mod purity;
mod scenarios;
mod shape;

use std::collections::BTreeSet;

use annulus_tests::repository;
use annulus_tests::source::{Source, sources};

/// The shipped code of all packages.
const PACKAGES: [&str; 4] = ["core", "runtime-real", "runtime-sim", "tests"];

fn all_sources() -> Vec<Source> {
    let top = repository();
    PACKAGES.iter().flat_map(|package| sources(&top, package)).collect()
}

/// Fails with all findings at once.
fn report(rule: &str, findings: &[String]) {
    assert!(findings.is_empty(), "{rule}\n  {}", findings.join("\n  "));
}

/// A place that a rule does not hold for, and why.
struct Exception {
    place: &'static str,
    reason: &'static str,
}

/// Takes the findings that are excepted out, and adds the exceptions that nothing needs.
fn except(findings: Vec<(String, String)>, exceptions: &[Exception]) -> Vec<String> {
    let mut used = BTreeSet::new();
    let mut left = Vec::new();
    for (place, finding) in findings {
        match exceptions.iter().find(|exception| exception.place == place) {
            Some(exception) => drop(used.insert(exception.place)),
            None => left.push(finding),
        }
    }
    for exception in exceptions.iter().filter(|exception| !used.contains(exception.place)) {
        left.push(format!(
            "{}: the exception ({}) is not needed any more",
            exception.place, exception.reason
        ));
    }
    left
}
