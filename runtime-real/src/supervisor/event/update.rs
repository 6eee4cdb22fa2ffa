//! Updates of services in sentences.

use annulus_core::{EventKind, UpdateStep};

/// The sentence for a step of an update; empty for other events.
pub(super) fn sentence(kind: &EventKind) -> String {
    let EventKind::UpdateChanged { service, step, build, from, reason } = kind else { return String::new() };
    let what = build.as_ref().map_or_else(|| "a newer build".to_owned(), ToString::to_string);
    let why = reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
    let before = from.as_ref().map_or_else(String::new, |from| format!(" in the place of {from}"));
    match step {
        UpdateStep::Seen => format!("{what} is there for {service}{before}"),
        UpdateStep::Ordered => format!("an operator ordered {what} for {service}{before}"),
        UpdateStep::Fetched => format!("{what} is verified and unpacked for {service}"),
        UpdateStep::Begun => format!("{service} runs {what}{before} from now on, on trial"),
        UpdateStep::Done => format!("{service} runs {what}, which has proved itself"),
        UpdateStep::RolledBack => format!("{service} goes back to {what}{before}, which failed{why}"),
        UpdateStep::Refused => format!("{what} is not tried for {service} any more{why}"),
        UpdateStep::HeldBack => format!("{what} does not fit {service} here and waits{why}"),
        UpdateStep::Failed if build.is_some() => {
            format!("{what} cannot be had for {service} and is tried again{why}")
        }
        UpdateStep::Failed => {
            format!("newer builds of {service} cannot be looked for, which is tried again{why}")
        }
    }
}
