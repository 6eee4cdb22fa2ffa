//! The explanation of the form of scenarios says what the reader accepts, and its examples are scenarios.

use std::fs;
use std::path::Path;

fn readme() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/README.md");
    fs::read_to_string(path).expect("scenarios/README.md")
}

#[test]
fn every_key_and_word_is_explained() {
    let readme = readme();
    let explained = |key: &str| {
        [format!("`{key}`"), format!("`[{key}]`"), format!("`[[{key}]]`")]
            .iter()
            .any(|form| readme.contains(form))
    };
    let mut missing = Vec::new();
    for (table, keys) in annulus_sim::scenario::keys::all() {
        missing.extend(keys.into_iter().filter(|key| !explained(key)).map(|key| format!("{key} of {table}")));
    }
    assert!(missing.is_empty(), "scenarios/README.md does not explain {missing:?}");
}

#[test]
fn every_example_can_be_performed() {
    let readme = readme();
    let examples: Vec<&str> =
        readme.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(examples.len() >= 4);
    for example in examples {
        if let Err(problems) = annulus_sim::scenario::parse("example", example) {
            let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
            panic!("{}\n{example}", shown.join("\n"));
        }
    }
}

#[test]
fn every_folder_is_explained() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    for entry in fs::read_dir(folder).expect("the folder of scenarios") {
        let entry = entry.expect("an entry");
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() && name != "plans" {
            assert!(readme().contains(&format!("`{name}`")), "scenarios/README.md does not explain {name}");
        }
    }
}
