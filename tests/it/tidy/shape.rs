//! Sizes of files, and words that may not stand in the repository.

use std::fs;

use annulus_tests::repository;
use annulus_tests::source::{files, relative, words};

use super::{all_sources, report};

const FILE_LINES_MAX: usize = 600;

#[test]
fn files_are_short() {
    let long = all_sources().into_iter().filter(|source| source.shipped_lines > FILE_LINES_MAX);
    let findings: Vec<String> =
        long.map(|source| format!("{}: {} lines", source.path, source.shipped_lines)).collect();
    report(
        &format!("a file has at most {FILE_LINES_MAX} lines without its tests; take a part of it out"),
        &findings,
    );
}

/// Marks of unfinished work, and words of the place where it was done. In pieces, so that they are not found here.
const MARKS: [&str; 4] = [concat!("FIX", "ME"), concat!("XX", "X"), concat!("TO", "DO"), concat!("HA", "CK")];
const MACROS: [&str; 2] = [concat!("to", "do!"), concat!("unimpl", "emented!")];
const FOREIGN: [&str; 11] = [
    concat!("/wo", "rk/"),
    concat!("/tmp", "/wt"),
    concat!("issues ", "show"),
    concat!("sub", "agent"),
    concat!("cla", "ude"),
    concat!("anth", "ropic"),
    concat!("chat", "gpt"),
    concat!("cop", "ilot"),
    concat!("brief", ".md"),
    concat!("<<<<", "<<< "),
    concat!(">>>>", ">>> "),
];

/// Subjects that name nothing: a sentence says which member, process or person it is about.
const PRONOUNS: [&str; 4] =
    [concat!("who", "ever"), concat!("some", "body"), concat!("any", "body"), concat!("every", "body")];

#[test]
fn sentences_name_their_subjects() {
    report(
        "name the member, process or person",
        &lines_of_ours(|line| {
            let lower = line.to_lowercase();
            PRONOUNS.into_iter().find(|word| words(&lower, word).next().is_some())
        }),
    );
}

#[test]
fn nothing_is_marked_as_unfinished_or_speaks_of_its_making() {
    report(
        "finish it, or say it without this word",
        &lines_of_ours(|line| {
            let lower = line.to_lowercase();
            let marked = MARKS.iter().chain(&MACROS).find(|mark| words(line, mark).next().is_some());
            marked.or(FOREIGN.iter().find(|word| lower.contains(**word))).copied()
        }),
    );
}

/// The lines of all files of the repository in which `find` finds a word.
fn lines_of_ours(find: impl Fn(&str) -> Option<&'static str>) -> Vec<String> {
    let top = repository();
    let mut findings = Vec::new();
    for path in files(&top, "") {
        let name = relative(&top, &path);
        let is_ours =
            ["core/", "runtime-", "scenarios/", "tests/", ".ci/"].iter().any(|p| name.starts_with(p))
                || (!name.contains('/') && name != ".git");
        let Some(text) = fs::read_to_string(&path)
            .ok()
            .filter(|_| is_ours && !["Cargo.lock", "LICENSE"].contains(&name.as_str()))
        else {
            continue;
        };
        for (number, line) in (1..).zip(text.lines()) {
            if let Some(word) = find(line) {
                findings.push(format!("{name}:{number}: {word}"));
            }
        }
    }
    findings
}
