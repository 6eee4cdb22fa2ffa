//! How densely the core asserts what it knows of itself: two assertions in a function of more than ten lines is the
//! habit to aim at.

use std::collections::BTreeMap;

use annulus_tests::repository;
use annulus_tests::source::{sources, words};

/// Assertions for each thousand shipped lines of the core, at least. The floor is raised with the figure and never
/// lowered.
const PER_THOUSAND_MIN: usize = 24;
/// A figure so far above the floor is a reason to raise it.
const SLACK: usize = 3;

/// The macros that count, of shipped code only; what is checked when the crate is compiled counts too.
const MACROS: [&str; 3] = ["assert", "assert_eq", "assert_ne"];

/// The assertions and the lines of each folder of the core.
fn counts() -> BTreeMap<String, (usize, usize)> {
    let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    // A list of names decides nothing.
    let has_code = |path: &str| path != "core/src/model/mutant.rs";
    for source in sources(&repository(), "core/src").into_iter().filter(|source| has_code(&source.path)) {
        let below = source.path.trim_start_matches("core/src/");
        let folder = below.split_once('/').map_or(".", |(folder, _)| folder).to_owned();
        let is_called = |name: &str, at: usize| source.shipped[at + name.len()..].starts_with("!(");
        let of = |name| words(&source.shipped, name).filter(|at| is_called(name, *at)).count();
        let (assertions, lines) = counts.entry(folder).or_default();
        *assertions += MACROS.into_iter().map(of).sum::<usize>();
        *lines += source.shipped_lines;
    }
    counts
}

#[test]
fn the_core_asserts_what_it_knows() {
    let counts = counts();
    let (mut assertions, mut lines) = (0, 0);
    for (folder, (found, of)) in &counts {
        println!(
            "{folder:12} {found:4} assertions in {of:5} lines, {} per thousand",
            found * 1000 / of.max(&1)
        );
        (assertions, lines) = (assertions + found, lines + of);
    }
    let per_thousand = assertions * 1000 / lines.max(1);
    println!("core         {assertions:4} assertions in {lines:5} lines, {per_thousand} per thousand");
    assert!(counts.len() > 5, "the folders of the core are found: {:?}", counts.keys());
    assert!(
        per_thousand >= PER_THOUSAND_MIN,
        "{per_thousand} assertions per thousand lines of core, the floor is {PER_THOUSAND_MIN}: assert what new code knows"
    );
    assert!(
        per_thousand < PER_THOUSAND_MIN + SLACK,
        "{per_thousand} assertions per thousand lines of core: raise PER_THOUSAND_MIN to it, {PER_THOUSAND_MIN} is too low"
    );
}
