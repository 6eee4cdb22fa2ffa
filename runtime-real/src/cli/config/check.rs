//! `annulus config check PLAN_DIR`: renders a plan's templates in made-up rings and reports every error. Asks no
//! supervisor and writes no file.

use std::path::PathBuf;

use crate::cli::{Global, Outcome, output};
use crate::host::exit;
use crate::prepare::try_plan;

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Directory with plan.toml, default.toml, config/ and hooks/
    #[arg(value_name = "PLAN_DIR")]
    plan: PathBuf,
    /// Count warnings as errors
    #[arg(long)]
    strict: bool,
}

pub(super) fn run(global: &Global, args: &Args) -> Outcome {
    let trial = try_plan(&global.root()?, &args.plan);
    for warning in &trial.warnings {
        output::line(format_args!("warning: {warning}\n"));
    }
    for error in &trial.errors {
        output::line(format_args!("error: {error}\n"));
    }
    let count = |n: usize, what: &str| match n {
        0 => format!("no {what}s"),
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    };
    output::line(format_args!(
        "{}: {}, {}, {}",
        args.plan.display(),
        count(trial.templates, "template"),
        count(trial.errors.len(), "error"),
        count(trial.warnings.len(), "warning")
    ));
    let failed = !trial.errors.is_empty() || (args.strict && !trial.warnings.is_empty());
    Ok(if failed { exit::FAILED } else { 0 })
}
