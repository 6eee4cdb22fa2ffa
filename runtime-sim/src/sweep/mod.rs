//! Sweeps: rings and faults drawn from seeds; afterwards all members must share one view.
//!
//! Each seed is one run in a world of its own. The results of several sweeps can be added up, wherever they ran.

mod draw;
mod election;
mod lead_times;
mod report;
mod results;
mod ring;
mod run;

pub use draw::{Class, plan};
pub use lead_times::Elections;
pub use report::report;
pub use results::{FailureResult, Occurred, REQUIRED, Results, SeedResult};
pub use run::{Failure, Outcome, run};
