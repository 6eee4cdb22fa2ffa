//! An event as JSON, as a sentence and as a log line. Kinds and fields are named by the core.

mod election;
mod json;
mod log;
mod sentence;

pub use json::to_json;
pub use log::log;
pub use sentence::{sentence, short};
