//! The actions `start`, `stop`, `restart_service`, `unload` and `undrain_service`: orders of an operator about a loaded
//! service that need no more than its name.

use annulus_core::{Command, StopHow};
use serde::Deserialize;
use toml::Spanned;

use super::ActionError;
use super::room::{Cast, Ground, PROCESS, Room, Traced, expect, service_line, service_on};
use super::world::World;
use crate::engine::host::HostId;
use crate::engine::process::name;
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::need::Need;
use crate::form::reading::Reading;
use crate::form::text::Names;

/// Makes a room for each order: its type, its key and what is special about it.
macro_rules! orders {
    ($($(#[$doc:meta])* $name:ident in $form:ident {
        key: $key:ident, example: $example:literal, doc: $about:literal,
        verb: $verb:literal, traced: $traced:literal, counted: $counted:literal,
        command: $service:ident => $command:expr,
    })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            /// The host.
            pub host: HostId,
            /// The service's name.
            pub service: String,
        }

        /// Its table.
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $form {
            $key: Spanned<String>,
            on: Option<SpannedNames>,
        }

        impl Room for $name {
            type Form = $form;

            const WORD: Word =
                Word { key: stringify!($key), beside: "`on` (required)", example: $example, doc: $about };

            const COMMAND: bool = true;

            fn read(form: $form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
                match service_on(Self::WORD.key, &form.$key, form.on.as_ref(), reading) {
                    Some((service, hosts)) => {
                        hosts.into_iter().map(|host| Self { host, service: service.clone() }).collect()
                    }
                    None => Vec::new(),
                }
            }

            fn write(&self, names: &Names<'_>) -> String {
                service_line(Self::WORD.key, &self.service, self.host, names)
            }

            fn words(&self, cast: &Cast<'_>) -> String {
                format!("an operator {} {} on {}.", $verb, self.service, cast.name(self.host))
            }

            fn traced(&self) -> Traced {
                Traced::of_service($traced, self.host, &self.service)
            }

            fn counted(&self) -> &'static str {
                $counted
            }

            fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
                Some(Self { host: hosts.one(self.host)?, ..self.clone() })
            }

            fn needs(&self) -> Vec<Need> {
                vec![Need::loaded(&self.service, self.host)]
            }

            fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
                name(&self.service)?;
                expect(ground, self.host, "change a service", PROCESS)
            }

            fn act(&self, world: &mut World) -> Result<(), ActionError> {
                let $service = name(&self.service)?;
                world.command(self.host, $command);
                Ok(())
            }
        }
    )+};
}

orders! {
    /// `svc start` at a host.
    StartService in StartForm {
        key: start,
        example: "start = \"web\", on = \"ada\"",
        doc: "want a loaded service up",
        verb: "starts",
        traced: "start-service",
        counted: "service start",
        command: service => Command::StartService { service },
    }
    /// `svc stop` at a host.
    StopService in StopForm {
        key: stop,
        example: "stop = \"web\", on = \"ada\"",
        doc: "want a loaded service down; it stays loaded",
        verb: "stops",
        traced: "stop-service",
        counted: "service stop",
        command: service => Command::StopService { service, how: StopHow::default() },
    }
    /// `svc restart` at a host.
    RestartService in RestartForm {
        key: restart_service,
        example: "restart_service = \"web\", on = \"ada\"",
        doc: "stop a service in order and start it again; its spec stays as it is",
        verb: "restarts",
        traced: "restart-service",
        counted: "service restart",
        command: service => Command::RestartService { service },
    }
    /// `svc unload` at a host.
    UnloadService in UnloadForm {
        key: unload,
        example: "unload = \"web\", on = \"ada\"",
        doc: "stop a service and forget it",
        verb: "unloads",
        traced: "unload-service",
        counted: "service unload",
        command: service => Command::UnloadService { service, how: StopHow::default() },
    }
    /// `svc undrain` at a host.
    UndrainService in UndrainForm {
        key: undrain_service,
        example: "undrain_service = \"web\", on = \"ada\"",
        doc: "let a drained service take new work again",
        verb: "ends the draining of",
        traced: "undrain-service",
        counted: "service undrain",
        command: service => Command::UndrainService { service },
    }
}
