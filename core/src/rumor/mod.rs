//! What the ring knows and how it spreads.
//!
//! [`kinds`] holds one file per kind of rumor, `store` what is known, `heat` what is still to be told.

mod heat;
mod kinds;
mod store;

pub(crate) use heat::{Heat, Priority};
pub use kinds::{
    Contender, Departure, ElectionRumor, MemberRumor, Rumor, RumorKey, RumorKind, ServiceConfig, ServiceFile,
    ServiceHealth, ServiceRumor, Version,
};
pub(crate) use store::{Inserted, RumorStore};
