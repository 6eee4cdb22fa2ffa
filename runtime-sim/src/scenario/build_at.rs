//! `[[at]]`: from the entries of a file to actions at their times.

use std::ops::Range;

use super::plan::TimedAction;
use crate::action::{self, Action, Refused};
use crate::expect::acts::{Act, Acts};
use crate::form::entry::Entry;
use crate::form::problem::{Problems, listed};
use crate::form::reading::{Context, Reading};
use crate::form::value::Time;

/// All actions in the order of the file, the places of their words, and the entries that ask for them.
pub(crate) fn actions(
    entries: Vec<Entry<'_>>,
    context: &Context<'_>,
    problems: &mut Problems<'_>,
) -> (Vec<TimedAction>, Vec<Range<usize>>, Acts) {
    let (mut actions, mut places, mut acts) = (Vec::new(), Vec::new(), Acts::default());
    for mut entry in entries {
        let place = entry.place(action::KINDS);
        let said = entry.said(context.source);
        let time = entry.required::<Time>("time", problems);
        let refused = entry.take::<Refused>("refused", problems);
        let mut reading = Reading { context, problems };
        let at = time.as_ref().map(|time| (reading.within(time), context.line(time.span().start)));
        let asked = action::read(entry, &mut reading);
        if let Some(refused) = &refused
            && asked.iter().any(|action| !action.is_command())
        {
            let help = format!("remove it; the commands are {}", listed(action::commands()));
            reading.wrong(refused.span(), "only an operator's command can be refused", help);
        }
        let refused = refused.map(toml::Spanned::into_inner);
        if let Some((time, line)) = at {
            acts.0.push(Act { time, said });
            let timed = |action: Action| TimedAction { time, line: Some(line), action, refused };
            places.extend(asked.iter().map(|_| place.clone()));
            actions.extend(asked.into_iter().map(timed));
        }
    }
    (actions, places, acts)
}
