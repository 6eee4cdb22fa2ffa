//! The outcome of a run as an exit code for a script and as sentences for a person.

use crate::exit::Exit;
use crate::scenario::Plan;
use crate::scenario::judge::Unmet;
use crate::scenario::run::{Outcome, Report};

/// The exit code for it.
#[must_use]
pub fn exit_of(report: &Report) -> Exit {
    match report.outcome {
        Outcome::Pass => Exit::Pass,
        Outcome::Impossible { .. } => Exit::Usage,
        Outcome::Unmet(_) => Exit::Unmet,
        Outcome::Violated(_) => Exit::Violated,
    }
}

/// The failure, in a sentence or two; nothing where the run passed.
#[must_use]
pub fn failure(plan: &Plan, report: &Report) -> String {
    match &report.outcome {
        Outcome::Pass => String::new(),
        Outcome::Impossible { line, at, error } => {
            format!("{}:{line}: this cannot be done at {at}: {error}", plan.file)
        }
        Outcome::Violated(violation) => {
            format!("safety violated: {violation}\nthis must never happen in any scenario")
        }
        Outcome::Unmet(unmet) => {
            let Unmet { line, text, missed, found, .. } = unmet;
            format!("{}:{line}: {missed}: {text}\n  found: {found}", plan.file)
        }
    }
}
