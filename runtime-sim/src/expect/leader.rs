//! The statement `leader`: a member leads a group.

use annulus_core::ServiceName;
use serde::Deserialize;
use toml::Spanned;

use super::room::{Look, Room};
use crate::engine::host::HostId;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text::Names;

/// That host, and no other, acts as the leader of a service's group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    /// The service.
    pub service: ServiceName,
    /// The host that is to lead.
    pub host: HostId,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    leader: Spanned<String>,
    of_service: Option<Spanned<String>>,
}

impl Room for Leader {
    type Form = Form;

    const WORDS: &'static [Word] = &[Word {
        key: "leader",
        beside: "`of_service` (required)",
        example: "leader = \"ada\", of_service = \"redis\"",
        doc: "that member, and no other, acts as the leader of the service's group",
    }];

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Option<Self> {
        let Some(service) = &form.of_service else {
            let help = "add of_service = \"redis\"";
            reading.wrong(form.leader.span(), "`leader` does not name the service", help);
            return None;
        };
        let host = reading.host(&form.leader)?;
        Some(Self { service: reading.parsed(service, "a service", "web")?, host })
    }

    fn write(&self, names: &Names<'_>) -> String {
        format!("leader = {:?}\nof_service = {:?}", names.one(self.host), self.service.as_str())
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { host: hosts.one(self.host)?, ..self.clone() })
    }

    fn holds(&self, look: &Look<'_>) -> Result<(), String> {
        let (acting, found) = acting(look, &self.service);
        if acting == [self.host] { Ok(()) } else { Err(found) }
    }
}

/// The hosts that act as the leader of a service's group, and the same in words.
pub(super) fn acting(look: &Look<'_>, service: &ServiceName) -> (Vec<HostId>, String) {
    let acting = look.scene.acting(service);
    let names: Vec<&str> = acting.iter().map(|host| look.name(*host)).collect();
    let found = match names.as_slice() {
        [] => String::from("no member acts as the leader"),
        [one] => format!("{one} acts as the leader"),
        more => format!("{} act as the leader", more.join(" and ")),
    };
    (acting, found)
}
