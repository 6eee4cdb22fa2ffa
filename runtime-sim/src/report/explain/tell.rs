//! An explanation as text and as JSON.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::fate::time;
use super::load::Nanos;

/// One link of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// When, in nanoseconds of the world's time.
    pub at: u64,
    /// The event, in a sentence.
    pub text: String,
    /// The evidence, one sentence each.
    pub details: Vec<String>,
    /// The packets that it is about.
    pub packets: Vec<u64>,
}

/// A chain of causes, from the verdict to the faults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Story {
    /// The question that it answers.
    pub question: String,
    /// The links, each the cause of the one before.
    pub steps: Vec<Step>,
    /// The actions that are to blame, in the order of time.
    pub faults: Vec<(u64, String)>,
}

impl Story {
    pub(super) fn push(&mut self, at: Nanos, text: impl Into<String>) -> &mut Step {
        self.steps.push(Step { at, text: text.into(), details: Vec::new(), packets: Vec::new() });
        self.steps.last_mut().expect("one was just pushed")
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("{}\n", self.question);
        for (index, step) in self.steps.iter().enumerate() {
            text.push_str(&wrapped(
                &format!("\n{:>3}. ", index + 1),
                5,
                &format!("{}: {}", time(step.at), step.text),
            ));
            for detail in &step.details {
                text.push_str(&wrapped("       - ", 9, detail));
            }
        }
        match &self.faults[..] {
            [] => text.push_str(
                "\nNo fault was done to the world that explains it: chance, or the members themselves.\n",
            ),
            faults => {
                text.push_str("\nSo it all comes from this:\n");
                for (at, fault) in faults {
                    text.push_str(&wrapped("  -> ", 5, &format!("{}: {fault}", time(*at))));
                }
            }
        }
        text
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let steps: Vec<Value> = self
            .steps
            .iter()
            .enumerate()
            .map(|(index, step)| {
                let packets: BTreeSet<u64> = step.packets.iter().copied().collect();
                json!({
                    "number": index + 1, "t": step.at, "text": step.text, "details": step.details,
                    "packets": packets,
                })
            })
            .collect();
        let faults: Vec<Value> = self.faults.iter().map(|(t, text)| json!({"t": t, "text": text})).collect();
        json!({"question": self.question, "steps": steps, "faults": faults})
    }
}

/// A paragraph of at most this many columns, its first line with a mark in front, the others indented.
fn wrapped(mark: &str, indent: usize, text: &str) -> String {
    const COLUMNS: usize = 100;
    let mut lines = mark.to_owned();
    let mut column = mark.trim_start_matches('\n').chars().count();
    let mut first = true;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if !first && column + 1 + length > COLUMNS {
            lines.push('\n');
            lines.push_str(&" ".repeat(indent));
            column = indent;
        } else if !first {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(word);
        column += length;
        first = false;
    }
    lines.push('\n');
    lines
}
