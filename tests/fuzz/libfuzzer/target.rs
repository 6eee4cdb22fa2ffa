//! Every program of this package: the target of the program's own name.
#![no_main]

use std::sync::LazyLock;

use annulus_fuzz::target::{Target, by_name};
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<&Target> =
    LazyLock::new(|| by_name(env!("CARGO_BIN_NAME")).expect("each program is named after a target"));

fuzz_target!(|bytes: &[u8]| {
    (TARGET.run)(bytes);
});
