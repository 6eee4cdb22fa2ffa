//! `annulus-sim chaos`: random faults on real daemons, judged by what processes do.

use std::path::PathBuf;
use std::time::Duration;

use super::emit;
use super::on_bed::refused;
use crate::bed::chaos::{Fault, MEMBERS, Options, run, witness};
use crate::bed::{BedError, On};
use crate::exit::Exit;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where: only network namespaces of this machine can be cut and killed without touching anything else; needs root
    #[arg(long, value_enum, default_value_t = On::Netns, value_name = "BED")]
    on: On,
    /// How long faults strike: 90s, 30m, 2h
    #[arg(long = "for", value_name = "TIME", default_value = "2m", value_parser = time)]
    length: Duration,
    /// The same seed gives the same schedule of faults; what follows from it depends on real time
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Supervisors in the ring
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = members)]
    members: usize,
    /// Kinds of faults to leave out; the others stay where they are
    #[arg(long, value_enum, value_delimiter = ',', value_name = "FAULT")]
    without: Vec<Fault>,
    /// Kinds of faults to use; all others are left out
    #[arg(long, value_enum, value_delimiter = ',', value_name = "FAULT", conflicts_with = "without")]
    only: Vec<Fault>,
    /// Measure only how long groups have no leader: each kind of fault six times, or so often, on a quiet ring
    #[arg(long, value_name = "TIMES", num_args = 0..=1, default_missing_value = "6", value_parser = clap::value_parser!(u32).range(1..=100))]
    figures: Option<u32>,
    /// The folder for evidence of broken promises; it may not exist yet [default: a new one for temporary files]
    #[arg(long, value_name = "DIR")]
    evidence: Option<PathBuf>,
    /// Keep evidence also when every promise was kept
    #[arg(long)]
    keep: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// Tell each fault and command as it happens
    #[arg(short, long, conflicts_with = "json")]
    verbose: bool,
}

fn time(text: &str) -> Result<Duration, String> {
    let form = || format!("{text:?} is no time; write it as 90s, 30m or 2h");
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| form())?;
    let factor = match &text[digits.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return Err(form()),
    };
    let seconds = number.checked_mul(factor).filter(|seconds| *seconds <= 30 * 24 * 3_600);
    match seconds {
        None => Err(format!("{text} is more than thirty days")),
        Some(0) => Err("no time is left for faults; write at least 1s".to_owned()),
        Some(seconds) => Ok(Duration::from_secs(seconds)),
    }
}

fn members(text: &str) -> Result<usize, String> {
    let (least, most) = (MEMBERS.start(), MEMBERS.end());
    text.parse().ok().filter(|count| MEMBERS.contains(count)).ok_or_else(|| {
        format!("a ring for chaos has {least} to {most} members: fewer elect no leader, more do not fit on one machine")
    })
}

pub(super) fn run_chaos(args: Args) -> Exit {
    if args.on != On::Netns {
        let why = format!("chaos cuts and kills hosts, which {} does not have; use --on netns", args.on);
        return refused(&BedError::NotHere(why));
    }
    if let Some(folder) = args.evidence.as_ref().filter(|folder| folder.exists()) {
        eprintln!(
            "{} exists already; name a folder that does not, so that no evidence is mixed",
            folder.display()
        );
        return Exit::Usage;
    }
    let mut without = args.without;
    if !args.only.is_empty() {
        without = Fault::ALL.into_iter().filter(|fault| !args.only.contains(fault)).collect();
    }
    let options = Options {
        members: args.members,
        length: args.length,
        seed: args.seed,
        without,
        figures: args.figures.and_then(|tries| usize::try_from(tries).ok()),
        evidence: args.evidence,
        keep: args.keep,
        json: args.json,
        verbose: args.verbose,
    };
    match run(&options) {
        Ok(ended) => {
            emit(ended.text.trim_end());
            ended.exit
        }
        Err(error) => refused(&error),
    }
}

/// What services and hooks of a chaos run are; of no use by itself.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Witness {
    /// Run as a service's process.
    Serve {
        #[arg(long)]
        part: PathBuf,
        #[arg(long)]
        tree: u32,
        #[arg(long, default_value_t = 0)]
        linger_ms: u64,
    },
    /// Run as a hook.
    Hook {
        name: String,
        #[arg(long)]
        part: PathBuf,
    },
}

pub(super) fn run_witness(what: Witness) -> Exit {
    let result = match what {
        Witness::Serve { part, tree, linger_ms } => {
            witness::serve(&part, tree, Duration::from_millis(linger_ms)).map(|()| true)
        }
        Witness::Hook { name, part } => witness::hook(&name, &part),
    };
    match result {
        Ok(true) => Exit::Pass,
        Ok(false) => Exit::Unmet,
        Err(error) => refused(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_with_a_unit() {
        assert_eq!(time("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(time("30m"), Ok(Duration::from_secs(1_800)));
        assert_eq!(time("2h"), Ok(Duration::from_secs(7_200)));
        for wrong in ["", "5", "m", "0s", "-1s", "1d", "99999999999999999999s", "9999h"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_ring_has_a_size_that_can_elect() {
        assert_eq!(members("5"), Ok(5));
        for wrong in ["1", "2", "31", "many"] {
            assert!(members(wrong).expect_err(wrong).contains("3 to 30"), "{wrong}");
        }
    }
}
