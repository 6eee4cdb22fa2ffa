//! Makes an event into JSON, into a sentence and into a log line. Names no kind and no field: the core does.

mod election;
mod json;
mod log;
mod sentence;
mod update;

pub use json::to_json;
pub use log::log;
pub use sentence::{Names, name_in, sentence, short};
