//! The statement `one_leader`: a group has exactly one leader; the statement leaves open which member it is.

use annulus_core::ServiceGroup;
use serde::Deserialize;
use toml::Spanned;

use super::leader::acting;
use super::room::{Look, Room, Who};
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::need::Need;
use crate::form::reading::Reading;
use crate::form::text::{self, Names};

/// One host acts as the leader of a service's group, and these members know which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneLeader {
    /// The group.
    pub group: ServiceGroup,
    /// The members that know which.
    pub seen_by: Who,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    one_leader: Spanned<String>,
    seen_by: Option<SpannedNames>,
}

impl Room for OneLeader {
    type Form = Form;

    const WORDS: &'static [Word] = &[Word {
        key: "one_leader",
        beside: "`seen_by`: the members that know which [none is asked]",
        example: "one_leader = \"redis\", seen_by = \"all\"",
        doc: "exactly one member acts as the leader of the service's group, and those members know which",
    }];

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Option<Self> {
        let seen_by = Who::read(form.seen_by.as_ref(), reading);
        Some(Self { group: reading.group(&form.one_leader)?, seen_by })
    }

    fn write(&self, names: &Names<'_>) -> String {
        format!("one_leader = {:?}\nseen_by = {}", text::group(&self.group), self.seen_by.write(names))
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { seen_by: self.seen_by.moved(hosts)?, ..self.clone() })
    }

    fn needs(&self) -> Vec<Need> {
        vec![Need::Led { group: self.group.clone(), host: None }]
    }

    fn holds(&self, look: &Look<'_>) -> Result<(), String> {
        let (acting, found) = acting(look, &self.group);
        let [leader] = acting.as_slice() else { return Err(found) };
        for host in look.observers(&self.seen_by)? {
            if look.scene.leader_seen(host, &self.group) != look.scene.member_id(*leader) {
                return Err(format!("{found}, and {} does not know it", look.name(host)));
            }
        }
        Ok(())
    }
}
