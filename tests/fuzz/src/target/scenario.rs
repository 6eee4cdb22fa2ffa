//! A scenario file of the simulator: a plan that was read survives being written and read again.

use annulus_sim::scenario::{parse, to_toml};

use super::{MIB, Seen, Target};
use crate::mutate::text;

pub(super) const TARGET: Target = Target {
    name: "scenario",
    about: "scenario files of the simulator, with a round trip of what was read",
    run,
    mutate: text::mutate,
    seeds,
    tell: None,
    bytes_max: 16 * 1024,
    memory_max: 64 * MIB,
};

fn run(bytes: &[u8]) -> Seen {
    let Ok(text) = std::str::from_utf8(bytes) else { return Seen::refused("no text") };
    match parse("fuzz.toml", text) {
        Err(problems) => {
            for problem in &problems {
                assert!(!problem.to_string().is_empty(), "every mistake is told");
            }
            Seen::refused(
                &problems
                    .first()
                    .map(|problem| super::last_line(&problem.to_string()).to_owned())
                    .unwrap_or_default(),
            )
        }
        Ok(plan) => {
            let written = to_toml(&plan);
            let again = parse("fuzz.toml", &written);
            let again =
                again.unwrap_or_else(|problems| panic!("a written plan is read: {}\n{written}", problems[0]));
            assert_eq!(plan.actions.len(), again.actions.len(), "actions survive: {written}");
            assert_eq!(plan.duration, again.duration, "the duration survives");
            Seen::accepted(&format!("{}", plan.expectations.len().min(8)), plan.actions.len())
        }
    }
}

fn seeds() -> Vec<Vec<u8>> {
    crate::corpus::files_below("scenarios", "toml")
        .into_iter()
        .filter(|text| text.len() < 3_000)
        .step_by(7)
        .collect()
}
