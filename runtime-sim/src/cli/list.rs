//! `annulus-sim list`: the actions, expectations and events that a scenario can name, from the tables that read it.

use super::emit;
use crate::action;
use crate::exit::Exit;
use crate::expect;
use crate::expect::EVENTS;
use crate::form::Word;

pub(super) fn run() -> Exit {
    emit("Actions, each in an [[at]] with time = \"5s\":");
    words(action::words());
    emit(
        "\nExpectations, each in an [[expect]] with by = \"10s\" (true once until then), at = \"10s\" or \
         always = \"5s..20s\":",
    );
    words(expect::words());
    emit("\nEvents, for `occurred` and `never`:");
    for (word, doc) in EVENTS {
        emit(&format!("  {word:<16} {doc}"));
    }
    emit("\nscenarios/README.md explains the whole form of a scenario.");
    Exit::Pass
}

fn words(words: Vec<(Word, Vec<&str>)>) {
    for (Word { key, example, doc, .. }, _) in words {
        emit(&format!("  {key:<16} {doc}\n  {:16} {example}", ""));
    }
}
