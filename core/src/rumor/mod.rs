//! What the ring knows and how it spreads.

mod kinds;

pub use kinds::{Departure, Rumor, RumorKey, RumorKind, ServiceRumor};
