//! What a sweep found, as a file: so that the shards of one sweep, run on many machines, add up to the whole.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::hash::TraceHash;

/// A result file that cannot be used.
#[derive(Debug, Error)]
pub enum ResultsError {
    /// It cannot be read.
    #[error("{path} cannot be read: {error}; name files that `annulus-sim sweep --out FILE` wrote")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It cannot be written.
    #[error("{path} cannot be written: {error}")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It holds something else.
    #[error("{path} is no result of a sweep: {error}")]
    Format {
        /// Which.
        path: PathBuf,
        /// Why.
        error: serde_json::Error,
    },
    /// Two shards ran the same seed.
    #[error("{path} holds seed {seed}, which another of the files holds too: merge the shards of one sweep")]
    Twice {
        /// Which.
        path: PathBuf,
        /// The seed.
        seed: u64,
    },
    /// Two shards left out different classes of fault.
    #[error("{path} was made with other options than the first file: merge the shards of one sweep")]
    Other {
        /// Which.
        path: PathBuf,
    },
}

/// What became of one seed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedResult {
    /// The hash of everything that happened; 0 when the run broke off.
    pub hash: u64,
    /// How long after the last fault all shared one view, and how long that may take; none when it failed.
    pub passed: Option<Passed>,
    /// What did not hold; empty when it passed.
    pub failure: String,
    /// The exit code that stands for it.
    pub exit: u8,
}

/// Times of a seed that passed, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passed {
    /// From the last fault to one view.
    pub after_ms: u64,
    /// How long that may take by the timings.
    pub bound_ms: u64,
}

/// What a sweep, or a part of one, found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Results {
    /// Classes of fault that were left out.
    pub without: Vec<String>,
    /// Every seed that was run.
    pub seeds: BTreeMap<u64, SeedResult>,
    /// How often what occurred.
    pub tally: BTreeMap<String, u64>,
}

impl Results {
    /// Adds another part of the same sweep.
    fn add(&mut self, path: &Path, other: Self) -> Result<(), ResultsError> {
        if self.without != other.without {
            return Err(ResultsError::Other { path: path.to_owned() });
        }
        for (seed, result) in other.seeds {
            if self.seeds.insert(seed, result).is_some() {
                return Err(ResultsError::Twice { path: path.to_owned(), seed });
            }
        }
        for (key, count) in other.tally {
            *self.tally.entry(key).or_default() += count;
        }
        Ok(())
    }

    /// Reads the files of all shards and adds them up.
    ///
    /// # Errors
    /// A file that cannot be read, is something else, or belongs to another sweep.
    pub fn merge(paths: &[PathBuf]) -> Result<Self, ResultsError> {
        let mut all: Option<Self> = None;
        for path in paths {
            let text =
                fs::read_to_string(path).map_err(|error| ResultsError::Read { path: path.clone(), error })?;
            let part: Self = serde_json::from_str(&text)
                .map_err(|error| ResultsError::Format { path: path.clone(), error })?;
            match &mut all {
                None => all = Some(part),
                Some(all) => all.add(path, part)?,
            }
        }
        Ok(all.unwrap_or_default())
    }

    /// Writes the file that [`Self::merge`] reads.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), ResultsError> {
        let text = serde_json::to_string(self).expect("numbers and texts are JSON");
        fs::write(path, text).map_err(|error| ResultsError::Write { path: path.to_owned(), error })
    }

    /// The worst exit code of all seeds.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        self.seeds.values().map(|result| result.exit).max().unwrap_or(0)
    }

    /// What a sweep of so many faults should have seen and did not.
    #[must_use]
    pub fn missing(&self) -> Vec<&str> {
        let never = |key: &&&str| self.tally.get(**key).copied().unwrap_or(0) == 0;
        REQUIRED.iter().filter(never).copied().collect()
    }

    /// For people.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut text = String::new();
        let mut hash = TraceHash::new();
        for (seed, result) in &self.seeds {
            hash.pair(*seed, result.hash);
            if result.passed.is_none() {
                let _ = writeln!(text, "seed {seed}: {}", result.failure);
            }
        }
        self.tell_times(&mut text);
        let occurred: Vec<String> = self.tally.iter().map(|(key, count)| format!("{key} {count}")).collect();
        let _ = writeln!(text, "occurred: {}", occurred.join(", "));
        let _ = writeln!(text, "trace hash of all: {:016x}", hash.value());
        text
    }

    fn tell_times(&self, text: &mut String) {
        let seconds = |ms: u64| format!("{}.{:01} s", ms / 1000, ms % 1000 / 100);
        let mut times: Vec<(Passed, u64)> =
            self.seeds.iter().filter_map(|(seed, result)| Some((result.passed?, *seed))).collect();
        times.sort_unstable();
        let _ = writeln!(text, "{} of {} seeds passed", times.len(), self.seeds.len());
        if let (Some((median, _)), Some((worst, seed))) = (times.get(times.len() / 2), times.last()) {
            let (median, worst) = (seconds(median.after_ms), seconds(worst.after_ms));
            let _ =
                writeln!(text, "one view after the last fault: median {median}, worst {worst} (seed {seed})");
            let bounds = || times.iter().map(|(passed, _)| passed.bound_ms);
            let (low, high) = (bounds().min().unwrap_or(0), bounds().max().unwrap_or(0));
            let _ = writeln!(text, "allowed by the timings: {} to {}", seconds(low), seconds(high));
        }
    }
}

/// What must have occurred in a sweep of some length: every kind of fault and every state of a member.
const REQUIRED: [&str; 20] = [
    "crash",
    "kill",
    "leave",
    "pause",
    "cut",
    "cut one way",
    "link changed",
    "restart",
    "restart with an empty disk",
    "restart with an old disk",
    "service crash",
    "packet loss",
    "packet cut",
    "packet duplicated",
    "packet refused",
    "event stalled",
    "member alive",
    "member suspect",
    "member confirmed",
    "member departed",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn part(seeds: std::ops::Range<u64>) -> Results {
        let passed = |seed| Passed { after_ms: seed * 10, bound_ms: 60_000 };
        let result =
            |seed| SeedResult { hash: seed, passed: Some(passed(seed)), failure: String::new(), exit: 0 };
        Results {
            without: Vec::new(),
            tally: BTreeMap::from([("crash".to_owned(), seeds.end - seeds.start)]),
            seeds: seeds.map(|seed| (seed, result(seed))).collect(),
        }
    }

    #[test]
    fn shards_add_up_to_the_whole() {
        let dir = tempfile::tempdir().expect("a directory");
        let paths: Vec<PathBuf> = (0..3).map(|n| dir.path().join(format!("{n}.json"))).collect();
        for (n, path) in paths.iter().enumerate() {
            let n = n as u64;
            part(n * 10..n * 10 + 10).save(path).expect("written");
        }
        let merged = Results::merge(&paths).expect("merged");
        assert_eq!(merged, part(0..30));
        assert_eq!(merged.summary(), part(0..30).summary());
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let (one, other, text) = (dir.path().join("1"), dir.path().join("2"), dir.path().join("3"));
        part(0..3).save(&one).expect("written");
        Results { without: vec!["pause".into()], ..part(3..4) }.save(&other).expect("written");
        fs::write(&text, "hello").expect("written");
        let merge =
            |paths: &[&PathBuf]| Results::merge(&paths.iter().map(|p| (*p).clone()).collect::<Vec<_>>());
        assert!(matches!(merge(&[&one, &one]), Err(ResultsError::Twice { seed: 0, .. })));
        assert!(matches!(merge(&[&one, &other]), Err(ResultsError::Other { .. })));
        assert!(matches!(merge(&[&text]), Err(ResultsError::Format { .. })));
        assert!(matches!(merge(&[&dir.path().join("none")]), Err(ResultsError::Read { .. })));
    }

    #[test]
    fn a_fault_that_never_occurred_is_named() {
        assert!(part(0..3).missing().contains(&"pause"));
        assert!(!part(0..3).missing().contains(&"crash"));
    }
}
