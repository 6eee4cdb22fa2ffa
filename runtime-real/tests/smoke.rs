//! The built daemon answers. (That this test exists makes `cargo test --workspace` build the binary.)

use std::process::{Command, Output};

fn annulus(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_annulus")).args(arguments).output().expect("the binary starts")
}

#[test]
fn it_says_its_version() {
    let output = annulus(&["--version"]);
    assert!(output.status.success(), "{output:?}");
    let expected = format!("annulus {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}

#[test]
fn its_help_names_the_subcommands() {
    let output = annulus(&["--help"]);
    assert!(output.status.success(), "{output:?}");
    let help = String::from_utf8_lossy(&output.stdout);
    for subcommand in ["sup", "svc", "pkg"] {
        assert!(help.lines().any(|line| line.trim_start().starts_with(subcommand)), "{subcommand}:\n{help}");
    }
}

#[test]
fn an_unknown_subcommand_is_a_usage_error() {
    let output = annulus(&["no-such-thing"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("no-such-thing"), "{output:?}");
}
