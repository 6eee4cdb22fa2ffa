//! Sweeps: rings and faults drawn from seeds; afterwards all members must share one view, and pass a trial.
//!
//! Each seed is one run in a world of its own. The results of several sweeps can be added up, wherever they ran.

mod class;
mod draw;
mod election;
mod forge;
mod invent;
mod lead_times;
mod package;
mod replay;
mod report;
mod reset;
mod results;
mod ring;
mod rotation;
mod run;
mod trial;

pub use class::Class;
pub use lead_times::Elections;
pub use report::report;
pub use results::{BoundResult, FailureResult, Occurred, REQUIRED, Results, SeedResult};
pub use run::{Failure, Measured, Outcome, run};
pub use trial::Drawn;

/// The meaning of a seed as one scenario.
#[must_use]
pub fn plan(seed: u64, without: &[Class]) -> crate::scenario::Plan {
    Drawn::of(seed, without).whole()
}
