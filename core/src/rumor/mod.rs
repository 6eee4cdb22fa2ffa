//! How rumors are kept and spread: `store` holds what is known, `heat` what is still to be told.
//!
//! This feature is the same for all kinds; what a kind is and how two of them join is in `model::rumor`.

mod heat;
mod store;

pub(crate) use heat::{Heat, Priority};
pub(crate) use store::{Inserted, RumorStore};
