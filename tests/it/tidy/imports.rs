//! Who may know whom.

use std::collections::BTreeSet;

use annulus_tests::modules::{arrows, circles};
use annulus_tests::repository;
use annulus_tests::source::sources;

use super::report;

const CORE: &str = "core/src";

/// The folder of a file of the core, and how high it stands: an arrow between two folders leads to a lower one.
fn floor(file: &str) -> (&str, u32) {
    let folder = file.split('/').next().unwrap_or_default();
    let height = match folder {
        "lib.rs" => 5,
        "node" => 4,
        "store" => 2,
        "wire" => 1,
        "model" => 0,
        // Every other folder is a feature, and no feature stands above another.
        _ => 3,
    };
    (folder, height)
}

#[test]
fn imports_of_the_core_run_down() {
    let arrows = arrows(&sources(&repository(), CORE), CORE);
    let folders: BTreeSet<&str> = arrows.iter().map(|arrow| floor(&arrow.from).0).collect();
    for known in ["node", "membership", "service", "election", "store", "wire", "model"] {
        assert!(folders.contains(known), "{known} is missing in {folders:?}");
    }
    let mut findings: Vec<String> = folders
        .iter()
        .filter(|folder| folder.ends_with(".rs") && **folder != "lib.rs")
        .map(|file| format!("{file} stands on no floor"))
        .collect();
    for arrow in &arrows {
        let ((from, above), (to, below)) = (floor(&arrow.from), floor(&arrow.to));
        if from != to && above <= below {
            findings.push(format!("{} names {} of {}", arrow.from, arrow.name, arrow.to));
        }
    }
    report("node, features, store, wire, model: what two features name is data of the model", &findings);
}

#[test]
fn no_circle_of_modules_crosses_folders() {
    let arrows = arrows(&sources(&repository(), CORE), CORE);
    let folder = |file: &String| file.rsplit_once('/').map_or(String::new(), |(folder, _)| folder.to_owned());
    let crosses = |circle: &BTreeSet<String>| circle.iter().map(folder).collect::<BTreeSet<_>>().len() > 1;
    let findings: Vec<String> =
        circles(&arrows).into_iter().filter(crosses).map(|circle| format!("{circle:?}")).collect();
    report("move what these files share to a place that none of them has to look back from", &findings);
}

#[test]
fn the_runtimes_meet_only_in_the_turmoil_bed() {
    let top = repository();
    let mut findings = Vec::new();
    for source in sources(&top, "runtime-real/src") {
        findings
            .extend(source.lines_with("annulus_sim").iter().map(|line| format!("{}:{line}", source.path)));
    }
    for source in sources(&top, "runtime-sim/src") {
        if !source.path.starts_with("runtime-sim/src/bed/turmoil/") {
            let lines = source.lines_with("annulus::");
            findings.extend(lines.iter().map(|line| format!("{}:{line}", source.path)));
        }
    }
    report("a runtime uses annulus_core only", &findings);
}
