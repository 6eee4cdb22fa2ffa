//! `--wait`: waits until a version is in effect on every alive member of the group: its files are written, its hook is
//! done, and its service is well. Only asks, again and again, and
//! changes nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use annulus_core::ServiceGroup;

use super::{Through, query};
use crate::cli::{CliError, Global, Outcome, output};
use crate::gateway::ctl::group_message::{GroupMember, GroupStatus};
use crate::host::clock::Clock;

/// First pause between two looks; each further pause is half as long again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
const LOOK_AGAIN_MAX: Duration = Duration::from_millis(500);
/// What is waited for is said after this time, and again where it has changed.
const SAY_AFTER: Duration = Duration::from_millis(800);

#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Wait {
    /// Return once it is in effect on every alive member of the group (files written, hook done, service well again), or
    /// name the members where it is not, and why
    #[arg(long)]
    wait: bool,
    /// Longest wait
    #[arg(long, value_name = "SECONDS", default_value_t = 30, requires = "wait")]
    timeout: u64,
}

/// The result of one look at the group.
enum Look {
    /// Every alive member has applied it; how many those are.
    Applied(usize),
    /// No alive member serves the group.
    Unserved,
    /// These alive members have not applied it.
    Missing(Vec<String>),
    /// Another version has taken its place, for this reason.
    Overtaken(String),
}

impl Wait {
    /// Waits if the user asked for it.
    pub(crate) async fn until_applied(
        self,
        global: &Global,
        through: &Through,
        group: &ServiceGroup,
        (file, is_sealed): (Option<&str>, bool),
        version: u64,
    ) -> Outcome {
        if !self.wait {
            // What is stored is stored, also where this cannot be asked.
            let status = query(global, through, group, file, Some(is_sealed)).await;
            if status.is_ok_and(|status| status.members.is_empty()) {
                output::line(format_args!(
                    "! No member serves {group}, by this name: it is stored, and a member that comes to serve it starts with it \
                     (`annulus sup ring` lists the groups)"
                ));
            }
            return Ok(0);
        }
        let clock = Clock::host();
        let start = clock.now();
        let limit = Duration::from_secs(self.timeout);
        let (mut pause, mut said) = (LOOK_AGAIN, Said::default());
        loop {
            let status = query(global, through, group, file, Some(is_sealed)).await?;
            let waited = clock.now().saturating_since(start);
            match look(&status, version) {
                Look::Applied(count) => {
                    output::line(format_args!(
                        "✓ In effect on all {count} alive members of {group} after {:.1} s",
                        waited.as_secs_f64()
                    ));
                    notes(&status).for_each(output::line);
                    return Ok(0);
                }
                Look::Unserved => {
                    output::line(format_args!(
                        "✓ No alive member serves {group}; a member that comes to serve it starts with it"
                    ));
                    return Ok(0);
                }
                Look::Overtaken(why) => return Err(CliError::Overtaken(why)),
                Look::Missing(members) if waited >= limit => {
                    return Err(CliError::NotApplied {
                        seconds: self.timeout,
                        members: members.join("\n  "),
                    });
                }
                Look::Missing(members) => {
                    if waited >= SAY_AFTER {
                        said.news(members)
                            .iter()
                            .for_each(|news| output::line(format_args!("… waits for {news}")));
                    }
                    tokio::time::sleep(pause.min(limit.saturating_sub(waited))).await;
                }
            }
            pause = (pause * 3 / 2).min(LOOK_AGAIN_MAX);
        }
    }
}

/// What was said of the members that are waited for.
#[derive(Default)]
struct Said(BTreeSet<String>);

impl Said {
    /// Those of which other words are to be said than before. That time has passed is no news.
    fn news(&mut self, members: Vec<String>) -> Vec<String> {
        let words = |member: &str| member.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
        let (now, before) = (members.iter().map(|member| words(member)).collect(), &self.0);
        let news: Vec<String> =
            members.into_iter().filter(|member| !before.contains(&words(member))).collect();
        self.0 = now;
        news
    }
}

/// What else stands in the way at members that have applied the version: something besides it that was given to the group.
fn notes(status: &GroupStatus) -> impl Iterator<Item = String> {
    let alive = status.members.iter().filter(|member| member.alive && member.applied);
    alive.filter_map(|member| {
        let why = member.missing.as_deref()?;
        Some(format!(
            "· Not all that was given to the group is in use on {} ({}): {why}",
            member.member_id, member.hostname
        ))
    })
}

fn look(status: &GroupStatus, version: u64) -> Look {
    let current = status.current.as_ref().map_or(0, |current| current.version);
    if current > version {
        return Look::Overtaken(format!("version {current} has taken its place meanwhile"));
    }
    if current == version && status.losers.contains(&status.answered_by) {
        return Look::Overtaken(format!(
            "another version {version} was applied elsewhere at the same time and won; apply this one again \
             under a higher number"
        ));
    }
    let alive: Vec<&GroupMember> = status.members.iter().filter(|member| member.alive).collect();
    let missing: Vec<String> = alive
        .iter()
        .filter(|member| !member.applied)
        .map(|member| {
            let why = member.missing.as_deref().map_or_else(String::new, |why| format!(": {why}"));
            format!("{} ({}){why}", member.member_id, member.hostname)
        })
        .collect();
    match (alive.len(), missing.is_empty()) {
        (0, _) => Look::Unserved,
        (count, true) => Look::Applied(count),
        (_, false) => Look::Missing(missing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::ctl::group_message::GroupVersion;

    fn member(id: &str, alive: bool, applied: bool) -> GroupMember {
        GroupMember { member_id: id.into(), alive, applied, ..GroupMember::default() }
    }

    fn status(members: Vec<GroupMember>) -> GroupStatus {
        let current = Some(GroupVersion { version: 3, ..GroupVersion::default() });
        GroupStatus { current, members, answered_by: "me".into(), ..GroupStatus::default() }
    }

    #[test]
    fn what_is_waited_for_is_said_once() {
        let mut said = Said::default();
        let hook = |seconds: u8| format!("b (bob): in reconfigure hook since {seconds}.3 s, limit 60 s");
        assert_eq!(said.news(vec![hook(1)]), [hook(1)]);
        assert_eq!(said.news(vec![hook(2), "c (eve)".into()]), ["c (eve)"]);
        assert_eq!(said.news(vec!["b (bob): a hook failed".into()]), ["b (bob): a hook failed"]);
        assert_eq!(said.news(vec![hook(3)]), [hook(3)], "it comes again");
    }

    #[test]
    fn only_the_living_are_waited_for() {
        let all = status(vec![member("a", true, true), member("b", false, false)]);
        assert!(matches!(look(&all, 3), Look::Applied(1)));
        let some = status(vec![member("a", true, true), member("b", true, false)]);
        assert!(matches!(look(&some, 3), Look::Missing(who) if who.len() == 1 && who[0].starts_with('b')));
        assert!(matches!(look(&status(vec![]), 3), Look::Unserved));
        assert!(matches!(look(&some, 2), Look::Overtaken(why) if why.contains("version 3")));
        let why = Some("the reconfigure hook ended with exit code 3".to_owned());
        let held = status(vec![GroupMember { missing: why, ..member("b", true, false) }]);
        assert!(
            matches!(look(&held, 3), Look::Missing(who) if who[0].ends_with("(): the reconfigure hook ended with exit code 3"))
        );
        let lost = GroupStatus { losers: vec!["me".into()], ..some };
        assert!(matches!(look(&lost, 3), Look::Overtaken(why) if why.contains("won")));
    }
}
