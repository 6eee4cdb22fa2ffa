//! Who did what, when: one line of JSON for each change of a depot, in the order in which they came.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use annulus_core::UnixTime;
use serde_json::json;

use super::Error;
use crate::host::timestamp;

/// Who asked for a change.
#[derive(Clone, Debug)]
pub struct Actor {
    /// The token's id; none for a command on the depot's own host.
    pub token: Option<String>,
    /// Where the request came from.
    pub from: String,
}

impl Actor {
    /// A command on the depot's own host.
    #[must_use]
    pub fn local() -> Self {
        Self { token: None, from: "this host".to_owned() }
    }
}

/// Writes a change down.
pub(super) fn write(path: &Path, now: UnixTime, by: &Actor, what: &str, on: &str) -> Result<(), Error> {
    let line = json!({
        "time": timestamp::rfc3339_millis(now),
        "what": what,
        "on": on,
        "token": by.token,
        "from": by.from,
    });
    let mut options = OpenOptions::new();
    let mut file = options.append(true).create(true).mode(0o600).open(path).map_err(Error::io(path))?;
    file.write_all(format!("{line}\n").as_bytes()).map_err(Error::io(path))
}
