//! The members that a name stands for.

use std::collections::BTreeMap;
use std::ops::Range;

use super::SpannedNames;
use super::problem::{Problems, listed, nearest};
use crate::engine::host::HostId;

/// Words that stand for members and can therefore name none.
const WORDS: [&str; 3] = ["all", "others", "running"];

/// The members of a scenario by name, zone and number.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    members: Vec<String>,
    by_name: BTreeMap<String, HostId>,
    zones: BTreeMap<String, Vec<HostId>>,
}

impl Directory {
    /// Adds a member; the error says why the name is wrong.
    pub(crate) fn add_member(&mut self, name: &str) -> Result<HostId, (String, String)> {
        check_name(name)?;
        if self.by_name.contains_key(name) {
            return Err((
                format!("two members are called \"{name}\""),
                String::from("give each its own name"),
            ));
        }
        let id = HostId(u32::try_from(self.members.len()).unwrap_or(u32::MAX));
        self.members.push(name.to_owned());
        self.by_name.insert(name.to_owned(), id);
        Ok(id)
    }

    /// Adds a zone; the error says why its name is wrong.
    pub(crate) fn add_zone(&mut self, name: &str, members: Vec<HostId>) -> Result<(), (String, String)> {
        check_name(name)?;
        if self.by_name.contains_key(name) {
            return Err((
                format!("\"{name}\" is a member already"),
                String::from("give the zone a name of its own"),
            ));
        }
        self.zones.insert(name.to_owned(), members);
        Ok(())
    }

    /// All members in order.
    pub(crate) fn all(&self) -> Vec<HostId> {
        self.by_name_order()
    }

    fn by_name_order(&self) -> Vec<HostId> {
        (0..self.members.len()).map(|i| HostId(u32::try_from(i).unwrap_or(u32::MAX))).collect()
    }

    /// The members in none of these.
    pub(crate) fn except(&self, hosts: &[HostId]) -> Vec<HostId> {
        self.all().into_iter().filter(|host| !hosts.contains(host)).collect()
    }

    /// A member's name.
    pub(crate) fn name(&self, host: HostId) -> &str {
        self.members.get(host.0 as usize).map_or("?", String::as_str)
    }

    /// A member's zone, the first that names it.
    pub(crate) fn zone(&self, host: HostId) -> &str {
        self.zones.iter().find(|(_, members)| members.contains(&host)).map_or("", |(name, _)| name.as_str())
    }

    /// The members that `names` stands for, in the order given and each once. Unknown names are reported.
    pub(crate) fn hosts(&self, names: &SpannedNames, problems: &mut Problems<'_>) -> Vec<HostId> {
        let mut hosts = Vec::new();
        let words = names.get_ref().at(&names.span());
        if words.is_empty() {
            problems.add(names.span(), "the list is empty", "name at least one member or zone");
        }
        for (span, word) in words {
            for host in self.resolve(span, word, problems) {
                if !hosts.contains(&host) {
                    hosts.push(host);
                }
            }
        }
        hosts
    }

    /// As `hosts`, for a place where exactly one member is meant.
    pub(crate) fn host(&self, span: Range<usize>, word: &str, problems: &mut Problems<'_>) -> Option<HostId> {
        match self.resolve(span.clone(), word, problems).as_slice() {
            [] => None,
            [one] => Some(*one),
            many => {
                problems.add(
                    span,
                    format!("\"{word}\" stands for {} members", many.len()),
                    "name one member here",
                );
                None
            }
        }
    }

    fn resolve(&self, span: Range<usize>, word: &str, problems: &mut Problems<'_>) -> Vec<HostId> {
        if word == "all" {
            return self.all();
        }
        if let Some(host) = self.by_name.get(word) {
            return vec![*host];
        }
        if let Some(zone) = self.zones.get(word) {
            return zone.clone();
        }
        if let Some((first, last)) = word.split_once("..") {
            return self.range(span, first, last, problems);
        }
        if WORDS.contains(&word) {
            problems.add(
                span,
                format!("\"{word}\" cannot be used here"),
                "name members or zones, or write \"all\"",
            );
            return Vec::new();
        }
        let known = self.members.iter().chain(self.zones.keys()).map(String::as_str);
        let help = match nearest(word, known) {
            Some(near) => format!("did you mean \"{near}\"? {}", self.known()),
            None => self.known(),
        };
        problems.add(span, format!("no member or zone is called \"{word}\""), help);
        Vec::new()
    }

    fn range(&self, span: Range<usize>, first: &str, last: &str, problems: &mut Problems<'_>) -> Vec<HostId> {
        match (self.by_name.get(first), self.by_name.get(last)) {
            (Some(first), Some(last)) if first <= last => (first.0..=last.0).map(HostId).collect(),
            (Some(_), Some(_)) => {
                problems.add(
                    span,
                    format!("{last} stands before {first} in the list of members"),
                    "write the earlier member first",
                );
                Vec::new()
            }
            _ => {
                problems.add(
                    span,
                    format!("\"{first}..{last}\" does not name two members"),
                    format!("write first..last, for example \"m1..m5\"; {}", self.known()),
                );
                Vec::new()
            }
        }
    }

    fn known(&self) -> String {
        let mut text = format!("the members are {}", listed(self.members.iter().map(String::as_str)));
        if !self.zones.is_empty() {
            text.push_str(&format!("; the zones are {}", listed(self.zones.keys().map(String::as_str))));
        }
        text
    }
}

fn check_name(name: &str) -> Result<(), (String, String)> {
    if WORDS.contains(&name) {
        return Err((
            format!("\"{name}\" cannot be a name"),
            String::from("the word stands for several members elsewhere; choose another name"),
        ));
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.len() > 64 || !name.chars().all(fits) {
        return Err((
            format!("\"{name}\" cannot be a name"),
            String::from("use up to 64 letters, digits, '-' and '_'"),
        ));
    }
    Ok(())
}
