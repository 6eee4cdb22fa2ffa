//! `[[expect]]`: from the entries of a file to statements with their times.

use annulus_core::Instant;

use super::plan::{Expectation, TimedAction};
use crate::expect;
use crate::form::entry::Entry;
use crate::form::problem::Problems;
use crate::form::reading::{Context, Reading};

/// All expectations in the order of the file.
pub(crate) fn expectations(
    entries: Vec<Entry<'_>>,
    context: &Context<'_>,
    actions: &[TimedAction],
    problems: &mut Problems<'_>,
) -> Vec<Expectation> {
    // A statement with `by` is about the last action before its time.
    let last_action = |by| {
        let before = actions.iter().map(|timed| timed.time).filter(|time| *time < by);
        before.max().unwrap_or(Instant::ZERO)
    };
    let mut expectations = Vec::new();
    for entry in entries {
        let line = context.line(entry.span().start);
        let read = expect::read(entry, &last_action, &mut Reading { context, problems });
        expectations.extend(read.map(|(text, when, what)| Expectation { line, text, when, what }));
    }
    expectations
}
