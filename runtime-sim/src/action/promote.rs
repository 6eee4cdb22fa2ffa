//! The actions `promote` and `demote`: a channel gets a build, or loses it. A channel names the newest build that it holds.

use serde::Deserialize;
use toml::Spanned;

use super::ActionError;
use super::publish::build_words;
use super::room::{Cast, Ground, Room, Traced};
use super::world::World;
use crate::engine::process::{build, name};
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text::Names;

/// Makes both rooms: the type, its key, and which way the build goes.
macro_rules! ways {
    ($($(#[$doc:meta])* $name:ident in $form:ident {
        key: $key:ident, example: $example:literal, doc: $about:literal, words: $words:literal, up: $up:literal,
    })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            /// The service's name.
            pub service: String,
            /// The version of the build.
            pub version: String,
            /// The channel.
            pub channel: String,
        }

        /// Its table.
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $form {
            $key: Spanned<String>,
            version: Option<Spanned<String>>,
            channel: Option<Spanned<String>>,
        }

        impl Room for $name {
            type Form = $form;

            const WORD: Word = Word {
                key: stringify!($key),
                beside: "`version` (required), `channel` [stable]",
                example: $example,
                doc: $about,
            };

            fn read(form: $form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
                let words = build_words(&form.$key, form.version.as_ref(), reading);
                let Some((service, version)) = words else { return Vec::new() };
                let channel = form.channel.map_or_else(|| String::from("stable"), Spanned::into_inner);
                vec![Self { service, version, channel }]
            }

            fn write(&self, _: &Names<'_>) -> String {
                let Self { service, version, channel } = self;
                let key = stringify!($key);
                format!("\n{key} = {service:?}\nversion = {version:?}\nchannel = {channel:?}")
            }

            fn words(&self, _: &Cast<'_>) -> String {
                let Self { service, version, channel } = self;
                format!("build {version} of {service} is {} {channel}.", $words)
            }

            fn traced(&self) -> Traced {
                Traced { service: Some(self.service.clone()), ..Traced::everywhere(stringify!($key)) }
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
                    world.promote(&build, &self.channel, $up);
                }
                Ok(())
            }
        }
    )+};
}

ways! {
    /// A channel gets a build.
    Promote in PromoteForm {
        key: promote,
        example: "promote = \"web\", version = \"1.1\"",
        doc: "a channel of the depot gets a build",
        words: "promoted to",
        up: true,
    }
    /// A channel loses a build.
    Demote in DemoteForm {
        key: demote,
        example: "demote = \"web\", version = \"1.1\"",
        doc: "a channel of the depot loses a build",
        words: "demoted from",
        up: false,
    }
}
