//! The action `publish`: a build comes into the depot, into the channel unstable.

use serde::Deserialize;
use toml::Spanned;

use super::ActionError;
use super::room::{Cast, Ground, Room, Traced};
use super::world::World;
use crate::engine::depot::BuildKind;
use crate::engine::process::{build, name};
use crate::form::entry::Word;
use crate::form::keys;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text;
use crate::form::text::Names;
use crate::form::value::Time;

/// `pkg upload` of a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// The service's name; its package is `sim/<name>`.
    pub service: String,
    /// The version.
    pub version: String,
    /// How its processes behave.
    pub kind: BuildKind,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    publish: Spanned<String>,
    version: Option<Spanned<String>>,
    is: Option<Spanned<Is>>,
    lives: Option<Spanned<Time>>,
}

/// The word for how a build behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Is {
    Good,
    Crashing,
    NeverWell,
    Dying,
    NeedsConfig,
    Forged,
}

/// A version that a build can have.
pub(super) fn version_word(
    service: &str,
    word: &Spanned<String>,
    reading: &mut Reading<'_, '_>,
) -> Option<String> {
    let version = word.get_ref();
    if build(service, version).is_none() {
        reading.wrong(word.span(), format!("{version:?} cannot be a version"), "write one such as \"1.1\"");
        return None;
    }
    Some(version.clone())
}

/// The service and the version of an entry about a build.
pub(super) fn build_words(
    service: &Spanned<String>,
    version: Option<&Spanned<String>>,
    reading: &mut Reading<'_, '_>,
) -> Option<(String, String)> {
    let named: annulus_core::ServiceName = reading.parsed(service, "a service", "web")?;
    let named = named.as_str().to_owned();
    let Some(version) = version else {
        let message = "it is not said which build";
        reading.wrong(service.span(), message, "add version = \"1.1\"");
        return None;
    };
    let version = version_word(&named, version, reading)?;
    Some((named, version))
}

impl Room for Publish {
    type Form = Form;

    const WORD: Word = Word {
        key: "publish",
        beside: "`version` (required); `is`: `good` (the default), `crashing`, `never-well`, `dying` with `lives`, `needs-config`: it fits once its group has configuration, or `forged`: its signature is wrong",
        example: "publish = \"web\", version = \"1.1\", is = \"dying\", lives = \"1min\"",
        doc: "a build of a package comes into the depot",
    };

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        let words = build_words(&form.publish, form.version.as_ref(), reading);
        let Some((service, version)) = words else { return Vec::new() };
        let kind = match form.is.map(Spanned::into_inner).unwrap_or(Is::Good) {
            Is::Good => BuildKind::Good,
            Is::Crashing => BuildKind::Crashes,
            Is::NeverWell => BuildKind::NeverWell,
            Is::NeedsConfig => BuildKind::Needs,
            Is::Forged => BuildKind::Forged,
            Is::Dying => match reading.required(form.publish.span(), form.lives, "lives = \"1min\"") {
                Some(Time(after)) => BuildKind::Dies(after),
                None => return Vec::new(),
            },
        };
        vec![Self { service, version, kind }]
    }

    fn write(&self, _: &Names<'_>) -> String {
        let mut text = format!("\npublish = {:?}\nversion = {:?}", self.service, self.version);
        let is = match self.kind {
            BuildKind::Good => None,
            BuildKind::Crashes => Some("crashing"),
            BuildKind::NeverWell => Some("never-well"),
            BuildKind::Needs => Some("needs-config"),
            BuildKind::Forged => Some("forged"),
            BuildKind::Dies(_) => Some("dying"),
        };
        text.extend(is.map(|is| format!("\nis = {is:?}")));
        if let BuildKind::Dies(after) = self.kind {
            text.push_str(&format!("\nlives = {}", text::time(after)));
        }
        text
    }

    fn words(&self, _: &Cast<'_>) -> String {
        let how = match self.kind {
            BuildKind::Good => "",
            BuildKind::Crashes => ", which crashes at once",
            BuildKind::NeverWell => ", which is never well",
            BuildKind::Needs => ", which needs configuration of its group",
            BuildKind::Forged => ", whose signature is wrong",
            BuildKind::Dies(_) => ", which dies after a while",
        };
        format!("build {} of {} is uploaded{how}.", self.version, self.service)
    }

    fn traced(&self) -> Traced {
        Traced { service: Some(self.service.clone()), ..Traced::everywhere("publish") }
    }

    fn values() -> Vec<(&'static str, Vec<&'static str>)> {
        vec![("is", keys::of::<Is>())]
    }

    fn moved(&self, _: &Moved<'_>) -> Option<Self> {
        Some(self.clone())
    }

    fn check(&self, _: &dyn Ground) -> Result<(), ActionError> {
        name(&self.service)?;
        Ok(())
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        if let Some(build) = build(&self.service, &self.version) {
            world.publish(build, self.kind);
        }
        Ok(())
    }
}
