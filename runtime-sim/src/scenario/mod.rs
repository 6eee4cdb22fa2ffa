//! Scenarios: files that describe a simulated ring, the actions on it and the expected outcome.
//!
//! A file is read into [`schema`], understood as a [`Plan`] and performed by [`run::run`].

mod build;
mod build_at;
mod build_expect;
pub mod judge;
pub mod keys;
pub mod plan;
pub mod run;
pub mod scene;
pub mod schema;
mod sense;
mod write;

pub use crate::form::{Problem, parse_time};
pub(crate) use build::start_joins;
pub use plan::Plan;
pub use write::to_toml;

use serde::Deserialize;
use toml::de::{DeTable, Deserializer};

use crate::form::entry::Entry;
use crate::form::problem::{Problems, explain};

/// Reads and checks the text of a scenario; `file` is only used in messages.
///
/// # Errors
/// Every mistake that was found, in the order of the file.
pub fn parse(file: &str, source: &str) -> Result<Plan, Vec<Problem>> {
    let mut problems = Problems::new(file, source);
    match understand(file, source, &mut problems) {
        Ok(Some(plan)) if problems.is_empty() => return Ok(plan),
        Ok(_) => {}
        Err(error) => {
            let (message, help) = explain(error.message());
            problems.add(error.span().unwrap_or(0..0), message, help);
        }
    }
    Err(problems.into_list())
}

fn understand(
    file: &str,
    source: &str,
    problems: &mut Problems<'_>,
) -> Result<Option<Plan>, toml::de::Error> {
    let document = DeTable::parse(source)?;
    let acts = Entry::all("at", document.get_ref(), problems);
    let expects = Entry::all("expect", document.get_ref(), problems);
    let parsed = schema::File::deserialize(Deserializer::from(document))?;
    Ok(build::plan(file, source, &parsed, (acts, expects), problems))
}
