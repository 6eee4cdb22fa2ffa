//! The report of a sweep for people; `results` is the form for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::lead_times::Elections;
use super::results::{BoundResult, FailureResult, REQUIRED, Results};
use crate::exit::Exit;
use crate::report::guard;

/// Failures that are told in full; the others are named.
const TOLD_MAX: usize = 10;

/// The whole report, and the exit code. A fault, state or fate that never occurred in so many seeds that it must have is
/// a failure; with `require_all` in however few.
#[must_use]
pub fn report(results: &Results, require_all: bool) -> (String, Exit) {
    let mut text = String::new();
    let mut exit = Exit::Pass;
    let failures = results.seeds.iter().filter_map(|result| Some((result, result.failure.as_ref()?)));
    for (number, (result, failure)) in failures.enumerate() {
        exit = exit.max(exit_of(failure));
        if number < TOLD_MAX {
            failed(&mut text, results, result.seed, result.members, failure);
        } else {
            let why = failure.why.lines().next().unwrap_or_default();
            let _ = writeln!(text, "seed {}: {why}", result.seed);
        }
    }
    table(&mut text, results);
    summary(&mut text, results);
    if results.not_run > 0 {
        let all = results.seeds.len() as u64 + results.not_run;
        let _ = writeln!(text, "interrupted: {} of {all} seeds were not run", results.not_run);
    }
    let missing = results.missing();
    if !missing.is_empty() {
        let _ = writeln!(text, "never occurred: {}", missing.join(", "));
    }
    let overdue = results.overdue();
    if !overdue.is_empty() {
        let seeds = results.seeds.len();
        let _ = writeln!(
            text,
            "the sweep fails: in {seeds} seeds there must have been: {}; it is not drawn any more, or its count is lost",
            overdue.join(", ")
        );
    }
    // The seeds that are missing might have held what is required of however few.
    if !overdue.is_empty() || (require_all && results.not_run == 0 && !missing.is_empty()) {
        exit = exit.max(Exit::Unmet);
    }
    (text, exit)
}

fn exit_of(failure: &FailureResult) -> Exit {
    let all = [Exit::Usage, Exit::Unmet, Exit::Violated];
    all.into_iter().find(|exit| exit.word() == failure.outcome).unwrap_or(Exit::Bug)
}

fn failed(text: &mut String, results: &Results, seed: u64, members: usize, failure: &FailureResult) {
    if exit_of(failure) == Exit::Bug {
        let _ = writeln!(text, "seed {seed}: {}", guard::report(&failure.why, &again(seed, results)));
        return;
    }
    let _ = writeln!(text, "seed {seed}: ring of {members}: {}", failure.why);
    if !failure.last.is_empty() {
        let _ = writeln!(text, "  it ended so:\n    {}", failure.last.join("\n    "));
    }
    let _ = writeln!(text, "  again: {}", again(seed, results));
}

fn again(seed: u64, results: &Results) -> String {
    let mut command = format!("annulus-sim sweep --seeds {seed} --trace seed-{seed}.jsonl");
    if !results.without.is_empty() {
        let names: Vec<String> = results.without.iter().map(|c| format!("{c:?}").to_lowercase()).collect();
        let _ = write!(command, " --without {}", names.join(","));
    }
    command
}

/// The occurrences, in two columns.
fn table(text: &mut String, results: &Results) {
    let known = |name: &str| REQUIRED.contains(&name);
    let others = results.occurred.keys().map(String::as_str).filter(|name| !known(name));
    let rows: Vec<String> = REQUIRED
        .iter()
        .copied()
        .chain(others)
        .map(|name| {
            let o = results.occurred.get(name).copied().unwrap_or_default();
            format!("{name:<28} {:>10} {:>7}", o.times, o.seeds)
        })
        .collect();
    let head = format!("{:<28} {:>10} {:>7}", "what occurred", "times", "seeds");
    let _ = writeln!(text, "{head}   {head}");
    let half = rows.len().div_ceil(2);
    for (number, left) in rows.iter().take(half).enumerate() {
        let right = rows.get(half + number).map_or("", String::as_str);
        let _ = writeln!(text, "{}", format!("{left}   {right}").trim_end());
    }
}

fn summary(text: &mut String, results: &Results) {
    let seconds = |ms: u64| format!("{}.{:01} s", ms / 1000, ms % 1000 / 100);
    let mut times: Vec<(u64, u64)> =
        results.seeds.iter().filter_map(|result| Some((result.after_ms?, result.seed))).collect();
    times.sort_unstable();
    let _ = writeln!(text, "{} of {} seeds passed", times.len(), results.seeds.len());
    if let (Some(median), Some(worst)) = (times.get(times.len() / 2), times.last()) {
        let (median, worst, seed) = (seconds(median.0), seconds(worst.0), worst.1);
        let _ = writeln!(text, "one view after the last fault: median {median}, worst {worst} (seed {seed})");
        let bounds = results.seeds.iter().map(|result| result.bound_ms).filter(|ms| *ms > 0);
        let (low, high) = (bounds.clone().min().unwrap_or(0), bounds.max().unwrap_or(0));
        let _ = writeln!(text, "allowed by the timings: {} to {}", seconds(low), seconds(high));
    }
    bounds(text, results);
    elections(text, results);
    let _ = writeln!(text, "trace hash of all: {:016x}", results.hash());
}

/// What took how long of its bound: the worst, and what came nearest to its bound, which differs from seed to seed.
fn bounds(text: &mut String, results: &Results) {
    let mut all: BTreeMap<&str, Vec<(&BoundResult, u64)>> = BTreeMap::new();
    for result in &results.seeds {
        for bound in &result.bounds {
            all.entry(&bound.what).or_default().push((bound, result.seed));
        }
    }
    for (what, found) in all {
        let share = |bound: &BoundResult| (bound.took_ms * 100).checked_div(bound.bound_ms).unwrap_or(0);
        let worst = found.iter().max_by_key(|(bound, _)| bound.took_ms);
        let nearest = found.iter().max_by_key(|(bound, _)| share(bound));
        if let (Some((worst, seed)), Some((nearest, near))) = (worst, nearest) {
            let _ = writeln!(
                text,
                "{what}: in {} seeds, worst {} ms of {} ms (seed {seed}); nearest to its bound {} ms of {} ms (seed {near})",
                found.len(),
                worst.took_ms,
                worst.bound_ms,
                nearest.took_ms,
                nearest.bound_ms
            );
        }
    }
}

/// The election figures of a sweep: how often leaders changed and how long groups had none, and the same by Habitat's
/// published rules.
fn elections(text: &mut String, results: &Results) {
    let ours: Vec<&Elections> = results.seeds.iter().map(|result| &result.elections).collect();
    let virtual_ms: u64 = ours.iter().map(|e| e.virtual_ms).sum();
    if virtual_ms == 0 {
        return;
    }
    let won = results.occurred.get("event leader_elected").map_or(0, |occurred| occurred.times);
    let tenths = virtual_ms / 360_000;
    let _ = writeln!(text, "elections: {}.{} virtual hours, {won} won", tenths / 10, tenths % 10);
    leaders(text, "Annulus", &ours);
    leaders(text, "by Habitat's rules", &results.seeds.iter().map(|r| &r.habitat).collect::<Vec<_>>());
}

fn leaders(text: &mut String, who: &str, all: &[&Elections]) {
    let changes: u64 = all.iter().map(|e| e.changes).sum();
    let two_ms: u64 = all.iter().map(|e| e.two_leaders_ms).sum();
    let mut gaps: Vec<u64> = all.iter().flat_map(|e| e.leaderless_ms.iter().copied()).collect();
    gaps.sort_unstable();
    let quantile =
        |percent: usize| gaps.get(gaps.len().saturating_sub(1) * percent / 100).copied().unwrap_or(0);
    let _ = writeln!(
        text,
        "  {who:<19} {changes} leader changes; without a leader between two: median {} ms, 99 % {} ms; with two \
         acting leaders: {two_ms} ms",
        quantile(50),
        quantile(99)
    );
}
