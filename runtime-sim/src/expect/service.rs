//! The statements `service_up` and `service_down`: a service runs, or does not, and members know it.

use annulus_core::{ServiceGroup, ServiceName, ServiceState};
use serde::Deserialize;
use toml::Spanned;

use super::room::{Look, Room, Who};
use crate::engine::host::HostId;
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::need::Need;
use crate::form::reading::Reading;
use crate::form::text::Names;

/// The service runs, or does not, on these hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The service.
    pub service: ServiceName,
    /// The group that it has to be in; none: any.
    pub group: Option<ServiceGroup>,
    /// Runs or not.
    pub up: bool,
    /// The hosts.
    pub on: Vec<HostId>,
    /// The members that have to know it by rumor; none: only the process is looked at.
    pub seen_by: Option<Who>,
    /// The version of the build that its process has to be of; none: any.
    pub version: Option<String>,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    service_up: Option<Spanned<String>>,
    service_down: Option<Spanned<String>>,
    on: Option<SpannedNames>,
    seen_by: Option<SpannedNames>,
    version: Option<Spanned<String>>,
}

impl Room for Service {
    type Form = Form;

    const WORDS: &'static [Word] = &[
        Word {
            key: "service_up",
            beside: "`on`: where (required); `seen_by`: the members that know it [none is asked]; `version`: of the build that its process is of [any]",
            example: "service_up = \"web\", on = \"ada\", seen_by = \"all\"",
            doc: "the service's process runs there, in that group where one is named (`\"redis.cache\"`), and with `seen_by` those members know it",
        },
        Word {
            key: "service_down",
            beside: "`on` (required); `seen_by`: the members that no longer believe in it; `version` stands beside `service_up` alone",
            example: "service_down = \"web\", on = \"ada\"",
            doc: "it does not run there and, with `seen_by`, those members know of no such service there",
        },
    ];

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Option<Self> {
        let up = form.service_up.is_some();
        let word = form.service_up.or(form.service_down)?;
        let Some(on) = &form.on else {
            let message =
                format!("`{}` does not name the host", if up { "service_up" } else { "service_down" });
            reading.wrong(word.span(), message, "add on = \"ada\", or on = \"all\"");
            return None;
        };
        let on = reading.hosts(on);
        if let Some(version) = form.version.as_ref().filter(|_| !up) {
            reading.wrong(version.span(), "what does not run has no version", "remove it");
        }
        let version = form.version.map(Spanned::into_inner);
        let seen_by = form.seen_by.map(|names| Who::read(Some(&names), reading));
        let group = match word.get_ref().contains('.') {
            true => Some(reading.group(&word)?),
            false => None,
        };
        let service = match &group {
            Some(group) => group.service().parse().ok()?,
            None => reading.parsed(&word, "a service", "web")?,
        };
        Some(Self { service, group, up, on, seen_by, version })
    }

    fn write(&self, names: &Names<'_>) -> String {
        let word = if self.up { "service_up" } else { "service_down" };
        let seen_by = self.seen_by.as_ref().map(|who| format!("\nseen_by = {}", who.write(names)));
        let service = self.group.as_ref().map_or(self.service.as_str(), ServiceGroup::as_str);
        let on = names.list(&self.on);
        let version = self.version.as_ref().map(|version| format!("\nversion = {version:?}"));
        format!(
            "{word} = {service:?}\non = {on}{}{}",
            seen_by.unwrap_or_default(),
            version.unwrap_or_default()
        )
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        let seen_by = match &self.seen_by {
            Some(who) => Some(who.moved(hosts)?),
            None => None,
        };
        Some(Self { on: hosts.some(&self.on)?, seen_by, ..self.clone() })
    }

    fn needs(&self) -> Vec<Need> {
        self.on.iter().map(|host| Need::loaded(self.service.as_str(), *host)).collect()
    }

    fn holds(&self, look: &Look<'_>) -> Result<(), String> {
        let Self { service, group, up, on, seen_by, version } = self;
        for host in on {
            let name = look.name(*host);
            let state = look.scene.service(*host, service);
            if (state == Some(ServiceState::Up)) != *up {
                let state = state.map_or("not loaded", ServiceState::name);
                return Err(format!("{service} is {state} on {name}"));
            }
            if let Some(version) = version {
                let build = look.scene.build(*host, service);
                if build.as_ref().and_then(|build| build.version()) != Some(version.as_str()) {
                    let runs = build.map_or_else(|| "nothing".to_owned(), |build| build.to_string());
                    return Err(format!("{service} on {name} runs {runs}"));
                }
            }
            let other =
                look.scene.group_of(*host, service).filter(|now| group.as_ref().is_some_and(|g| g != now));
            if let Some(now) = other.filter(|_| *up) {
                return Err(format!("{service} is in the group {now} on {name}"));
            }
            let Some(member) = look.scene.member_id(*host) else { continue };
            let observers = seen_by.as_ref().map_or_else(|| Ok(Vec::new()), |who| look.observers(who))?;
            for observer in observers {
                let known = look.scene.knows_service(observer, &member, service);
                if known != *up {
                    let knows = if known { "still believes in" } else { "knows nothing of" };
                    return Err(format!("{} {knows} {service} on {name}", look.name(observer)));
                }
            }
        }
        Ok(())
    }
}
