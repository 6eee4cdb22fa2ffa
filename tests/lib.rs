//! Helpers that the tests across crates share: the built binaries, free ports, temporary roots, waiting with a
//! deadline.
#![expect(clippy::disallowed_methods, reason = "tests of real processes wait in real time")]

pub mod modules;
mod process;
pub mod source;

pub use process::KillOnDrop;

use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The repository's top folder.
///
/// # Panics
/// When the test runs neither under cargo nor from a build folder inside the repository.
#[must_use]
pub fn repository() -> PathBuf {
    let start = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(test_executable, PathBuf::from);
    let is_top = |folder: &&Path| folder.join("Cargo.lock").is_file() && folder.join("core").is_dir();
    start.ancestors().find(is_top).expect("tests run from inside the repository").to_path_buf()
}

/// The built binary of that name, of the profile that this test was built with.
///
/// `cargo test --workspace` builds both binaries first, because each has an integration test in its own
/// package. Where this crate's tests are run alone, a missing binary is built here; one that exists is taken.
///
/// # Panics
/// When it cannot be built.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    static BUILDING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = BUILDING.lock();
    // The test lies in target/PROFILE/deps, the binary in target/PROFILE.
    let executable = test_executable();
    let folder = executable.ancestors().nth(2).expect("a test lies two folders deep");
    let path = folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    if !path.is_file() {
        build(name, folder);
    }
    assert!(path.is_file(), "{} is not there; run `cargo build --bin {name}`", path.display());
    path
}

fn build(name: &str, profile_folder: &Path) {
    let profile = match profile_folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(other) => other,
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command.current_dir(repository()).args(["build", "--workspace", "--bin", name, "--profile", profile]);
    if let Some(target) = profile_folder.parent() {
        command.arg("--target-dir").arg(target);
    }
    let status = command.status().expect("cargo runs");
    assert!(status.success(), "cargo could not build {name}: {status}");
}

fn test_executable() -> PathBuf {
    std::env::current_exe().expect("the test knows its own path")
}

/// A port that is free on loopback at this moment, for UDP and TCP both.
///
/// Another process can take it before it is used; prefer port 0 wherever the daemon reports what it got.
///
/// # Errors
/// The operating system has no port left.
pub fn free_port() -> io::Result<u16> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..100 {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = tcp.local_addr()?.port();
        match UdpSocket::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(_) => return Ok(port),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// An empty folder that vanishes with the test.
///
/// # Errors
/// The folder for temporary files cannot be written.
pub fn temp_root() -> io::Result<TempDir> {
    tempfile::Builder::new().prefix("annulus-test-").tempdir()
}

/// Asks until there is an answer, without assuming how long anything takes.
///
/// # Panics
/// When there is none within `limit`; the message names the awaited answer.
pub fn wait_for<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begin.elapsed() < limit, "waited {limit:?} for {what} in vain");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_found() {
        assert!(repository().join("tests/lib.rs").is_file());
    }

    #[test]
    fn a_free_port_can_be_bound() {
        let port = free_port().expect("a port");
        assert!(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok());
    }

    #[test]
    fn waiting_ends_with_the_answer() {
        let mut asked = 0;
        let answer = wait_for("the third try", Duration::from_secs(10), || {
            asked += 1;
            (asked == 3).then_some(asked)
        });
        assert_eq!(answer, 3);
    }

    #[test]
    #[should_panic(expected = "for rain in vain")]
    fn waiting_ends_without_one_too() {
        wait_for("rain", Duration::from_millis(1), || None::<()>);
    }
}
