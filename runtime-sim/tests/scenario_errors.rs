//! The answers to wrong scenario files: the exact text, file by file.
//!
//! Run with `ANNULUS_BLESS=1` to write the texts anew, and read the difference before committing it.

use std::fs;
use std::path::{Path, PathBuf};

fn bad_files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the folder of bad files")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .collect();
    files.sort();
    files
}

#[test]
fn every_mistake_is_explained_where_it_is() {
    let bless = std::env::var_os("ANNULUS_BLESS").is_some();
    let files = bad_files();
    assert!(files.len() >= 15, "only {} bad files are left", files.len());
    let mut differing = Vec::new();
    for path in files {
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        let source = fs::read_to_string(&path).expect("a readable file");
        let problems = annulus_sim::scenario::parse(&name, &source).expect_err(&name);
        let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let shown = shown.join("\n\n") + "\n";
        let expected = path.with_extension("txt");
        if bless {
            fs::write(&expected, &shown).expect("a writable file");
        } else if fs::read_to_string(&expected).unwrap_or_default() != shown {
            differing.push(shown);
        }
    }
    assert!(differing.is_empty(), "these messages have changed:\n\n{}", differing.join("\n"));
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let problems =
        annulus_sim::scenario::Plan::load(Path::new("/nonexistent/x.toml")).expect_err("no such file");
    let shown = problems[0].to_string();
    assert!(shown.starts_with("/nonexistent/x.toml: cannot be read: "), "{shown}");
    assert!(shown.contains("help: name a scenario file"), "{shown}");
}
