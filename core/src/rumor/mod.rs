//! Keeps rumors and spreads them: `store` holds every rumor that this node knows, `shares` counts whose they are, `room` says
//! what has room, and `heat` holds those that it still has to tell.
//!
//! This feature treats all kinds alike and may not name one; a kind's content and its join stand in `model::rumor`.

mod heat;
mod room;
mod shares;
mod store;

pub(crate) use heat::{HEAT_CONTACTS_MAX, Heat, Priority};
pub(crate) use store::{Inserted, RumorStore};
