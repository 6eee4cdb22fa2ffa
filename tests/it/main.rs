//! Tests that cross crates.

mod guides;
mod parity;
mod tidy;
