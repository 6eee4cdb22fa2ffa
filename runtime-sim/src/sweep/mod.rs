//! `annulus-sim sweep`: rings and faults drawn from seeds; afterwards all must share one view.
//!
//! Each seed is one run in a world of its own. Runs go to threads; nothing inside a run does. A range can be
//! split over machines, and what they find can be added up again.

mod draw;
mod election;
mod lead_times;
mod report;
mod results;
mod ring;
mod run;

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::Parser;
use thiserror::Error;

pub use draw::{Class, plan};
pub use lead_times::Elections;
pub use results::{FailureResult, Occurred, REQUIRED, Results, SeedResult};

use crate::cli::guard;
use crate::engine::record::Recording;
use crate::exit::Exit;
use crate::scenario;

/// Options of `annulus-sim sweep`.
#[derive(Clone, Debug, Parser)]
pub struct Args {
    /// Which seeds: A..B without B, or a single one
    #[arg(long, value_name = "A..B", default_value = "0..100", value_parser = seeds)]
    pub seeds: Range<u64>,
    /// Only every n-th of them, from the k-th on: 0/4, 1/4, 2/4 and 3/4 are the whole
    #[arg(long, value_name = "K/N", default_value = "0/1", value_parser = shard)]
    pub shard: Shard,
    /// Runs at one time [default: one per processor]
    #[arg(long, value_name = "J", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
    /// Classes of fault to leave out; the others stay as they are
    #[arg(long, value_name = "CLASS", value_delimiter = ',', value_enum)]
    pub without: Vec<Class>,
    /// Fail when a class of fault, a state or a fate of packets never occurred
    #[arg(long)]
    pub require_all: bool,
    /// Write the results to this file, for `annulus-sim merge`
    #[arg(long, value_name = "FILE.json")]
    pub out: Option<PathBuf>,
    /// Write what failing seeds do as scenario files into this folder
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub failures: PathBuf,
    /// Write what happened as lines of JSON; for a single seed
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
}

/// Options of `annulus-sim merge`.
#[derive(Clone, Debug, Parser)]
pub struct MergeArgs {
    /// What `sweep --out` wrote
    #[arg(required = true, value_name = "FILE.json")]
    pub files: Vec<PathBuf>,
    /// Fail when a class of fault, a state or a fate of packets never occurred
    #[arg(long)]
    pub require_all: bool,
    /// Write the sum to this file
    #[arg(long, value_name = "FILE.json")]
    pub out: Option<PathBuf>,
}

/// One of several machines' share of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which, from zero.
    pub index: u64,
    /// Of how many.
    pub count: u64,
}

/// Why a sweep could not be made.
#[derive(Debug, Error)]
pub enum SweepError {
    /// A trace of many seeds.
    #[error("--trace takes a single seed, such as --seeds 7; {0} were given")]
    TraceOfMany(usize),
    /// A file.
    #[error("{path} cannot be {verb}: {error}")]
    File {
        /// Where.
        path: PathBuf,
        /// Read or written.
        verb: &'static str,
        /// Why not.
        error: std::io::Error,
    },
    /// A file that holds no results.
    #[error("{path} holds no results of a sweep: {error}; name files that `sweep --out` wrote")]
    Form {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        error: serde_json::Error,
    },
    /// Results that do not belong together.
    #[error("{path} cannot be added: {why}")]
    Merge {
        /// The first that does not fit.
        path: PathBuf,
        /// Why not.
        why: String,
    },
}

/// What a sweep found.
#[derive(Debug)]
pub struct Report {
    /// For people.
    pub text: String,
    /// The worst that happened.
    pub exit: Exit,
    /// For machines.
    pub results: Results,
}

/// Runs `annulus-sim sweep`.
///
/// # Errors
/// A file cannot be written; seeds that fail are part of the report.
pub fn run(args: &Args) -> Result<Report, SweepError> {
    let seeds: Vec<u64> = args
        .seeds
        .clone()
        .filter(|seed| (seed - args.seeds.start) % args.shard.count == args.shard.index)
        .collect();
    let results = match &args.trace {
        Some(_) if seeds.len() != 1 => return Err(SweepError::TraceOfMany(seeds.len())),
        Some(path) => traced(args, seeds[0], path)?,
        None => all(args, &seeds),
    };
    if let Some(path) = &args.out {
        write(path, &results)?;
    }
    let mut report = told(results, args.require_all);
    for failed in report.results.seeds.iter().filter(|result| result.failure.is_some()) {
        let path = args.failures.join(format!("seed-{}.toml", failed.seed));
        let text = scenario::to_toml(&plan(failed.seed, &args.without));
        fs::create_dir_all(&args.failures)
            .and_then(|()| fs::write(&path, text))
            .map_err(|error| SweepError::File { path: path.clone(), verb: "written", error })?;
        report.text.push_str(&format!("to repeat: annulus-sim run {}\n", path.display()));
    }
    Ok(report)
}

/// Runs `annulus-sim merge`.
///
/// # Errors
/// A file cannot be read or written, or does not belong to the others.
pub fn merge(args: &MergeArgs) -> Result<Report, SweepError> {
    let mut results = Results::default();
    for path in &args.files {
        let file =
            File::open(path).map_err(|error| SweepError::File { path: path.clone(), verb: "read", error })?;
        let part: Results = serde_json::from_reader(BufReader::new(file))
            .map_err(|error| SweepError::Form { path: path.clone(), error })?;
        results.merge(part).map_err(|why| SweepError::Merge { path: path.clone(), why })?;
    }
    if let Some(path) = &args.out {
        write(path, &results)?;
    }
    Ok(told(results, args.require_all))
}

fn told(results: Results, require_all: bool) -> Report {
    let (text, exit) = report::report(&results, require_all);
    Report { text, exit, results }
}

fn write(path: &Path, results: &Results) -> Result<(), SweepError> {
    let failed = |error| SweepError::File { path: path.to_owned(), verb: "written", error };
    let mut file = BufWriter::new(File::create(path).map_err(failed)?);
    serde_json::to_writer(&mut file, results).map_err(std::io::Error::from).map_err(failed)?;
    file.write_all(b"\n").and_then(|()| file.flush()).map_err(failed)
}

fn traced(args: &Args, seed: u64, path: &Path) -> Result<Results, SweepError> {
    let failed = |error| SweepError::File { path: path.to_owned(), verb: "written", error };
    let mut file = BufWriter::new(File::create(path).map_err(failed)?);
    let mut written = Ok(());
    let outcome = guard::catching(|| {
        run::run(&plan(seed, &args.without), Recording::Packets, &mut |scene, record| {
            if written.is_ok() {
                written = crate::report::trace::write_jsonl(&mut file, scene, std::slice::from_ref(record));
            }
        })
    });
    written.and_then(|()| file.flush()).map_err(failed)?;
    let mut results = Results { without: args.without.clone(), ..Results::default() };
    results.add(seed, outcome);
    Ok(results)
}

#[expect(clippy::disallowed_methods, reason = "several runs side by side, each in one thread")]
fn all(args: &Args, seeds: &[u64]) -> Results {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = args.jobs.map_or(cores, usize::from);
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Results { without: args.without.clone(), ..Results::default() });
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = guard::catching(|| {
                        run::run(&plan(*seed, &args.without), Recording::Events, &mut |_, _| {})
                    });
                    results.lock().expect("no thread panics while it adds").add(*seed, outcome);
                }
            });
        }
    });
    let mut results = results.into_inner().expect("no thread panics while it adds");
    results.sort();
    results
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

/// `K/N`, K from zero.
fn shard(text: &str) -> Result<Shard, String> {
    let wrong = || format!("{text:?} is not a share; write 0/4 for the first of four, 3/4 for the last");
    let (index, count) = text.split_once('/').ok_or_else(wrong)?;
    let shard =
        Shard { index: index.parse().map_err(|_| wrong())?, count: count.parse().map_err(|_| wrong())? };
    if shard.index < shard.count { Ok(shard) } else { Err(wrong()) }
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

    #[test]
    fn a_share_is_one_of_several() {
        assert_eq!(shard("3/4"), Ok(Shard { index: 3, count: 4 }));
        for bad in ["", "4/4", "1", "a/b", "0/0", "-1/2"] {
            assert!(shard(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn shards_add_up_to_the_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let sweep = |shard: &str, out: &str| {
            let out = folder.path().join(out);
            let out = out.to_str().expect("plain text");
            let failures = folder.path().to_str().expect("plain text");
            let options =
                ["sweep", "--seeds", "5..11", "--shard", shard, "--out", out, "--failures", failures];
            run(&Args::parse_from(options)).expect("a sweep")
        };
        let whole = sweep("0/1", "whole.json");
        let files: Vec<PathBuf> = (0..3)
            .map(|k| {
                sweep(&format!("{k}/3"), &format!("{k}.json"));
                folder.path().join(format!("{k}.json"))
            })
            .collect();
        let merged =
            merge(&MergeArgs { files: files.clone(), require_all: false, out: None }).expect("they fit");
        assert_eq!(merged.results, whole.results);
        assert_eq!(merged.results.hash(), whole.results.hash());
        let twice = vec![files[0].clone(), files[0].clone()];
        let error =
            merge(&MergeArgs { files: twice, require_all: false, out: None }).expect_err("the same seeds");
        assert!(error.to_string().contains("is in two of them"), "{error}");
        let none = merge(&MergeArgs { files, require_all: true, out: None }).expect("they fit");
        assert!(
            none.exit >= Exit::Unmet && none.text.contains("never occurred: "),
            "six seeds do not hold all"
        );
    }
}
