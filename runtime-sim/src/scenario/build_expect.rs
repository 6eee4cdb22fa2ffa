//! `[[expect]]`: from the entries of a file to statements with their times.

use std::ops::Range;

use super::plan::Expectation;
use crate::expect;
use crate::expect::acts::Acts;
use crate::form::entry::Entry;
use crate::form::problem::Problems;
use crate::form::reading::{Context, Reading};

/// All expectations in the order of the file, and the places of their words.
pub(crate) fn expectations(
    entries: Vec<Entry<'_>>,
    context: &Context<'_>,
    acts: &Acts,
    problems: &mut Problems<'_>,
) -> (Vec<Expectation>, Vec<Range<usize>>) {
    let (mut expectations, mut places) = (Vec::new(), Vec::new());
    for entry in entries {
        let place = entry.place(expect::KINDS);
        let line = context.line(entry.span().start);
        let read = expect::read(entry, acts, &mut Reading { context, problems });
        if let Some((text, when, what)) = read {
            places.push(place);
            expectations.push(Expectation { line, text, when, what });
        }
    }
    (expectations, places)
}
