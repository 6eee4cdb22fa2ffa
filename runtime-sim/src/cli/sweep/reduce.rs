//! What is left of failed seeds: each as a scenario file, the first ones reduced to what still fails.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::pool::{self, News};
use super::super::shrink::save;
use super::{Args, SweepError};
use crate::bed::interrupt;
use crate::scenario;
use crate::shrink;
use crate::sweep::{Class, Results, plan};

/// Failed seeds that are reduced; mostly several fail for one reason.
const REDUCED_MAX: usize = 3;

/// Writes the scenarios of failed seeds; returns what is to be told of them.
pub(super) fn failures(args: &Args, results: &Results) -> Result<String, SweepError> {
    let failed: Vec<u64> =
        results.seeds.iter().filter(|result| result.failure.is_some()).map(|result| result.seed).collect();
    let mut text = String::new();
    for seed in &failed {
        let path = file(&args.failures, *seed, "toml");
        fs::create_dir_all(&args.failures)
            .and_then(|()| fs::write(&path, scenario::to_toml(&plan(*seed, &args.without))))
            .map_err(|error| SweepError::File { path: path.clone(), verb: "written", error })?;
        text.push_str(&format!("to repeat: annulus-sim run {}\n", path.display()));
    }
    if args.reduce > 0 && !interrupt::noticed() {
        for told in reduced(args, failed.into_iter().take(REDUCED_MAX).collect()) {
            text.push_str(&format!("\n{told}\n"));
        }
    }
    Ok(text)
}

fn file(folder: &Path, seed: u64, extension: &str) -> PathBuf {
    folder.join(format!("seed-{seed}.{extension}"))
}

/// Reduces these seeds, side by side; returns a text for each that was reduced, in their order.
fn reduced(args: &Args, seeds: Vec<u64>) -> Vec<String> {
    let mut told: Vec<Option<String>> = seeds.iter().map(|_| None).collect();
    let (jobs, count) = (args.jobs.map_or_else(pool::processors, usize::from), seeds.len());
    let (without, failures) = (args.without.clone(), args.failures.clone());
    let longest = Duration::from_secs(args.reduce);
    let work = move |number: usize| one(seeds[number], &without, &failures, longest);
    pool::spread(count, jobs, work, |news| {
        if let News::Ended(number, text) = news {
            told[number] = text;
        }
        if interrupt::noticed() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    told.into_iter().flatten().collect()
}

/// A run that is under way is not broken off, so that it may take somewhat longer.
fn one(seed: u64, without: &[Class], failures: &Path, longest: Duration) -> Option<String> {
    let (plan, began) = (plan(seed, without), pool::now());
    let goes_on = || pool::now().saturating_duration_since(began) < longest && !interrupt::noticed();
    let shrunk = shrink::shrink_while(&plan, shrink::RUNS, &goes_on)?;
    let out = file(failures, seed, "min.toml");
    Some(match save(&plan, &shrunk, &out) {
        Ok(told) => format!("seed {seed}: {told}"),
        Err(error) => format!("seed {seed} is reduced, but {} cannot be written: {error}", out.display()),
    })
}
