//! Reports of a run: its story in words, its trace line by line, and the causes of an event in a trace.
//!
//! Reports read records; nothing in a world knows that they exist.

pub mod explain;
pub mod guard;
pub mod narrate;
pub mod outcome;
pub mod trace;
