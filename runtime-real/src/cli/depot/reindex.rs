//! `annulus depot reindex`: makes the records again from the package files, and says what is wrong with them.

use super::Dir;
use crate::cli::{Global, Outcome, output};
use crate::depot::store::Store;
use crate::host::{clock, exit};

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    dir: Dir,
}

pub(super) fn run(global: &Global, args: &Args) -> Outcome {
    let report = Store::open(args.dir.tree(global)?)?.reindex(clock::wall())?;
    for line in &report.damaged {
        output::line(format_args!("passed over: {line}"));
    }
    for line in &report.missing {
        output::line(format_args!("missing: {line}; upload it again, or demote it"));
    }
    for line in &report.held_back {
        output::line(format_args!("held back: {line}, which counts no more; demote it"));
    }
    for line in &report.foreign {
        output::line(format_args!("no package: {line}"));
    }
    output::line(format_args!(
        "{} packages, {} of them without a record before",
        report.packages, report.found
    ));
    Ok(if report.damaged.is_empty() && report.missing.is_empty() && report.held_back.is_empty() {
        0
    } else {
        exit::FAILED
    })
}
