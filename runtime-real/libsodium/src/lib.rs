//! The names of `libsodium-sys` 0.2 that `sodiumoxide` asks for, from the maintained `libsodium-sys-stable`.
#![no_std]

pub use stable::*;
