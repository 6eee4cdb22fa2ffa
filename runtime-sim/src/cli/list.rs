//! `annulus-sim list`

use super::emit;
use crate::exit::Exit;
use crate::scenario::reference::{ACTIONS, EVENTS, EXPECTATIONS, Word};

pub(super) fn run() -> Exit {
    emit("Actions, each in an [[at]] with time = \"5s\":");
    words(ACTIONS);
    emit(
        "\nExpectations, each in an [[expect]] with by = \"10s\" (true once until then), at = \"10s\" or \
         always = \"5s..20s\":",
    );
    words(EXPECTATIONS);
    emit("\nEvents, for `occurred` and `never`:");
    for (word, doc) in EVENTS {
        emit(&format!("  {word:<16} {doc}"));
    }
    emit("\nscenarios/README.md explains the whole form of a scenario.");
    Exit::Pass
}

fn words(words: &[Word]) {
    for word in words {
        emit(&format!("  {:<16} {}\n  {:16} {}", word.key, word.doc, "", word.example));
    }
}
