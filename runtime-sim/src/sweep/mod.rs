//! Sweeps: rings and faults drawn from seeds; afterwards all members must share one view.
//!
//! Each seed is one run in a world of its own. The results of several sweeps can be added up, wherever they ran.

mod draw;
mod election;
mod lead_times;
mod package;
mod report;
mod results;
mod ring;
mod run;
mod trial;

pub use draw::{Class, plan};
pub use lead_times::Elections;
pub use report::report;
pub use results::{BoundResult, FailureResult, Occurred, REQUIRED, Results, SeedResult};
pub use run::{Failure, Measured, Outcome, run};
