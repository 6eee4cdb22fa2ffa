//! `annulus-sim sweep`: rings and faults drawn from seeds; afterwards all must share one view. `annulus-sim merge`
//! adds up what several sweeps found.
//!
//! Runs go to threads; nothing inside a run does. A range can be split over machines.

mod args;
mod progress;
mod reduce;

use std::fs::File;
use std::io::{BufReader, BufWriter, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use thiserror::Error;

pub(super) use args::{Args, MergeArgs, seeds};
#[cfg(feature = "mutants")]
pub(super) use args::{Shard, shard};

use super::emit;
use super::pool::{self, News};
use crate::bed::interrupt;
use crate::engine::record::Recording;
use crate::exit::Exit;
use crate::report::guard;
use crate::report::trace::write_jsonl;
use crate::sweep::{self, Drawn, Results, report};
use progress::Progress;

pub(super) fn run(args: &Args) -> Exit {
    // Ctrl-C and SIGTERM end a sweep with what it has found so far.
    interrupt::watch();
    tell(perform(args))
}

pub(super) fn merge(args: &MergeArgs) -> Exit {
    tell(add_up(args))
}

fn tell(report: Result<Report, SweepError>) -> Exit {
    match report {
        Ok(report) => {
            emit(report.text.trim_end());
            report.exit
        }
        Err(error) => {
            eprintln!("annulus-sim: {error}");
            Exit::Usage
        }
    }
}

/// Why a sweep could not be made.
#[derive(Debug, Error)]
pub(crate) enum SweepError {
    /// A trace of many seeds.
    #[error("--trace takes a single seed, such as --seeds 7; {0} were given")]
    TraceOfMany(usize),
    /// A file.
    #[error("{path} cannot be {verb}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// Read or written.
        verb: &'static str,
        /// The reason.
        error: std::io::Error,
    },
    /// A file that holds no results.
    #[error("{path} holds no results of a sweep: {error}; name files that `sweep --out` wrote")]
    Form {
        /// The file.
        path: PathBuf,
        /// The mistake in it.
        error: serde_json::Error,
    },
    /// Results that do not belong together.
    #[error("{path} cannot be added: {why}")]
    Merge {
        /// The first that does not fit.
        path: PathBuf,
        /// The reason.
        why: String,
    },
}

/// The result of a sweep.
#[derive(Debug)]
pub(crate) struct Report {
    /// For people.
    pub(crate) text: String,
    /// The worst that happened.
    pub(crate) exit: Exit,
    /// For machines.
    pub(crate) results: Results,
}

/// Performs a sweep.
///
/// # Errors
/// A file cannot be written; seeds that fail are part of the report.
pub(crate) fn perform(args: &Args) -> Result<Report, SweepError> {
    let seeds: Vec<u64> = args
        .seeds
        .clone()
        .filter(|seed| (seed - args.seeds.start) % args.shard.count == args.shard.index)
        .collect();
    let results = match &args.trace {
        Some(_) if seeds.len() != 1 => return Err(SweepError::TraceOfMany(seeds.len())),
        Some(path) => traced(args, seeds[0], path)?,
        None => all(args, seeds),
    };
    if let Some(path) = &args.out {
        write(path, &results)?;
    }
    let mut report = told(results, args.require_all);
    if report.results.not_run > 0 {
        report.exit = report.exit.max(Exit::Interrupted);
    }
    report.text.push_str(&reduce::failures(args, &report.results)?);
    Ok(report)
}

/// Adds up the results of sweeps.
///
/// # Errors
/// A file cannot be read or written, or does not belong to the others.
pub(crate) fn add_up(args: &MergeArgs) -> Result<Report, SweepError> {
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
    let (text, exit) = report(&results, require_all);
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
        sweep::run(&Drawn::of(seed, &args.without), Recording::Packets, &mut |scene, record| {
            if written.is_ok() {
                written = write_jsonl(&mut file, scene, std::slice::from_ref(record));
            }
        })
    });
    written.and_then(|()| file.flush()).map_err(failed)?;
    let mut results = Results { without: args.without.clone(), ..Results::default() };
    results.add(seed, outcome);
    Ok(results)
}

/// Runs the seeds side by side. A signal ends it; seeds under way then count as not run.
fn all(args: &Args, seeds: Vec<u64>) -> Results {
    let jobs = args.jobs.map_or_else(pool::processors, usize::from);
    let mut results =
        Results { without: args.without.clone(), not_run: seeds.len() as u64, ..Results::default() };
    let mut progress = Progress::of(seeds.len(), args.quiet, pool::now());
    let (drawn, without) = (seeds.clone(), args.without.clone());
    let work = move |number: usize| {
        guard::catching(|| sweep::run(&Drawn::of(drawn[number], &without), Recording::Events, &mut |_, _| {}))
    };
    pool::spread(seeds.len(), jobs, work, |news| {
        let now = pool::now();
        match news {
            News::Began(number) => progress.began(seeds[number], now),
            News::Ended(number, outcome) => {
                let failure = match &outcome {
                    Ok(outcome) => outcome.result.as_ref().err().map(|failure| failure.why.clone()),
                    Err(panic) => Some(panic.clone()),
                };
                let took = progress.ended(seeds[number], now, failure.as_deref());
                results.add(seeds[number], outcome);
                results.took(took);
            }
            News::Tick => {}
        }
        progress.show(now);
        if interrupt::noticed() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    progress.finish(pool::now());
    results.sort();
    results
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn shards_add_up_to_the_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let sweep = |shard: &str, out: &str| {
            let out = folder.path().join(out);
            let out = out.to_str().expect("plain text");
            let failures = folder.path().to_str().expect("plain text");
            let options =
                ["sweep", "--seeds", "5..11", "--shard", shard, "--out", out, "--failures", failures];
            perform(&Args::parse_from(options)).expect("a sweep")
        };
        let whole = sweep("0/1", "whole.json");
        let files: Vec<PathBuf> = (0..3)
            .map(|k| {
                sweep(&format!("{k}/3"), &format!("{k}.json"));
                folder.path().join(format!("{k}.json"))
            })
            .collect();
        let merged =
            add_up(&MergeArgs { files: files.clone(), require_all: false, out: None }).expect("they fit");
        let timeless = |results: &Results| {
            let mut results = results.clone();
            results.seeds.iter_mut().for_each(|seed| seed.took_ms = 0);
            results
        };
        assert_eq!(timeless(&merged.results), timeless(&whole.results));
        assert_eq!(merged.results.hash(), whole.results.hash());
        let twice = vec![files[0].clone(), files[0].clone()];
        let error =
            add_up(&MergeArgs { files: twice, require_all: false, out: None }).expect_err("the same seeds");
        assert!(error.to_string().contains("is in two of them"), "{error}");
        let none = add_up(&MergeArgs { files, require_all: true, out: None }).expect("they fit");
        assert!(
            none.exit >= Exit::Unmet && none.text.contains("never occurred: "),
            "six seeds do not hold all"
        );
    }

    #[test]
    fn parts_that_were_interrupted_add_up_too() {
        let folder = tempfile::tempdir().expect("a folder");
        let files: Vec<PathBuf> = (0..2).map(|k| folder.path().join(format!("{k}.json"))).collect();
        for (file, not_run) in files.iter().zip([3, 0]) {
            write(file, &Results { not_run, ..Results::default() }).expect("a writable folder");
        }
        let merged = add_up(&MergeArgs { files, require_all: true, out: None }).expect("they fit");
        assert_eq!((merged.results.not_run, merged.exit), (3, Exit::Pass), "{}", merged.text);
        assert!(merged.text.contains("interrupted: 3 of 3 seeds were not run"), "{}", merged.text);
    }
}
