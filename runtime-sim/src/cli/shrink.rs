//! `annulus-sim shrink FILE`: reduces a failing scenario and writes the small one beside it.

use std::path::PathBuf;

use super::emit;
use crate::exit::Exit;
use crate::scenario::{Plan, parse, to_toml};
use crate::shrink::{self, Kind, Shrunk};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The scenario file that fails.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Another seed than the file's.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// File for the reduced scenario; FILE.min.toml beside the file by default.
    #[arg(long, value_name = "MIN.toml")]
    out: Option<PathBuf>,
    /// Runs that the reduction may take.
    #[arg(long, value_name = "N", default_value_t = shrink::RUNS)]
    runs: u32,
    /// Plant a defect in every member.
    #[cfg(feature = "planted-bugs")]
    #[arg(long, value_name = "BUG", value_parser = super::bug)]
    bug: Option<annulus_core::Bug>,
}

pub(super) fn run(args: &Args) -> Exit {
    let mut plan = match Plan::load(&args.file) {
        Ok(plan) => plan,
        Err(problems) => {
            for problem in problems {
                eprintln!("{problem}\n");
            }
            return Exit::Usage;
        }
    };
    plan.seed = args.seed.unwrap_or(plan.seed);
    #[cfg(feature = "planted-bugs")]
    {
        plan.planted = args.bug.map(annulus_core::Planted::only).unwrap_or_default();
    }
    let Some(shrunk) = shrink::shrink(&plan, args.runs) else {
        emit(&format!("{} does not fail with seed {}: there is nothing to reduce", plan.file, plan.seed));
        return Exit::Pass;
    };
    let out = args.out.clone().unwrap_or_else(|| args.file.with_extension("min.toml"));
    match save(&plan, &shrunk, &out) {
        Ok(told) => {
            emit(&told);
            exit_of(&shrunk.failure.kind)
        }
        Err(error) => {
            eprintln!("{}: cannot be written: {error}; choose another file with --out", out.display());
            Exit::Usage
        }
    }
}

/// The exit code for a kind of failure.
pub(crate) const fn exit_of(kind: &Kind) -> Exit {
    match kind {
        Kind::Unmet { .. } => Exit::Unmet,
        Kind::Violated(_) => Exit::Violated,
        Kind::Panicked => Exit::Bug,
    }
}

/// Writes a reduced plan as a scenario; returns a sentence about the reduction.
pub(crate) fn save(plan: &Plan, shrunk: &Shrunk, out: &std::path::Path) -> std::io::Result<String> {
    let mut smaller = shrunk.plan.clone();
    let how = match &shrunk.failure.kind {
        Kind::Unmet { text, .. } => format!("it is expected, and not met, that {text}"),
        Kind::Violated(checker) => format!("the property {checker} is violated"),
        Kind::Panicked => String::from("the core or the simulator panics"),
    };
    smaller.about = format!("Reduced from {}: {how}.\n{}", plan.file, shrunk.failure.why);
    let text = to_toml(&smaller);
    std::fs::write(out, &text)?;
    let again = parse(&out.display().to_string(), &text).map(|mut read| {
        read.planted = plan.planted;
        shrink::failure(&read).map(|failure| failure.kind)
    });
    // Lines differ in the new file; the way of failing must not.
    let same = match (&again, &shrunk.failure.kind) {
        (Ok(Some(Kind::Unmet { .. })), Kind::Unmet { .. }) => true,
        (Ok(Some(kind)), wanted) => kind == wanted,
        _ => false,
    };
    let actions = |plan: &Plan| plan.actions.iter().filter(|timed| timed.line.is_some()).count();
    let doubt = if same {
        ""
    } else {
        "\nread back from the file it does not fail so: it needs what a file cannot say"
    };
    Ok(format!(
        "reduced in {} runs from {} members and {} actions to {} and {}: {}{doubt}\n\n{}",
        shrunk.runs,
        plan.hosts.len(),
        actions(plan),
        smaller.hosts.len(),
        actions(&smaller),
        out.display(),
        text.trim_end()
    ))
}
