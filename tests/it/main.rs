//! Tests that cross crates.

mod chaos;
mod guides;
mod parity;
mod tidy;
