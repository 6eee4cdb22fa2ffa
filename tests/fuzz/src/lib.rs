//! Fuzz targets: everything that reads bytes from outside, each as one function of bytes. The plain loop of this
//! package and libFuzzer call the same functions.
//!
//! | module | what it is for |
//! |---|---|
//! | `target` | one file for each target; to add one, add a file there and its line in `target::ALL` |
//! | `mutate` | changes of an input: of bytes, of protobuf messages, of text |
//! | `session` | the plain loop: seeded, with a pool of inputs that showed something new |
//! | `guarded` | one run of a target: panics and memory beyond a bound are failures |
//! | `reduce` | the smallest input that still fails |
//! | `keeper` | a process that runs the loop in another one, and keeps the input that ended it or holds it up |
//! | `corpus` | folders of inputs, and where those of the repository come from |
//!
//! A failure is a panic (overflow and broken assertions among them), an input that takes no end, memory beyond the
//! target's bound, or a crash of the whole process.

pub mod corpus;
pub mod guarded;
pub mod keeper;
pub mod memory;
pub mod mutate;
pub mod reduce;
pub mod session;
pub mod stopwatch;
pub mod target;

pub use target::{Seen, Target};
