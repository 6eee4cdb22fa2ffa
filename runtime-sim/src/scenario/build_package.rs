//! `[[at]]`: how a service's package behaves, and the load that is sent to it.

use std::collections::BTreeSet;
use std::time::Duration;

use annulus_core::{Health, Hook};
use toml::Spanned;

use super::build::Context;
use super::build_at::service_name;
use super::problem::Problems;
use super::schema::{At, SpannedNames};
use crate::action::Action;
use crate::engine::package::{Balancer, Package};

/// Time between two looks of a load balancer that does not say.
const CHECK: Duration = Duration::from_secs(1);
/// Time between two of its requests.
const EVERY: Duration = Duration::from_millis(20);

/// `package` and `balance`.
pub(super) fn meaning(
    name: &str,
    at: &At,
    context: &Context<'_>,
    problems: &mut Problems<'_>,
) -> Vec<Action> {
    let Some(word) = at.package.as_ref().or(at.balance.as_ref()) else { return Vec::new() };
    let Some(service) = service_name(word, problems) else { return Vec::new() };
    let Some(on) = &at.on else {
        problems.add(
            word.span(),
            format!("`{name}` does not say where"),
            "add on = \"ada\", or on = \"all\"",
        );
        return Vec::new();
    };
    let hosts = context.directory.hosts(on, problems);
    let service = service.as_str().to_owned();
    let time = |time: &Option<Spanned<super::value::Time>>| time.as_ref().map(|time| time.get_ref().0);
    if name == "balance" {
        let (check, every) = (time(&at.check).unwrap_or(CHECK), time(&at.every).unwrap_or(EVERY));
        if check.is_zero() || every.is_zero() {
            problems.add(word.span(), "a time of zero never ends", "use 1ms at least for check and every");
            return Vec::new();
        }
        return vec![Action::Balance(Box::new(Balancer { service, hosts, check, every }))];
    }
    let flag = |flag: &Option<Spanned<bool>>| flag.as_ref().is_some_and(|flag| *flag.get_ref());
    let package = Package {
        hooks: hooks(&at.hooks, problems),
        hanging: hooks(&at.hanging, problems),
        failing: hooks(&at.failing, problems),
        lives: time(&at.lives),
        health: at.health.as_ref().and_then(|word| health(word, problems)),
        drain: time(&at.drain),
        bind: at.bind.as_ref().map(|bind| bind.get_ref().clone()),
        survives: flag(&at.survives),
        configured: flag(&at.configured),
    };
    let action =
        |host| Action::Package { host, service: service.clone(), package: Box::new(package.clone()) };
    hosts.into_iter().map(action).collect()
}

fn hooks(names: &Option<SpannedNames>, problems: &mut Problems<'_>) -> BTreeSet<Hook> {
    let mut hooks = BTreeSet::new();
    for (span, word) in names.iter().flat_map(|names| names.get_ref().at(&names.span())) {
        match word.parse() {
            Ok(hook) => drop(hooks.insert(hook)),
            Err(_) => {
                let known: Vec<&str> = Hook::ALL.iter().map(|hook| hook.name()).collect();
                problems.add(
                    span,
                    format!("\"{word}\" is no hook"),
                    format!("write one of {}", known.join(", ")),
                );
            }
        }
    }
    hooks
}

fn health(word: &Spanned<String>, problems: &mut Problems<'_>) -> Option<Health> {
    let health = word.get_ref().parse().ok();
    if health.is_none() {
        let known: Vec<&str> = Health::ALL.iter().map(|health| health.name()).collect();
        problems.add(
            word.span(),
            format!("\"{}\" is no health", word.get_ref()),
            format!("write one of {}", known.join(", ")),
        );
    }
    health
}
