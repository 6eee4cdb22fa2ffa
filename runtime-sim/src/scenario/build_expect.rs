//! `[[expect]]`: from the entries of a file to statements with their times.

use super::plan::Expectation;
use crate::expect;
use crate::expect::acts::Acts;
use crate::form::entry::Entry;
use crate::form::problem::Problems;
use crate::form::reading::{Context, Reading};

/// All expectations in the order of the file.
pub(crate) fn expectations(
    entries: Vec<Entry<'_>>,
    context: &Context<'_>,
    acts: &Acts,
    problems: &mut Problems<'_>,
) -> Vec<Expectation> {
    let mut expectations = Vec::new();
    for entry in entries {
        let line = context.line(entry.span().start);
        let read = expect::read(entry, acts, &mut Reading { context, problems });
        expectations.extend(read.map(|(text, when, what)| Expectation { line, text, when, what }));
    }
    expectations
}
