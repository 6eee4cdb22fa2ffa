//! The action `balance`: clients send requests to a service through a load balancer.

use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::ActionError;
use super::room::{Cast, Ground, Room, Traced, service_on};
use super::world::World;
use crate::engine::package::Balancer;
use crate::engine::process::name;
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::need::Need;
use crate::form::reading::Reading;
use crate::form::text;
use crate::form::text::Names;
use crate::form::value::Time;

/// Time between two looks of a load balancer that does not say.
const CHECK: Duration = Duration::from_secs(1);
/// Time between two of its requests.
const EVERY: Duration = Duration::from_millis(20);

/// From now on, clients send requests to a service through a load balancer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balance {
    /// The service, its hosts, and how often it is asked and used.
    pub balancer: Box<Balancer>,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    balance: Spanned<String>,
    on: Option<SpannedNames>,
    check: Option<Spanned<Time>>,
    every: Option<Spanned<Time>>,
}

impl Room for Balance {
    type Form = Form;

    const WORD: Word = Word {
        key: "balance",
        beside: "`on`: where it runs, `check`: time between two looks [\"1s\"], `every`: time between two requests [\"20ms\"]",
        example: "balance = \"web\", on = \"all\", check = \"1s\", every = \"20ms\"",
        doc: "clients send requests through a load balancer, which asks each host now and then whether it takes work",
    };

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        let Some((service, hosts)) = service_on(Self::WORD.key, &form.balance, form.on.as_ref(), reading)
        else {
            return Vec::new();
        };
        let time = |time: Option<Spanned<Time>>, usual| time.map_or(usual, |time| time.into_inner().0);
        let (check, every) = (time(form.check, CHECK), time(form.every, EVERY));
        if check.is_zero() || every.is_zero() {
            let help = "use 1ms at least for check and every";
            reading.wrong(form.balance.span(), "a time of zero never ends", help);
            return Vec::new();
        }
        vec![Self { balancer: Box::new(Balancer { service, hosts, check, every }) }]
    }

    fn write(&self, names: &Names<'_>) -> String {
        let Balancer { service, hosts, check, every } = &*self.balancer;
        let (hosts, check, every) = (names.list(hosts), text::time(*check), text::time(*every));
        format!("\nbalance = {service:?}\non = {hosts}\ncheck = {check}\nevery = {every}")
    }

    fn words(&self, _: &Cast<'_>) -> String {
        format!("clients send requests to {} through a load balancer.", self.balancer.service)
    }

    fn traced(&self) -> Traced {
        Traced::everywhere("balance")
    }

    fn counted(&self) -> &'static str {
        "load"
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        let left = hosts.some(&self.balancer.hosts).filter(|left| !left.is_empty())?;
        Some(Self { balancer: Box::new(Balancer { hosts: left, ..(*self.balancer).clone() }) })
    }

    fn needs(&self) -> Vec<Need> {
        vec![Need::Loaded { service: self.balancer.service.clone(), host: None }]
    }

    fn check(&self, _: &dyn Ground) -> Result<(), ActionError> {
        name(&self.balancer.service)?;
        Ok(())
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        Ok(world.add_balancer((*self.balancer).clone())?)
    }
}
