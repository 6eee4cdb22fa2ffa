//! The simulator and real daemons go through the same scenarios and end the same way.

use std::path::Path;
use std::process::{Command, Stdio};

use annulus_tests::{KillOnDrop, binary, repository};
use serde_json::Value;

/// Scenarios that need no partitions, and so no root.
const SCENARIOS: [&str; 5] = [
    "join_and_converge",
    "crash_is_confirmed",
    "graceful_departure",
    "restart_keeps_identity",
    "banned_member_stays_out",
];
/// Seconds that an expectation may be met late: other tests want the machine as well.
const TOLERANCE_S: &str = "5";

fn start(file: &Path, arguments: &[&str]) -> KillOnDrop {
    let mut command = Command::new(binary("annulus-sim"));
    command.arg("run").arg(file).args(["--json", "--tolerance", TOLERANCE_S]).args(arguments);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    KillOnDrop(child.expect("the simulator can be started"))
}

/// The output of a run, which is its outcome and final views, and its exit code.
fn finish(mut run: KillOnDrop) -> (Option<i32>, Value) {
    let read = |pipe: Option<&mut dyn std::io::Read>| {
        let mut text = String::new();
        pipe.expect("piped").read_to_string(&mut text).expect("text");
        text
    };
    let stdout = read(run.stdout.as_mut().map(|pipe| pipe as _));
    let stderr = read(run.stderr.as_mut().map(|pipe| pipe as _));
    let code = run.wait().expect("it ends").code();
    let json = stdout.lines().find_map(|line| serde_json::from_str(line).ok());
    (code, json.unwrap_or_else(|| panic!("no JSON in:\n{stdout}\n{stderr}")))
}

#[test]
fn the_simulator_and_real_daemons_agree() {
    // The daemons are the ones beside the simulator.
    assert!(binary("annulus").is_file());
    let file = |name: &str| repository().join("scenarios/parity").join(name).with_extension("toml");
    // All run at once, because they mostly wait.
    let real: Vec<KillOnDrop> = SCENARIOS.map(|name| start(&file(name), &["--on", "loopback"])).into();
    let mut findings = Vec::new();
    for (name, real) in SCENARIOS.into_iter().zip(real) {
        let (code, simulated) = finish(start(&file(name), &[]));
        assert_eq!((code, &simulated["outcome"]), (Some(0), &Value::from("pass")), "{name}: {simulated}");
        let (code, real) = finish(real);
        assert!(real["holdings"].as_object().is_some_and(|all| all.len() >= 2), "{name}: {real}");
        if (code, &real["outcome"], &real["holdings"])
            != (Some(0), &simulated["outcome"], &simulated["holdings"])
        {
            findings.push(format!("{name}:\n  simulated {simulated}\n  real {real}"));
        }
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}
