//! The processes that a mutant is run by: it may hang, or end its process.

use std::env;
use std::io::{self, Read as _};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use super::{Args, Found, MutantsError, one};

/// How many times in a second a process that may hang is looked at.
const LOOKS_PER_S: u64 = 50;

/// Runs seeds and scenarios with a mutant, or with the original where the name is empty.
pub(super) fn seeds_and_scenarios(args: &Args, name: &str) -> Result<Found, MutantsError> {
    let program = env::current_exe().map_err(MutantsError::Start)?;
    let mut command = Command::new(program);
    command.arg("mutants").arg("--one").arg(name).arg("--scenarios").arg(&args.scenarios);
    command.arg("--seeds").arg(format!("{}..{}", args.seeds.start, args.seeds.end));
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.map_err(MutantsError::Start)?;
    let mut output = String::new();
    if !ends(&mut child, args.timeout).map_err(MutantsError::Start)? {
        return Ok(Found::killed(String::from("time"), &too_long(args.timeout)));
    }
    if let Some(mut out) = child.stdout.take() {
        out.read_to_string(&mut output).map_err(MutantsError::Start)?;
    }
    if let Ok(found) = serde_json::from_str(output.trim()) {
        return Ok(found);
    }
    let mut why = String::new();
    if let Some(mut errors) = child.stderr.take() {
        errors.read_to_string(&mut why).map_err(MutantsError::Start)?;
    }
    // A file that this process does not understand either was changed meanwhile, and no mutant is to blame for it.
    one::plans(args).map_err(MutantsError::Scenarios)?;
    Ok(Found::killed(String::from("its end"), &why))
}

pub(super) fn too_long(timeout_s: u64) -> String {
    format!("it does not end within {timeout_s} s")
}

/// Waits for a process; kills it and answers false when it does not end in time. It prints less than a pipe holds.
#[expect(clippy::disallowed_methods, reason = "a mutant may hang, which only waiting shows")]
pub(super) fn ends(child: &mut Child, timeout_s: u64) -> io::Result<bool> {
    for _ in 0..timeout_s.saturating_mul(LOOKS_PER_S) {
        if child.try_wait()?.is_some() {
            return Ok(true);
        }
        thread::sleep(Duration::from_secs(1) / LOOKS_PER_S as u32);
    }
    child.kill()?;
    child.wait()?;
    Ok(false)
}
