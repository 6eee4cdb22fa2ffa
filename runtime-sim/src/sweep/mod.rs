//! `annulus-sim sweep`: rings and faults drawn from seeds; afterwards all must share one view.
//!
//! Each seed is one run in a world of its own. Runs go to threads; nothing inside a run does.

mod draw;
mod results;
mod run;

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
pub use results::{Passed, Results, ResultsError, SeedResult};
use run::{Failure, Outcome};

use crate::cli::guard;
use crate::exit::Exit;
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
    /// Run every n-th seed only, beginning with the k-th: one part of a sweep that n machines share
    #[arg(long, value_name = "K/N", value_parser = shard)]
    pub shard: Option<(u64, u64)>,
    /// Write what was found to this file, for `annulus-sim merge`
    #[arg(long, value_name = "FILE.json")]
    pub out: Option<PathBuf>,
    /// Fail when a kind of fault or a state of members never occurred
    #[arg(long)]
    pub require_all: bool,
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
    /// The result file.
    #[error(transparent)]
    Results(#[from] ResultsError),
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
    let results = results(args, &outcomes);
    if let Some(path) = &args.out {
        results.save(path)?;
    }
    let mut report = report(args, &outcomes, &results);
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
                    let offset = seed - args.seeds.start;
                    if args.shard.is_some_and(|(k, n)| offset % n != k - 1) {
                        continue;
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

fn results(args: &Args, outcomes: &[Result1]) -> Results {
    let mut results = Results { without: names(&args.without), ..Results::default() };
    for (seed, outcome) in outcomes {
        let result = match outcome {
            Err(panic) => {
                SeedResult { hash: 0, passed: None, failure: panic.clone(), exit: Exit::Bug.code() }
            }
            Ok(outcome) => {
                for (key, count) in &outcome.tally {
                    *results.tally.entry(key.clone()).or_default() += count;
                }
                let ms = |n: u128| u64::try_from(n).unwrap_or(u64::MAX);
                let (passed, failure, exit) = match &outcome.result {
                    Ok(after) => {
                        let (after_ms, bound_ms) = (ms(after.as_millis()), ms(outcome.bound.as_millis()));
                        (Some(Passed { after_ms, bound_ms }), String::new(), Exit::Pass)
                    }
                    Err(failure) => (None, failure.why.to_string(), failure.exit),
                };
                SeedResult { hash: outcome.hash, passed, failure, exit: exit.code() }
            }
        };
        results.seeds.insert(*seed, result);
    }
    results
}

/// The exit that stands for what a sweep found.
pub(crate) fn verdict(results: &Results, require_all: bool) -> Exit {
    let missing = results.missing();
    if results.exit_code() == 0 && require_all && !missing.is_empty() {
        eprintln!("annulus-sim: never occurred: {}; run more seeds", missing.join(", "));
        return Exit::Unmet;
    }
    Exit::of_code(results.exit_code())
}

fn report(args: &Args, outcomes: &[Result1], results: &Results) -> Report {
    let mut report = Report { text: String::new(), exit: verdict(results, args.require_all) };
    for (seed, outcome) in outcomes {
        match outcome {
            Err(panic) => {
                let told = guard::report(panic, &again(*seed, args));
                let _ = writeln!(report.text, "seed {seed}: {told}");
            }
            Ok(outcome) => {
                if let Err(failure) = &outcome.result {
                    failed(&mut report.text, args, *seed, outcome.members, failure);
                }
            }
        }
    }
    report.text.push_str(&results.summary());
    report
}

fn failed(text: &mut String, args: &Args, seed: u64, members: usize, failure: &Failure) {
    let lines = failure.last.join("\n    ");
    let _ = writeln!(text, "seed {seed}: ring of {members}: {}", failure.why);
    let _ = writeln!(text, "  it ended so:\n    {lines}");
    let _ = writeln!(text, "  again: {}", again(seed, args));
}

fn again(seed: u64, args: &Args) -> String {
    let mut command = format!("annulus-sim sweep --seeds {seed} --trace seed-{seed}.jsonl");
    if !args.without.is_empty() {
        let _ = write!(command, " --without {}", names(&args.without).join(","));
    }
    command
}

fn names(classes: &[Class]) -> Vec<String> {
    classes.iter().map(|class| format!("{class:?}").to_lowercase()).collect()
}

/// `k/n`.
fn shard(text: &str) -> Result<(u64, u64), String> {
    let wrong = || format!("{text:?} is no shard; write 1/4 to 4/4 for four of them");
    let (k, n) = text.split_once('/').ok_or_else(wrong)?;
    let (k, n) = (k.parse().map_err(|_| wrong())?, n.parse().map_err(|_| wrong())?);
    if (1..=n).contains(&k) { Ok((k, n)) } else { Err(wrong()) }
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
    fn a_shard_is_one_of_n() {
        assert_eq!(shard("2/4"), Ok((2, 4)));
        for bad in ["", "0/4", "5/4", "1", "a/b", "1/0"] {
            assert!(shard(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn seeds_are_a_range_or_one() {
        assert_eq!(seeds("3..9"), Ok(3..9));
        assert_eq!(seeds("7"), Ok(7..8));
        for bad in ["", "9..3", "3..3", "a..b", "-1", "18446744073709551615"] {
            assert!(seeds(bad).is_err(), "{bad}");
        }
    }
}
