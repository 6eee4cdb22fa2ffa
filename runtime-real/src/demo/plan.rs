//! The example plan, carried in the binary, so that the demonstration needs nothing else.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// What `svc load` is told.
pub(super) const IDENT: &str = "annulus/responder";

macro_rules! file {
    ($name:literal, $mode:literal) => {
        ($name, include_str!(concat!("../../../scenarios/plans/responder/", $name)), $mode)
    };
}

const FILES: [(&str, &str, u32); 7] = [
    file!("plan.toml", 0o644),
    file!("default.toml", 0o644),
    file!("config/about.txt", 0o644),
    file!("hooks/drain", 0o755),
    file!("hooks/health-check", 0o755),
    file!("hooks/post-stop", 0o755),
    file!("hooks/run", 0o755),
];

/// Writes the plan's files into a directory, which is made.
pub(super) fn write(dir: &Path) -> io::Result<()> {
    for (name, text, mode) in FILES {
        let path = dir.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_of_the_plan_is_left_out() {
        fn count(dir: &Path) -> usize {
            let entries =
                fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path());
            entries.map(|path| if path.is_dir() { count(&path) } else { 1 }).sum()
        }
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/plans/responder");
        assert_eq!(count(&source), FILES.len());
        let dir = tempfile::tempdir().expect("dir");
        write(dir.path()).expect("written");
        assert_eq!(count(dir.path()), FILES.len());
    }
}
