//! Deterministic simulator of an Annulus ring.

pub mod action;
pub mod scenario;
