//! `annulus-sim sweep`: rings and faults drawn from seeds; afterwards all must share one view.
//!
//! Each seed is one run in a world of its own. Runs go to threads; nothing inside a run does.

mod draw;
mod ring;
mod run;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Parser;
use thiserror::Error;

pub use draw::{Class, plan};
use run::{Failure, Outcome};

use crate::cli::guard;
use crate::exit::Exit;
use crate::hash::TraceHash;
use crate::record::Recording;
use crate::scenario::Plan;
use crate::shrink;

/// Options of `annulus-sim sweep`.
#[derive(Clone, Debug, Parser)]
pub struct Args {
    /// Which seeds: A..B without B, or a single one
    #[arg(long, value_name = "A..B", default_value = "0..100", value_parser = seeds)]
    pub seeds: Range<u64>,
    /// Runs at one time [default: one per processor]
    #[arg(long, value_name = "J", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
    /// Classes of fault to leave out; the others stay as they are
    #[arg(long, value_name = "CLASS", value_delimiter = ',', value_enum)]
    pub without: Vec<Class>,
    /// Write what happened as lines of JSON; for a single seed
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Do not reduce the first seed that fails to a small scenario
    #[arg(long)]
    pub no_shrink: bool,
    /// Runs that the reduction may take
    #[arg(long, value_name = "N", default_value_t = crate::shrink::RUNS)]
    pub shrink_runs: u32,
    /// Plant a defect in every member: what the checkers do not find then, they would not find at all
    #[cfg(feature = "planted-bugs")]
    #[arg(long, value_name = "BUG", value_parser = crate::cli::bug)]
    pub bug: Option<annulus_core::Bug>,
}

impl Args {
    /// What a seed means to this sweep.
    fn plan(&self, seed: u64) -> Plan {
        #[allow(unused_mut, reason = "the feature decides")]
        let mut plan = plan(seed, &self.without);
        #[cfg(feature = "planted-bugs")]
        {
            plan.planted = self.bug.map(annulus_core::Planted::only).unwrap_or_default();
        }
        plan
    }
}

/// Why a sweep could not be made.
#[derive(Debug, Error)]
pub enum SweepError {
    /// A trace of many seeds.
    #[error("--trace takes a single seed, such as --seeds 7; {0} were given")]
    TraceOfMany(u64),
    /// The trace file.
    #[error("the trace cannot be written to {path}: {error}")]
    Trace {
        /// Where.
        path: PathBuf,
        /// Why not.
        error: std::io::Error,
    },
}

/// What a sweep found.
#[derive(Debug)]
pub struct Report {
    /// For people.
    pub text: String,
    /// The worst that happened.
    pub exit: Exit,
}

/// Runs `annulus-sim sweep`.
///
/// # Errors
/// The trace cannot be written as asked; seeds that fail are part of the report.
pub fn run(args: &Args) -> Result<Report, SweepError> {
    let count = args.seeds.end.saturating_sub(args.seeds.start);
    let outcomes = match &args.trace {
        Some(_) if count != 1 => return Err(SweepError::TraceOfMany(count)),
        Some(path) => vec![traced(args, path)?],
        None => all(args),
    };
    let mut report = report(args, &outcomes);
    let failed = |(_, outcome): &&Result1| !matches!(outcome, Ok(Outcome { result: Ok(_), .. }));
    if let Some((seed, _)) = outcomes.iter().find(failed).filter(|_| !args.no_shrink) {
        reduced(&mut report.text, args, *seed);
    }
    Ok(report)
}

/// Reduces a seed that failed and saves what is left of it.
fn reduced(text: &mut String, args: &Args, seed: u64) {
    let plan = args.plan(seed);
    let Some(shrunk) = shrink::shrink(&plan, args.shrink_runs) else { return };
    let out = PathBuf::from(format!("seed-{seed}.min.toml"));
    let told = match crate::cli::shrink::save(&plan, &shrunk, &out) {
        Ok(told) => told,
        Err(error) => format!("{}: cannot be written: {error}", out.display()),
    };
    let _ = writeln!(text, "\nseed {seed} was {told}");
}

/// One seed's outcome, or the words of the assertion that failed.
type Result1 = (u64, Result<Outcome, String>);

fn one(seed: u64, args: &Args) -> Result1 {
    (seed, guard::catching(|| run::run(&args.plan(seed), Recording::Events, &mut |_, _| {})))
}

fn traced(args: &Args, path: &PathBuf) -> Result<Result1, SweepError> {
    let failed = |error| SweepError::Trace { path: path.clone(), error };
    let mut file = BufWriter::new(File::create(path).map_err(failed)?);
    let mut written = Ok(());
    let seed = args.seeds.start;
    let outcome = guard::catching(|| {
        run::run(&args.plan(seed), Recording::Packets, &mut |world, record| {
            if written.is_ok() {
                written = crate::trace::write_jsonl(&mut file, world, std::slice::from_ref(record));
            }
        })
    });
    written.and_then(|()| file.flush()).map_err(failed)?;
    Ok((seed, outcome))
}

fn all(args: &Args) -> Vec<Result1> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = args.jobs.map_or(cores, usize::from);
    let next = AtomicU64::new(args.seeds.start);
    let outcomes = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= args.seeds.end {
                        break;
                    }
                    let outcome = one(seed, args);
                    outcomes.lock().expect("no thread panics while it holds the list").push(outcome);
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().expect("no thread panics while it holds the list");
    outcomes.sort_by_key(|(seed, _)| *seed);
    outcomes
}

fn report(args: &Args, outcomes: &[Result1]) -> Report {
    let mut report = Report { text: String::new(), exit: Exit::Pass };
    let mut tally: BTreeMap<&str, u64> = BTreeMap::new();
    let mut times: Vec<Time> = Vec::new();
    let mut hash = TraceHash::new();
    for (seed, outcome) in outcomes {
        match outcome {
            Err(panic) => {
                report.exit = report.exit.max(Exit::Bug);
                let told = guard::report(panic, &again(*seed, args));
                let _ = writeln!(report.text, "seed {seed}: {told}");
            }
            Ok(outcome) => {
                hash.pair(*seed, outcome.hash);
                for (key, count) in &outcome.tally {
                    *tally.entry(key).or_default() += count;
                }
                match &outcome.result {
                    Ok(after) => times.push((after.as_millis(), outcome.bound.as_millis(), *seed)),
                    Err(failure) => {
                        report.exit = report.exit.max(failure.exit);
                        failed(&mut report.text, args, *seed, outcome.members, failure);
                    }
                }
            }
        }
    }
    summary(&mut report.text, outcomes.len(), times);
    let occurred: Vec<String> = tally.iter().map(|(key, count)| format!("{key} {count}")).collect();
    let _ = writeln!(report.text, "occurred: {}", occurred.join(", "));
    let _ = writeln!(report.text, "trace hash of all: {:016x}", hash.value());
    report
}

fn failed(text: &mut String, args: &Args, seed: u64, members: usize, failure: &Failure) {
    let lines = failure.last.join("\n    ");
    let _ = writeln!(text, "seed {seed}: ring of {members}: {}", failure.why);
    let _ = writeln!(text, "  it ended so:\n    {lines}");
    let _ = writeln!(text, "  again: {}", again(seed, args));
}

/// How long a seed took to share one view, how long it was allowed to, both in milliseconds, and the seed.
type Time = (u128, u128, u64);

fn summary(text: &mut String, runs: usize, mut times: Vec<Time>) {
    let seconds = |ms: u128| format!("{}.{:01} s", ms / 1000, ms % 1000 / 100);
    let bounds = times.iter().map(|t| t.1);
    let (low, high) = (bounds.clone().min().unwrap_or(0), bounds.max().unwrap_or(0));
    times.sort_unstable();
    let _ = writeln!(text, "{} of {runs} seeds passed", times.len());
    if let (Some(median), Some(worst)) = (times.get(times.len() / 2), times.last()) {
        let (median, worst, seed) = (seconds(median.0), seconds(worst.0), worst.2);
        let _ = writeln!(text, "one view after the last fault: median {median}, worst {worst} (seed {seed})");
        let _ = writeln!(text, "allowed by the timings: {} to {}", seconds(low), seconds(high));
    }
}

fn again(seed: u64, args: &Args) -> String {
    let mut command = format!("annulus-sim sweep --seeds {seed} --trace seed-{seed}.jsonl");
    if !args.without.is_empty() {
        let names: Vec<String> = args.without.iter().map(|c| format!("{c:?}").to_lowercase()).collect();
        let _ = write!(command, " --without {}", names.join(","));
    }
    command
}

/// `A..B`, or `A` alone.
fn seeds(text: &str) -> Result<Range<u64>, String> {
    let number = |s: &str| s.parse::<u64>().map_err(|_| format!("{s:?} is not a number; write 0..1000 or 7"));
    match text.split_once("..") {
        None => {
            let seed = number(text)?;
            Ok(seed..seed.checked_add(1).ok_or("that seed is the last number there is; use a smaller one")?)
        }
        Some((from, to)) => {
            let range = number(from)?..number(to)?;
            if range.is_empty() {
                Err(format!("{text} holds no seed: write the smaller number first"))
            } else {
                Ok(range)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_a_range_or_one() {
        assert_eq!(seeds("3..9"), Ok(3..9));
        assert_eq!(seeds("7"), Ok(7..8));
        for bad in ["", "9..3", "3..3", "a..b", "-1", "18446744073709551615"] {
            assert!(seeds(bad).is_err(), "{bad}");
        }
    }
}
