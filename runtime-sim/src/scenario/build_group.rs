//! `[[expect]]` about what operators give to service groups.

use annulus_core::{FileName, RumorKey, ServiceGroup};
use toml::Spanned;

use super::plan::{What, Who};
use super::schema::Expect;
use crate::form::problem::Problems;

/// `version_held`.
pub(super) fn version_held(expect: &Expect, seen_by: Who, problems: &mut Problems<'_>) -> Option<What> {
    let word = expect.version_held.as_ref()?;
    let Some(group) = &expect.group else {
        problems.add(
            word.span(),
            "`version_held` does not say of which group",
            "add group = \"web.default\", and file = \"users.acl\" where a file is meant",
        );
        return None;
    };
    let group = parsed::<ServiceGroup>(group, "a service group", "web.default", problems)?;
    let key = match &expect.file {
        None => RumorKey::ServiceConfig(group),
        Some(file) => {
            let name = parsed::<FileName>(file, "a file", "users.acl", problems)?;
            RumorKey::ServiceFile { group, name }
        }
    };
    Some(What::Version { key, version: *word.get_ref(), seen_by })
}

fn parsed<T: std::str::FromStr<Err = annulus_core::ParseError>>(
    word: &Spanned<String>,
    what: &str,
    example: &str,
    problems: &mut Problems<'_>,
) -> Option<T> {
    match word.get_ref().parse() {
        Ok(parsed) => Some(parsed),
        Err(error) => {
            problems.add(
                word.span(),
                format!("\"{}\" cannot be {what}", word.get_ref()),
                format!("{error}, for example \"{example}\""),
            );
            None
        }
    }
}
