//! The statement `leader`: a member leads a group.

use annulus_core::ServiceGroup;
use serde::Deserialize;
use toml::Spanned;

use super::room::{Look, Room};
use crate::engine::host::HostId;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::need::Need;
use crate::form::reading::Reading;
use crate::form::text::{self, Names};

/// That host, and no other, acts as the leader of a service's group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    /// The group.
    pub group: ServiceGroup,
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
        beside: "`of_service`: the service, or `\"redis.cache\"` for another group than its default one (required)",
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
        Some(Self { group: reading.group(service)?, host })
    }

    fn write(&self, names: &Names<'_>) -> String {
        format!("leader = {:?}\nof_service = {:?}", names.one(self.host), text::group(&self.group))
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { host: hosts.one(self.host)?, ..self.clone() })
    }

    fn needs(&self) -> Vec<Need> {
        vec![Need::Led { group: self.group.clone(), host: Some(self.host) }]
    }

    fn holds(&self, look: &Look<'_>) -> Result<(), String> {
        let (acting, found) = acting(look, &self.group);
        if acting == [self.host] { Ok(()) } else { Err(found) }
    }
}

/// The hosts that act as the leader of a service's group, and the same in words.
pub(super) fn acting(look: &Look<'_>, group: &ServiceGroup) -> (Vec<HostId>, String) {
    let acting = look.scene.acting(group);
    let names: Vec<&str> = acting.iter().map(|host| look.name(*host)).collect();
    let found = match names.as_slice() {
        [] => String::from("no member acts as the leader"),
        [one] => format!("{one} acts as the leader"),
        more => format!("{} act as the leader", more.join(" and ")),
    };
    (acting, found)
}
