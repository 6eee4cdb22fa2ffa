//! Takes commands out of Markdown: whole lines of `sh` blocks, and spans between backticks.

use std::fs;

use annulus_tests::repository;

/// Everything that a reader takes commands from.
pub(super) const GUIDES: [&str; 5] =
    ["README.md", "core/README.md", "runtime-real/README.md", "runtime-sim/README.md", "scenarios/README.md"];

pub(super) fn read(guide: &str) -> String {
    let path = repository().join(guide);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// One line of a block of commands.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// Guide and line number, for messages.
    pub(super) place: String,
    /// The command as a shell takes it, without its remark.
    pub(super) command: String,
    /// What stands behind it.
    pub(super) remark: String,
}

/// The commands of all `sh` blocks of a guide, in order.
pub(super) fn lines(guide: &str) -> Vec<Line> {
    let mut found = Vec::new();
    let mut inside = false;
    for (number, line) in (1..).zip(read(guide).lines()) {
        if let Some(language) = line.strip_prefix("```") {
            inside = !inside && language == "sh";
            continue;
        }
        let (command, remark) = line.split_once(" # ").unwrap_or((line, ""));
        if inside && !command.trim().is_empty() && !command.starts_with('#') {
            found.push(Line {
                place: format!("{guide}:{number}"),
                command: command.trim().to_owned(),
                remark: remark.trim().to_owned(),
            });
        }
    }
    found
}

/// The commands between backticks in the prose of a guide, blocks left out.
pub(super) fn spans(guide: &str) -> Vec<String> {
    let text = read(guide);
    let prose: Vec<&str> = text.split("```").step_by(2).collect();
    let spans = prose.iter().flat_map(|part| part.split('`').skip(1).step_by(2));
    let commands = spans.filter(|span| span.starts_with("annulus ") || span.starts_with("annulus-sim "));
    commands.map(|span| span.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn commands_are_found_in_every_guide_that_has_some() {
    assert!(lines("README.md").iter().any(|line| line.command.ends_with("-- demo")));
    assert!(lines("runtime-real/README.md").len() > 20);
    assert!(spans("README.md").iter().any(|span| span.starts_with("annulus-sim bench")));
}
