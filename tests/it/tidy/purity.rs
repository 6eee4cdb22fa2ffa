//! Time, chance and order come from outside, or from one named place.

use annulus_tests::repository;
use annulus_tests::source::{Source, sources};

use super::{Exception, except, report};

/// Files of the simulator that are not part of a run.
const OUTSIDE_A_RUN: &[Exception] = &[
    Exception { place: "runtime-sim/src/bench/cpu.rs", reason: "measures the simulator itself" },
    Exception {
        place: "runtime-sim/src/cli/check.rs",
        reason: "runs scenarios side by side, each in one thread",
    },
    Exception {
        place: "runtime-sim/src/sweep/mod.rs",
        reason: "runs seeds side by side, each in one thread",
    },
];

fn found(source: &Source, word: &str) -> Vec<(String, String)> {
    let lines = source.lines_with(word);
    lines.iter().map(|line| (source.path.clone(), format!("{}:{line}: {word}", source.path))).collect()
}

#[test]
fn the_core_has_no_operating_system_and_no_hidden_order() {
    let mut findings = Vec::new();
    for source in sources(&repository(), "core/src") {
        for word in ["std", "HashMap", "HashSet", "extern \"C\"", "unsafe"] {
            findings.extend(found(&source, word));
        }
    }
    let findings: Vec<String> = findings.into_iter().map(|(_, finding)| finding).collect();
    report("the core takes time, chance and bytes as arguments, and its maps have an order", &findings);
}

#[test]
fn a_simulated_run_has_no_clock_no_threads_and_no_hidden_order() {
    let mut findings = Vec::new();
    for source in sources(&repository(), "runtime-sim/src") {
        if source.path.starts_with("runtime-sim/src/bed/") {
            continue;
        }
        for word in ["HashMap", "HashSet", "SystemTime", "thread", "getrandom", "tokio"] {
            findings.extend(found(&source, word));
        }
        for (name, line) in source.names_below("std::time") {
            if name != "Duration" {
                findings.push((source.path.clone(), format!("{}:{line}: std::time::{name}", source.path)));
            }
        }
    }
    let findings = except(findings, OUTSIDE_A_RUN);
    report("two runs of one seed must be the same on every machine; ask the world instead", &findings);
}

#[test]
fn the_daemon_asks_the_operating_system_for_time_and_chance_in_one_place_each() {
    let mut findings = Vec::new();
    for source in sources(&repository(), "runtime-real/src") {
        let place = source.path.trim_start_matches("runtime-real/src/");
        if place != "host/clock.rs" {
            for word in ["Instant::now", "SystemTime", "Timestamp::now", "Zoned::now", "clock_gettime"] {
                findings.extend(found(&source, word));
            }
        }
        if place != "host/entropy.rs" {
            for word in ["getrandom", "OsRng", "thread_rng", "randombytes", "RandomState"] {
                findings.extend(found(&source, word));
            }
        }
    }
    let findings = except(findings, &[]);
    report("time comes from host/clock.rs, chance from host/entropy.rs", &findings);
}
