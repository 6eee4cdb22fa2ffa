//! Options of `annulus-sim sweep` and `annulus-sim merge`.

use std::ops::Range;
use std::path::PathBuf;

use clap::Parser;

use crate::sweep::Class;

/// Options of `annulus-sim sweep`.
#[derive(Clone, Debug, Parser)]
pub(crate) struct Args {
    /// Which seeds: A..B without B, or a single one
    #[arg(long, value_name = "A..B", default_value = "0..100", value_parser = seeds)]
    pub(crate) seeds: Range<u64>,
    /// Only every n-th of them, from the k-th on: 0/4, 1/4, 2/4 and 3/4 are the whole
    #[arg(long, value_name = "K/N", default_value = "0/1", value_parser = shard)]
    pub(crate) shard: Shard,
    /// Runs at one time [default: one per processor]
    #[arg(long, value_name = "J", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) jobs: Option<u16>,
    /// Classes of fault to leave out; the others stay as they are
    #[arg(long, value_name = "CLASS", value_delimiter = ',', value_enum)]
    pub(crate) without: Vec<Class>,
    /// Fail when a class of fault, a state or a fate of packets never occurred
    #[arg(long)]
    pub(crate) require_all: bool,
    /// Write the results to this file, for `annulus-sim merge`
    #[arg(long, value_name = "FILE.json")]
    pub(crate) out: Option<PathBuf>,
    /// Write what failing seeds do as scenario files into this folder, the first of them reduced too
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) failures: PathBuf,
    /// Reduce each of the first failing seeds for so many seconds at most; 0: none
    #[arg(long, value_name = "S", default_value_t = 60)]
    pub(crate) reduce: u64,
    /// Show no progress on the standard error output
    #[arg(long)]
    pub(crate) quiet: bool,
    /// Write the run as lines of JSON; for a single seed
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
}

/// Options of `annulus-sim merge`.
#[derive(Clone, Debug, Parser)]
pub(crate) struct MergeArgs {
    /// Files that `sweep --out` wrote
    #[arg(required = true, value_name = "FILE.json")]
    pub(crate) files: Vec<PathBuf>,
    /// Fail when a class of fault, a state or a fate of packets never occurred
    #[arg(long)]
    pub(crate) require_all: bool,
    /// Write the sum to this file
    #[arg(long, value_name = "FILE.json")]
    pub(crate) out: Option<PathBuf>,
}

/// One of several machines' share of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    /// Which, from zero.
    pub(crate) index: u64,
    /// Of how many.
    pub(crate) count: u64,
}

/// `A..B`, or `A` alone.
pub(crate) fn seeds(text: &str) -> Result<Range<u64>, String> {
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
pub(crate) fn shard(text: &str) -> Result<Shard, String> {
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
}
