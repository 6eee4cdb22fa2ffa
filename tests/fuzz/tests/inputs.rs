//! Every input of the repository is run: those that loops begin with, and those that failed once.

use annulus_fuzz::{corpus, guarded, target};

#[test]
fn the_inputs_of_the_repository_pass() {
    let mut findings = Vec::new();
    for target in target::ALL {
        let mut accepted = 0;
        let begin = corpus::read(&corpus::folder(target));
        assert!(
            !begin.is_empty(),
            "{} has inputs to begin with: annulus-fuzz corpus makes them",
            target.name
        );
        for (path, input) in begin.iter().chain(&corpus::read(&corpus::regression(target))) {
            match guarded::run(target, input) {
                Ok(seen) => accepted += u32::from(seen.accepted),
                Err(failure) => findings.push(format!("{}: {failure}", path.display())),
            }
        }
        assert!(accepted > 0, "{}: an input gets past the decoder", target.name);
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}
