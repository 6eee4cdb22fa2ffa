//! `[[at]]` and `[[expect]]` about what operators give to service groups.

use annulus_core::{FileName, RumorKey, ServiceGroup};
use toml::Spanned;

use super::build::Context;
use super::plan::{What, Who};
use super::problem::Problems;
use super::schema::{At, Expect};
use crate::action::Action;
use crate::action::group::Given;

/// `apply_config` and `put_file`.
pub(super) fn given(name: &str, at: &At, context: &Context<'_>, problems: &mut Problems<'_>) -> Vec<Action> {
    let (Some(word), is_file) = (at.apply_config.as_ref().or(at.put_file.as_ref()), name == "put_file")
    else {
        return Vec::new();
    };
    let Some(group) = parsed::<ServiceGroup>(word, "a service group", "web.default", problems) else {
        return Vec::new();
    };
    let (Some(on), Some(version)) = (&at.on, &at.version) else {
        problems.add(
            word.span(),
            format!("`{name}` does not say where, or which version"),
            "add on = \"ada\" and version = 1",
        );
        return Vec::new();
    };
    let version = *version.get_ref();
    let file = match &at.file {
        Some(file) => match parsed::<FileName>(file, "a file", "users.acl", problems) {
            Some(file) => Some(file),
            None => return Vec::new(),
        },
        None if is_file => {
            problems.add(word.span(), "`put_file` does not name the file", "add file = \"users.acl\"");
            return Vec::new();
        }
        None => None,
    };
    let text =
        at.text.as_ref().map_or_else(|| format!("version = {version}\n"), |text| text.get_ref().clone());
    let bytes = at.bytes.as_ref().map_or(0, |bytes| *bytes.get_ref());
    let given = Given { group, file, version, text, bytes };
    let hosts = context.directory.hosts(on, problems);
    hosts.into_iter().map(|host| Action::Give { host, given: Box::new(given.clone()) }).collect()
}

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
