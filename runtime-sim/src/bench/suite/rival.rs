//! The rival: foca in a simulator of its own, a program that is built elsewhere and prints `name=value`.

use std::path::Path;
use std::process::Command;

use super::rows::Row;

/// The rival's task.
#[derive(Clone, Debug)]
pub(super) struct Job {
    members: u32,
    mode: &'static str,
    loss: u32,
    seconds: u64,
    /// All members join through one, which is measured before the rest.
    join: bool,
    pub(super) runs: usize,
}

impl Job {
    pub(super) const fn new(members: u32, mode: &'static str, loss: u32, seconds: u64, runs: usize) -> Self {
        Self { members, mode, loss, seconds, join: false, runs }
    }

    pub(super) const fn joining(members: u32) -> Self {
        Self { join: true, ..Self::new(members, "steady", 0, 1, 1) }
    }
}

/// Runs the rival once and returns its output.
pub(super) fn run(program: &Path, job: &Job, seed: u64) -> Result<String, String> {
    let mut command = Command::new(program);
    let numbers = [job.loss.to_string(), job.seconds.to_string()];
    command.args([&job.members.to_string(), &seed.to_string(), job.mode]).args(numbers);
    if job.join {
        command.arg("real");
    }
    let output = command.output().map_err(|e| format!("cannot run the rival {}: {e}", program.display()))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("the rival {} failed: {}: {why}", program.display(), output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The rival's figure in the same run of the suite.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Figure {
    Value(f64),
    /// The event did not happen while the rival ran.
    Never,
}

impl Figure {
    /// None where the rival was not run or does not print it.
    pub(super) fn of(outputs: &[String], row: &Row) -> Option<Self> {
        let label = row.rival_figure?;
        if outputs.is_empty() {
            return None;
        }
        let values: Option<Vec<f64>> = outputs.iter().map(|text| find(text, label)).collect();
        Some(values.and_then(|values| row.fold.of(values)).map_or(Self::Never, Self::Value))
    }
}

/// The number behind a label; none when it is missing or not a number.
fn find(text: &str, label: &str) -> Option<f64> {
    let at = text.find(label)? + label.len();
    let rest = text.get(at..)?;
    let rest = rest.strip_prefix("Some(").unwrap_or(rest);
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    rest.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_behind_their_labels() {
        let text = "at=Some(383.5) virtual s, speed=234937 msgs/node/s=2.07\n  x=NaNs rss=1 kB -> 14.5 kB/node last=9.5s";
        assert_eq!(find(text, "at="), Some(383.5));
        assert_eq!(find(text, "speed="), Some(234_937.0));
        assert_eq!(find(text, "msgs/node/s="), Some(2.07));
        assert_eq!(find(text, "kB -> "), Some(14.5));
        assert_eq!(find(text, " last="), Some(9.5));
        assert_eq!(find(text, "x="), None);
        assert_eq!(find(text, "missing="), None);
    }
}
