//! `[[at]]`: from the entries of a file to actions at their times.

use super::plan::TimedAction;
use crate::action;
use crate::form::entry::Entry;
use crate::form::problem::Problems;
use crate::form::reading::{Context, Reading};
use crate::form::value::Time;

/// All actions in the order of the file.
pub(crate) fn actions(
    entries: Vec<Entry<'_>>,
    context: &Context<'_>,
    problems: &mut Problems<'_>,
) -> Vec<TimedAction> {
    let mut actions = Vec::new();
    for mut entry in entries {
        let time = entry.required::<Time>("time", problems);
        let mut reading = Reading { context, problems };
        let at = time.as_ref().map(|time| (reading.within(time), context.line(time.span().start)));
        let asked = action::read(entry, &mut reading);
        if let Some((time, line)) = at {
            actions.extend(asked.into_iter().map(|action| TimedAction { time, line: Some(line), action }));
        }
    }
    actions
}
