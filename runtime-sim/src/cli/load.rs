//! Scenario files on the disk. This module only reads text; `scenario` understands it.

use std::fs;
use std::path::Path;

use crate::scenario::{Plan, Problem, parse};

impl Plan {
    /// Reads and checks a scenario file.
    ///
    /// # Errors
    /// Every mistake that was found, in the order of the file.
    pub fn load(path: &Path) -> Result<Self, Vec<Problem>> {
        let file = path.display().to_string();
        let source = fs::read_to_string(path).map_err(|error| {
            vec![Problem::whole_file(
                &file,
                format!("cannot be read: {error}"),
                "name a scenario file, for example one below scenarios/",
            )]
        })?;
        parse(&file, &source)
    }
}
