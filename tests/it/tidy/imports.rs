//! Which folders may import which.

use std::collections::BTreeSet;
use std::fs;

use annulus_tests::modules::{arrows, circles};
use annulus_tests::repository;
use annulus_tests::source::sources;

use super::report;

const CORE: &str = "core/src";
const DAEMON: &str = "runtime-real/src";
const SIMULATOR: &str = "runtime-sim/src";

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
    report("node, features, store, wire, model: data that two features name belongs to the model", &findings);
}

/// The floors of a runtime from the bottom up, several folders on one; the table in its crate's documentation has
/// them from the top down.
fn floors(runtime: &str) -> Vec<Vec<String>> {
    let face = fs::read_to_string(repository().join(runtime).join("lib.rs")).expect("the crate has a face");
    let row = |line: &str| {
        let cell = line.strip_prefix("//! | `")?.split(" |").next()?;
        Some(cell.split('`').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect())
    };
    let mut floors: Vec<Vec<String>> = face.lines().filter_map(row).collect();
    floors.reverse();
    floors
}

/// The imports of a runtime that lead up or sideways, and the rows of its table that name no folder.
fn wrong_imports(runtime: &str) -> Vec<String> {
    let floors = floors(runtime);
    let height = |name: &str| match name {
        // The faces of library and program stand above every floor.
        "lib" | "main" => Some(floors.len()),
        _ => floors.iter().position(|floor| floor.iter().any(|folder| folder == name)),
    };
    let top = |file: &str| file.split('/').next().unwrap_or_default().trim_end_matches(".rs").to_owned();
    let arrows = arrows(&sources(&repository(), runtime), runtime);
    let found: BTreeSet<String> =
        arrows.iter().flat_map(|arrow| [top(&arrow.from), top(&arrow.to)]).collect();
    for known in floors.iter().flatten() {
        assert!(found.contains(known), "{known} of {runtime}/lib.rs is missing in {found:?}");
    }
    let mut findings = Vec::new();
    for arrow in &arrows {
        let (from, to) = (top(&arrow.from), top(&arrow.to));
        match (height(&from), height(&to)) {
            (Some(above), Some(below)) if from == to || above > below => {}
            (Some(_), Some(_)) => {
                findings.push(format!("{} names {} of {}", arrow.from, arrow.name, arrow.to))
            }
            _ => findings.push(format!("{from} or {to} has no row in the table of {runtime}/lib.rs")),
        }
    }
    findings
}

#[test]
fn imports_of_the_daemon_run_down() {
    report("a floor of the daemon names itself and those below it", &wrong_imports(DAEMON));
}

#[test]
fn imports_of_the_simulator_run_down() {
    report("a floor of the simulator names itself and those below it", &wrong_imports(SIMULATOR));
}

#[test]
fn no_circle_of_modules_crosses_folders() {
    let folder = |file: &String| file.rsplit_once('/').map_or(String::new(), |(folder, _)| folder.to_owned());
    let crosses = |circle: &BTreeSet<String>| circle.iter().map(folder).collect::<BTreeSet<_>>().len() > 1;
    let circles =
        [CORE, DAEMON, SIMULATOR].map(|crate_| circles(&arrows(&sources(&repository(), crate_), crate_)));
    let findings: Vec<String> =
        circles.into_iter().flatten().filter(crosses).map(|circle| format!("{circle:?}")).collect();
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
