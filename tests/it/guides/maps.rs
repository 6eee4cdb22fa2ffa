//! A code map names exactly the folders that exist.

use std::collections::BTreeSet;
use std::fs;

use annulus_tests::repository;

use super::text::read;

/// The words that begin a line of the block below `## Code map` and end in a slash.
fn mapped(guide: &str) -> BTreeSet<String> {
    let text = read(guide);
    let (_, rest) = text.split_once("## Code map").unwrap_or_else(|| panic!("{guide} has a code map"));
    let block = rest.split("```").nth(1).unwrap_or_else(|| panic!("{guide}: the code map is a block"));
    let first = block.lines().filter_map(|line| line.split_whitespace().next());
    first.filter_map(|word| word.strip_suffix('/')).map(str::to_owned).collect()
}

/// The folders that lie there and belong to the repository.
fn folders(of: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(repository().join(of)).expect("a folder");
    let folders = entries.map(|entry| entry.expect("an entry")).filter(|entry| entry.path().is_dir());
    let names = folders.map(|entry| entry.file_name().to_string_lossy().into_owned());
    // Build output, the history, and modules that are tests only.
    names
        .filter(|name| !["target", ".git", "tests"].contains(&name.as_str()) || of.is_empty())
        .filter(|name| !["target", ".git"].contains(&name.as_str()))
        .collect()
}

#[test]
fn the_code_maps_name_the_folders_that_exist() {
    for (guide, folder) in [
        ("README.md", ""),
        ("core/README.md", "core/src"),
        ("runtime-real/README.md", "runtime-real/src"),
        ("runtime-sim/README.md", "runtime-sim/src"),
    ] {
        assert_eq!(
            mapped(guide),
            folders(folder),
            "the code map of {guide} (left) and the folders of /{folder}"
        );
    }
}

#[test]
fn the_front_door_is_short() {
    let lines = read("README.md").lines().count();
    assert!(lines <= 150, "README.md has {lines} lines; the guides of the packages have room");
}
