//! The repository's rules, checked. Each test lists every place that breaks its rule and says what to do.
//!
//! Rules that clippy can check are left to clippy: the length of functions, and calls that sample time or
//! entropy, start threads or depend on a hidden order (`.clippy.toml` of each package). An exception stands beside the
//! code as `#[expect(…, reason = "…")]`.

mod assertions;
mod dependencies;
mod imports;
mod scenarios;
mod shape;
mod writes;

use annulus_tests::repository;
use annulus_tests::source::{Source, sources};

/// The shipped code of all packages.
const PACKAGES: [&str; 5] = ["core", "runtime-real", "runtime-sim", "tests", "tests/fuzz"];

fn all_sources() -> Vec<Source> {
    let top = repository();
    // A package in another one's folder is read with that.
    let folders = PACKAGES.iter().filter(|package| !package.contains('/'));
    folders.flat_map(|package| sources(&top, package)).collect()
}

/// Fails with all findings at once.
fn report(rule: &str, findings: &[String]) {
    assert!(findings.is_empty(), "{rule}\n  {}", findings.join("\n  "));
}
