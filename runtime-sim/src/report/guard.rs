//! Panics as an outcome: the place and the words of a panic, instead of a thread that is gone.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// The result of `work`, or the words and the place of its panic.
///
/// # Errors
/// The panic in words.
pub fn catching<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        panic::set_hook(Box::new(|info| {
            LAST_PANIC.with(|last| *last.borrow_mut() = Some(info.to_string()));
        }));
    });
    // The world that was being changed is thrown away, so no broken state survives the panic.
    panic::catch_unwind(AssertUnwindSafe(work)).map_err(|_| {
        LAST_PANIC
            .with(|last| last.borrow_mut().take())
            .unwrap_or_else(|| String::from("it panicked silently"))
    })
}

/// How to report a panic.
pub fn report(panic: &str, command: &str) -> String {
    format!(
        "a bug of the simulator or of the core, not of the scenario:\n  {}\n\
         please report it with the scenario file, the output of `annulus-sim --version` and this command:\n  {command}",
        panic.replace('\n', "\n  ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_with_its_place() {
        let told = catching(|| -> u8 { panic!("the queue is empty") }).expect_err("it has to fire");
        assert!(told.contains("the queue is empty") && told.contains("guard.rs"), "{told}");
        assert_eq!(catching(|| 5), Ok(5));
    }
}
