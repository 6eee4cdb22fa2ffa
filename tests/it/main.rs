//! Tests that cross crates.

mod parity;
mod tidy;
