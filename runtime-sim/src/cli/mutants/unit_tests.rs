//! The core's unit tests with a mutant. Their program takes the mutant from the environment, because it has no options
//! of its own.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use annulus_core::Mutant;
use serde::Deserialize;

use super::MutantsError;
use super::outside::{ends, too_long};

/// What builds the program.
pub(super) const BUILD: &str = "cargo test --release -p annulus-core --features mutants --lib --no-run";

/// The test program of the core.
#[derive(Debug)]
pub(super) struct UnitTests {
    program: PathBuf,
}

/// What cargo says of a program that it has built.
#[derive(Debug, Deserialize)]
struct Built {
    executable: Option<PathBuf>,
    target: Option<Target>,
}

#[derive(Debug, Deserialize)]
struct Target {
    name: String,
}

impl UnitTests {
    /// The program that was named, or else the one that cargo builds here.
    pub(super) fn find(named: &Path) -> Result<Self, MutantsError> {
        if !named.as_os_str().is_empty() {
            return Ok(Self { program: named.to_owned() });
        }
        let mut words = BUILD.split(' ');
        let cargo = words.next().expect("the command has words");
        let mut command = Command::new(cargo);
        command.args(words).arg("--message-format=json-render-diagnostics");
        let built = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
        let built = built.map_err(|error| MutantsError::Build(format!("cargo: {error}")))?;
        if !built.status.success() {
            return Err(MutantsError::Build(format!("cargo ended with {}", built.status)));
        }
        let program = String::from_utf8_lossy(&built.stdout).lines().find_map(program_of);
        let program = program.ok_or_else(|| MutantsError::Build(String::from("cargo names no program")))?;
        Ok(Self { program })
    }

    /// The test that fails first among those of the mutant's own folder; none where all pass.
    pub(super) fn of_folder(&self, timeout_s: u64, mutant: Mutant) -> Result<Option<String>, MutantsError> {
        let folder = mutant.place().split('/').next().unwrap_or_default();
        self.run(timeout_s, mutant.name(), Some(&format!("{folder}::")))
    }

    /// The test that fails first of all.
    pub(super) fn of_all(&self, timeout_s: u64, mutant: &str) -> Result<Option<String>, MutantsError> {
        self.run(timeout_s, mutant, None)
    }

    fn run(
        &self,
        timeout_s: u64,
        mutant: &str,
        filter: Option<&str>,
    ) -> Result<Option<String>, MutantsError> {
        let failed = |error| MutantsError::UnitTests(self.program.clone(), error);
        // What the tests say may be more than a pipe holds.
        let mut said = tempfile::tempfile().map_err(failed)?;
        let mut command = Command::new(&self.program);
        command.args(filter).arg("--test-threads=1").env("ANNULUS_MUTANT", mutant);
        // Cases by chance are the same for each mutant, and one that a mutant fails is none to remember.
        command.env("PROPTEST_RNG_SEED", "1").env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "1");
        let output = said.try_clone().map_err(failed)?;
        let child = command.stdin(Stdio::null()).stdout(output).stderr(Stdio::null()).spawn();
        let mut child = child.map_err(failed)?;
        if !ends(&mut child, timeout_s).map_err(failed)? {
            return Ok(Some(too_long(timeout_s)));
        }
        if child.wait().map_err(failed)?.success() {
            return Ok(None);
        }
        Ok(Some(first_failed(&mut said).map_err(failed)?))
    }
}

/// The program, where a line of cargo's tells of the core's.
fn program_of(line: &str) -> Option<PathBuf> {
    let built: Built = serde_json::from_str(line).ok()?;
    built.executable.filter(|_| built.target.is_some_and(|target| target.name == "annulus_core"))
}

/// The name of the first test that failed.
fn first_failed(said: &mut File) -> io::Result<String> {
    let mut text = String::new();
    said.rewind()?;
    said.read_to_string(&mut text)?;
    let failed = text.lines().find_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"));
    Ok(failed.unwrap_or("that ended the program").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_says_which_program_it_built() {
        let line =
            r#"{"reason":"compiler-artifact","target":{"name":"annulus_core"},"executable":"/t/core-1"}"#;
        assert_eq!(program_of(line), Some(PathBuf::from("/t/core-1")));
        for other in [
            r#"{"reason":"compiler-artifact","target":{"name":"prost"},"executable":null}"#,
            r#"{"reason":"build-finished","success":true}"#,
            "not JSON",
        ] {
            assert_eq!(program_of(other), None);
        }
    }

    #[test]
    fn the_first_test_that_failed_is_named() {
        let mut said = tempfile::tempfile().expect("a file");
        let text = "running 2 tests\ntest a::fine ... ok\ntest a::b ... FAILED\ntest a::c ... FAILED\n";
        io::Write::write_all(&mut said, text.as_bytes()).expect("written");
        assert_eq!(first_failed(&mut said).expect("readable"), "a::b");
    }
}
