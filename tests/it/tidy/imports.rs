//! Who may know whom.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use annulus_tests::repository;
use annulus_tests::source::{Source, sources};

use super::report;

/// Modules of the core that every other module may use: they hold no feature, or are the composer itself.
const SHARED_FOLDERS: [&str; 3] = ["node", "wire", "tests"];
/// Files beside the features that join them: the crate's face, and the encoding of what every feature stores.
const JOINING_FILES: [&str; 2] = ["lib.rs", "snapshot.rs"];
/// Files inside a feature that hold plain data, which every module may name.
const DATA_MODULES: [&str; 3] = ["spec", "member", "kinds"];

/// The features of the core: its folders.
fn features() -> BTreeSet<String> {
    let folders = fs::read_dir(repository().join("core/src")).expect("the core has sources");
    let names = folders.map(|entry| entry.expect("a readable folder")).filter(|entry| entry.path().is_dir());
    names
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !SHARED_FOLDERS.contains(&name.as_str()))
        .collect()
}

/// The plain data that a feature shows to its siblings: what its `mod.rs` takes from its data modules, and what
/// crosses the border of the crate.
fn data_of(feature: &str, module: &Source, face: &Source) -> BTreeSet<String> {
    let named = DATA_MODULES.iter().flat_map(|data| module.names_below(data));
    let public = face.names_below(feature);
    named.chain(public).map(|(name, _)| name).chain(DATA_MODULES.map(str::to_owned)).collect()
}

#[test]
fn a_feature_of_the_core_does_not_know_its_siblings() {
    let top = repository();
    let features = features();
    assert!(features.contains("membership") && features.contains("service"), "{features:?}");
    let core = sources(&top, "core/src");
    let face = core.iter().find(|source| source.path == "core/src/lib.rs").expect("the core has a face");
    let mut data: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for source in &core {
        let feature = source.path.strip_prefix("core/src/").and_then(|p| p.strip_suffix("/mod.rs"));
        if let Some(feature) = feature.filter(|feature| features.contains(*feature)) {
            data.insert(feature, data_of(feature, source, face));
        }
    }
    assert!(data["service"].contains("ServiceSpec") && data["membership"].contains("MemberRecord"));

    let mut findings = Vec::new();
    for source in &core {
        let inside = source.path.trim_start_matches("core/src/");
        if JOINING_FILES.contains(&inside) || inside.starts_with("node/") {
            continue;
        }
        for (feature, data) in data.iter().filter(|(feature, _)| !inside.starts_with(&format!("{feature}/")))
        {
            for (name, line) in source.names_below(&format!("crate::{feature}")) {
                if !data.contains(&name) {
                    findings.push(format!("{}:{line}: {feature}'s {name}", source.path));
                }
            }
        }
    }
    report("only core/src/node/ joins features; let it carry this from one to the other", &findings);
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
