//! Scenarios: files that say what a simulated ring goes through and what must come of it.
//!
//! A file is read into [`schema`], understood as a [`Plan`] and performed by [`run::run`].

mod build;
mod build_at;
mod build_expect;
mod build_fault;
mod build_group;
mod build_package;
pub(crate) mod judge;
pub mod keys;

mod names;
pub mod plan;
mod problem;
pub mod reference;
pub mod run;
pub mod scene;
pub mod schema;
mod value;
mod write;

pub(crate) use build::start_joins;
pub use plan::Plan;
pub use problem::Problem;
pub use value::parse_time;
pub use write::to_toml;

use problem::Problems;

/// Reads and checks the text of a scenario; `file` is only used in messages.
///
/// # Errors
/// Every mistake that was found, in the order of the file.
pub fn parse(file: &str, source: &str) -> Result<Plan, Vec<Problem>> {
    let mut problems = Problems::new(file, source);
    let plan = match toml::from_str::<schema::File>(source) {
        Ok(parsed) => build::plan(file, source, &parsed, &mut problems),
        Err(error) => {
            let (message, help) = reference::explain(error.message());
            problems.add(error.span().unwrap_or(0..0), message, help);
            None
        }
    };
    match plan {
        Some(plan) if problems.is_empty() => Ok(plan),
        _ => Err(problems.into_list()),
    }
}
