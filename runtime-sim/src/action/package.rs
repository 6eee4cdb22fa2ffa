//! The action `package`: a service's package behaves as the entry says from now on.

use std::collections::BTreeSet;

use annulus_core::{Demoted, Health, Hook};
use serde::Deserialize;
use toml::Spanned;

use super::ActionError;
use super::room::{Cast, Ground, Room, Traced, service_line, service_on};
use super::world::World;
use crate::engine::ids::HostId;
use crate::engine::link::Delay;
use crate::engine::package::Package;
use crate::engine::process::name;
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text;
use crate::form::text::Names;
use crate::form::value::{Latency, Time};

/// From now on, a service's package behaves so on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetPackage {
    /// The host.
    pub host: HostId,
    /// The service's name.
    pub service: String,
    /// The new behaviour.
    pub package: Box<Package>,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    package: Spanned<String>,
    on: Option<SpannedNames>,
    hooks: Option<SpannedNames>,
    hanging: Option<SpannedNames>,
    failing: Option<SpannedNames>,
    lives: Option<Spanned<Time>>,
    health: Option<Spanned<String>>,
    shutdown: Option<Spanned<Time>>,
    drain: Option<Spanned<Time>>,
    bind: Option<Spanned<String>>,
    configured: Option<Spanned<bool>>,
    shows_part: Option<Spanned<bool>>,
    failures: Option<Spanned<u32>>,
    hooks_take: Option<Spanned<Latency>>,
    demoted: Option<Spanned<String>>,
    starts_in: Option<Spanned<Latency>>,
    stops_in: Option<Spanned<Latency>>,
    ignores_stop: Option<Spanned<bool>>,
    children: Option<Spanned<Latency>>,
}

impl Room for SetPackage {
    type Form = Form;

    const WORD: Word = Word {
        key: "package",
        beside: "`on` (required), and the keys below",
        example: "package = \"web\", on = \"ada\", hooks = [\"post-stop\"], hanging = \"init\", drain = \"8s\"",
        doc: "from now on a service's package behaves so: its hooks, how long it runs, what its health check says",
    };

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        let Some((service, hosts)) = service_on(Self::WORD.key, &form.package, form.on.as_ref(), reading)
        else {
            return Vec::new();
        };
        let time = |time: Option<Spanned<Time>>| time.map(|time| time.into_inner().0);
        let flag = |flag: Option<Spanned<bool>>| flag.is_some_and(Spanned::into_inner);
        let package = Package {
            hooks: hooks(form.hooks.as_ref(), reading),
            hanging: hooks(form.hanging.as_ref(), reading),
            failing: hooks(form.failing.as_ref(), reading),
            lives: time(form.lives),
            health: form.health.and_then(|word| health(&word, reading)),
            shutdown: time(form.shutdown),
            drain: time(form.drain),
            bind: form.bind.map(Spanned::into_inner),
            configured: flag(form.configured),
            shows_part: flag(form.shows_part),
            failures: form.failures.map(Spanned::into_inner),
            hooks_take: form.hooks_take.map(delay),
            demoted: form.demoted.map_or_else(Demoted::default, |word| demoted(&word, reading)),
            starts_in: form.starts_in.map(delay),
            stops_in: form.stops_in.map(delay),
            ignores_stop: flag(form.ignores_stop),
            children: form.children.map(delay),
        };
        let on = |host| Self { host, service: service.clone(), package: Box::new(package.clone()) };
        hosts.into_iter().map(on).collect()
    }

    fn write(&self, names: &Names<'_>) -> String {
        let package = &self.package;
        let mut text = service_line(Self::WORD.key, &self.service, self.host, names);
        for (key, hooks) in
            [("hooks", &package.hooks), ("hanging", &package.hanging), ("failing", &package.failing)]
        {
            let hooks: Vec<String> = hooks.iter().map(|hook| format!("{:?}", hook.name())).collect();
            if !hooks.is_empty() {
                text.push_str(&format!("\n{key} = [{}]", hooks.join(", ")));
            }
        }
        text.extend(package.lives.map(|time| format!("\nlives = {}", text::time(time))));
        text.extend(package.shutdown.map(|time| format!("\nshutdown = {}", text::time(time))));
        text.extend(package.drain.map(|time| format!("\ndrain = {}", text::time(time))));
        text.extend(package.health.map(|health| format!("\nhealth = {:?}", health.name())));
        text.extend(package.bind.as_ref().map(|bind| format!("\nbind = {bind:?}")));
        text.extend(package.failures.map(|most| format!("\nfailures = {most}")));
        let span = |key: &str, delay: Option<Delay>| {
            delay.map(|Delay { min, max }| format!("\n{key} = {}", text::span(min, max)))
        };
        text.extend(span("hooks_take", package.hooks_take));
        text.extend(span("starts_in", package.starts_in));
        text.extend(span("stops_in", package.stops_in));
        text.extend(span("children", package.children));
        if package.demoted != Demoted::default() {
            text.push_str(&format!("\ndemoted = {:?}", package.demoted.name()));
        }
        text.push_str(if package.configured { "\nconfigured = true" } else { "" });
        text.push_str(if package.shows_part { "\nshows_part = true" } else { "" });
        text.push_str(if package.ignores_stop { "\nignores_stop = true" } else { "" });
        text
    }

    fn words(&self, cast: &Cast<'_>) -> String {
        format!(
            "from now on the package of {} on {} behaves as it is told.",
            self.service,
            cast.name(self.host)
        )
    }

    fn traced(&self) -> Traced {
        Traced::of_service("package", self.host, &self.service)
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { host: hosts.one(self.host)?, ..self.clone() })
    }

    fn check(&self, _: &dyn Ground) -> Result<(), ActionError> {
        name(&self.service)?;
        Ok(())
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        world.set_package(self.host.0, name(&self.service)?, (*self.package).clone());
        Ok(())
    }
}

fn hooks(names: Option<&SpannedNames>, reading: &mut Reading<'_, '_>) -> BTreeSet<Hook> {
    let mut hooks = BTreeSet::new();
    for (span, word) in names.into_iter().flat_map(|names| names.get_ref().at(&names.span())) {
        match word.parse() {
            Ok(hook) => drop(hooks.insert(hook)),
            Err(_) => {
                let known: Vec<&str> = Hook::ALL.iter().map(|hook| hook.name()).collect();
                let help = format!("write one of {}", known.join(", "));
                reading.wrong(span, format!("\"{word}\" is no hook"), help);
            }
        }
    }
    hooks
}

fn delay(range: Spanned<Latency>) -> Delay {
    let Latency { min, max } = range.into_inner();
    Delay { min, max }
}

fn demoted(word: &Spanned<String>, reading: &mut Reading<'_, '_>) -> Demoted {
    let demoted = word.get_ref().parse();
    if demoted.is_err() {
        let known: Vec<&str> = Demoted::ALL.iter().map(|demoted| demoted.name()).collect();
        let help = format!("write one of {}", known.join(", "));
        reading.wrong(word.span(), format!("\"{}\" is nothing that a process does", word.get_ref()), help);
    }
    demoted.unwrap_or_default()
}

fn health(word: &Spanned<String>, reading: &mut Reading<'_, '_>) -> Option<Health> {
    let health = word.get_ref().parse().ok();
    if health.is_none() {
        let known: Vec<&str> = Health::ALL.iter().map(|health| health.name()).collect();
        let help = format!("write one of {}", known.join(", "));
        reading.wrong(word.span(), format!("\"{}\" is no health", word.get_ref()), help);
    }
    health
}
