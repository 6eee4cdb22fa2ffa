//! `annulus-sim list`

use super::emit;
use crate::action;
use crate::exit::Exit;
use crate::scenario::reference::{EVENTS, EXPECTATIONS};

pub(super) fn run() -> Exit {
    emit("Actions, each in an [[at]] with time = \"5s\":");
    for (word, _) in action::words() {
        entry(word.key, word.doc, word.example);
    }
    emit(
        "\nExpectations, each in an [[expect]] with by = \"10s\" (true once until then), at = \"10s\" or \
         always = \"5s..20s\":",
    );
    for word in EXPECTATIONS {
        entry(word.key, word.doc, word.example);
    }
    emit("\nEvents, for `occurred` and `never`:");
    for (word, doc) in EVENTS {
        emit(&format!("  {word:<16} {doc}"));
    }
    emit("\nscenarios/README.md explains the whole form of a scenario.");
    Exit::Pass
}

fn entry(key: &str, doc: &str, example: &str) {
    emit(&format!("  {key:<16} {doc}\n  {:16} {example}", ""));
}
