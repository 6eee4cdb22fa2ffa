//! scenarios/README.md describes the form of scenarios as the reader accepts it, and its examples are scenarios.

use std::fs;
use std::path::{Path, PathBuf};

use annulus_sim::form::Word;
use annulus_sim::{action, expect};

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/README.md")
}

fn readme() -> String {
    fs::read_to_string(path()).expect("scenarios/README.md")
}

/// The text with the table between the marks of `name` generated anew.
fn with_table(text: &str, name: &str, head: &str, words: &[(Word, Vec<&str>)]) -> String {
    let (before, rest) = text.split_once(&format!("<!-- {name}:")).expect("the table has a mark");
    let (mark, rest) = rest.split_once("-->\n").expect("the mark ends");
    let (_, after) = rest.split_once("<!-- end -->").expect("the table has an end");
    let mut table = format!("| {head} | beside it |\n|---|---|---|\n");
    for (Word { key, doc, beside, .. }, _) in words {
        table.push_str(&format!(
            "| `{key}` | {doc} | {beside}{}|\n",
            if beside.is_empty() { "" } else { " " }
        ));
    }
    format!("{before}<!-- {name}:{mark}-->\n{table}<!-- end -->{after}")
}

/// Run with `ANNULUS_BLESS=1` to generate the tables anew.
#[test]
fn the_tables_say_what_actions_and_statements_say_of_themselves() {
    let text = readme();
    let made = with_table(&text, "actions", "action | what it does", &action::words());
    let made = with_table(&made, "statements", "statement | meaning", &expect::words());
    if std::env::var_os("ANNULUS_BLESS").is_some() {
        fs::write(path(), &made).expect("a writable file");
    } else {
        assert!(
            text == made,
            "the tables of scenarios/README.md are old: run this test with ANNULUS_BLESS=1"
        );
    }
}

#[test]
fn what_may_stand_beside_a_word_is_said_of_it() {
    for (word, parts) in action::words().into_iter().chain(expect::words()) {
        // The words of `package` take a paragraph below the table.
        let missing = |part: &&&str| !word.beside.contains(&format!("`{part}`")) && word.key != "package";
        let missing: Vec<&&str> = parts.iter().filter(missing).collect();
        assert!(missing.is_empty(), "{}: {missing:?}", word.key);
    }
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
