//! Checks a service's binds against the groups that the ring knows, and names the first that is not satisfied. It reads
//! the census only and starts or stops no service.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::model::census::{Census, CensusGroup, CensusMember};
use crate::model::id::ServiceGroup;
use crate::model::mutant::mutated;
use crate::model::prepared::Bind;
use crate::model::service::{BindingMode, ServiceSpec};

/// The name and the group of `name:service.group[@org]`; none for any other text.
pub(super) fn parse(bind: &str) -> Option<(&str, ServiceGroup)> {
    let (name, group) = bind.split_once(':')?;
    Some((name, group.parse().ok()?))
}

/// The groups that a spec names, each once.
pub(super) fn groups(spec: &ServiceSpec) -> Vec<ServiceGroup> {
    let mut groups: Vec<ServiceGroup> =
        spec.binds.iter().filter_map(|bind| parse(bind)).map(|(_, group)| group).collect();
    groups.sort_unstable();
    groups.dedup();
    assert!(groups.len() <= spec.binds.len(), "a bind names one group");
    groups
}

/// The first bind that the package needs and the operator did not give, for people. It is missing in either mode, and no
/// change of the ring brings it.
pub(super) fn not_given(spec: &ServiceSpec, wanted: &[Bind]) -> Option<String> {
    let is_given =
        |name: &str| spec.binds.iter().any(|given| given.split_once(':').is_some_and(|g| g.0 == name));
    let bind = wanted.iter().find(|bind| !bind.optional && !is_given(&bind.name))?;
    assert!(!bind.optional, "a package does without a bind that is optional");
    let name = &bind.name;
    Some(format!("bind {name}: not given; use --bind {name}:SERVICE.GROUP"))
}

/// The first bind that the service lacks, for people; none when it can start.
///
/// The group of a given bind counts in strict mode only, and not for binds that the package can do without. As in
/// Habitat, a member that is suspected still counts, and the exports of one member stand for the group's.
pub(super) fn missing(spec: &ServiceSpec, wanted: &[Bind], census: &Census) -> Option<String> {
    if let Some(why) = not_given(spec, wanted) {
        return Some(why);
    }
    if spec.binding_mode == BindingMode::Relaxed {
        return None;
    }
    spec.binds.iter().find_map(|text| {
        let Some((name, group)) = parse(text) else {
            return Some(format!("bind {text}: not of the form name:service.group"));
        };
        let bind = wanted.iter().find(|bind| bind.name == name);
        if bind.is_some_and(|bind| bind.optional) {
            return None;
        }
        let exports = bind.map_or(&[][..], |bind| &bind.exports);
        lacking(&group, census.group(&group), exports).map(|what| format!("bind {name}: {what}"))
    })
}

fn lacking(group: &ServiceGroup, found: Option<&CensusGroup>, exports: &[String]) -> Option<String> {
    let active =
        |member: &&CensusMember| member.alive() || mutated!(SuspectsAreNoBind, member.suspect(), false);
    let Some(first) = found.and_then(|found| found.population.values().find(active)) else {
        return Some(format!("group {group} has no alive member"));
    };
    let keys = top_level_keys(&first.cfg);
    let absent: Vec<&str> =
        exports.iter().map(String::as_str).filter(|key| !keys.iter().any(|k| k == key)).collect();
    mutated!(ExportsNotAsked, !absent.is_empty(), false)
        .then(|| format!("group {group} does not export {}", absent.join(", ")))
}

/// The keys at the top of a TOML text that a TOML writer wrote.
///
/// The core has no TOML parser, and needs none for this: values that could contain something like a key are skipped.
fn top_level_keys(text: &str) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    let mut in_table = false;
    let mut rest = text;
    while !rest.is_empty() {
        rest = rest.trim_start();
        let Some(first) = rest.chars().next() else { break };
        if first == '#' {
            rest = after_line(rest);
            continue;
        }
        if first == '[' {
            in_table = true;
            let inner = rest.trim_start_matches('[').trim_start();
            keys.extend(first_key(inner).map(|(key, _)| key));
            rest = after_line(rest);
            continue;
        }
        let Some((key, behind)) = first_key(rest) else { break };
        if !in_table {
            keys.push(key);
        }
        let Some((_, value)) = behind.split_once('=') else { break };
        rest = after_value(value.trim_start());
    }
    keys.dedup();
    keys
}

fn after_line(text: &str) -> &str {
    text.split_once('\n').map_or("", |(_, rest)| rest)
}

/// The first part of a dotted key, and the text behind it.
fn first_key(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''));
    if let Some(quote) = quote {
        let inner = text.get(1..)?;
        let end = string_end(inner, quote)?;
        return Some((String::from(inner.get(..end)?), inner.get(end + 1..)?));
    }
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-'))?;
    (end > 0)
        .then(|| (String::from(text.get(..end).unwrap_or_default()), text.get(end..).unwrap_or_default()))
}

/// The position of the quote that ends a string of one line.
fn string_end(inner: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in inner.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quote == '"' => escaped = true,
            c if c == quote => return Some(at),
            _ => {}
        }
    }
    None
}

/// The text behind a value, which is a string of several lines, brackets over several lines, or the rest of the line.
fn after_value(value: &str) -> &str {
    for mark in ["\"\"\"", "'''"] {
        if let Some(inner) = value.strip_prefix(mark) {
            return inner.split_once(mark).map_or("", |(_, rest)| after_line(rest));
        }
    }
    let mut depth = 0_u32;
    let mut rest = value;
    while let Some(c) = rest.chars().next() {
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
        match c {
            '"' | '\'' => {
                let end = string_end(rest, c).map_or(rest.len(), |end| end + 1);
                rest = rest.get(end..).unwrap_or_default();
            }
            '[' | '{' => depth += 1,
            ']' | '}' => depth = depth.saturating_sub(1),
            '#' => rest = rest.find('\n').and_then(|end| rest.get(end..)).unwrap_or_default(),
            '\n' if depth == 0 => break,
            _ => {}
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::MemberId;
    use alloc::collections::BTreeMap;
    use alloc::vec;
    use proptest::prelude::*;

    #[test]
    fn keys_of_what_a_writer_writes() {
        let text = "port = 80\n\"odd key\" = \"a = b\\\" [x]\"\nlist = [\n  \"a = 1\", # not = this\n  2,\n]\n\
                    text = \"\"\"\ninner = 1\n[not]\n\"\"\"\nlast = { a = 1 }\n\n[db]\nhost = 'x'\n\n[db.more]\ny = 1\n[other]\n";
        assert_eq!(top_level_keys(text), ["port", "odd key", "list", "text", "last", "db", "other"]);
        assert_eq!(top_level_keys(""), Vec::<String>::new());
        assert_eq!(top_level_keys("a.b = 1\na.c = 2\n"), ["a"]);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a=\\[\\]\"'#\\n{}.é\\\\ ]{0,60}") {
            let _ = top_level_keys(&text);
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let mut spec = ServiceSpec::new("core/web".parse().expect("valid"));
        let census = Census { local: MemberId::from_bytes([1; 16]), groups: BTreeMap::new() };
        let bind = |optional| Bind { name: "database".into(), optional, exports: vec!["port".into()] };
        let said = missing(&spec, &[bind(false)], &census);
        assert_eq!(said.as_deref(), Some("bind database: not given; use --bind database:SERVICE.GROUP"));
        assert_eq!(missing(&spec, &[bind(true)], &census), None);
        spec.binds = vec!["database:db.default".into()];
        let said = missing(&spec, &[bind(false)], &census);
        assert_eq!(said.as_deref(), Some("bind database: group db.default has no alive member"));
        assert_eq!(missing(&spec, &[bind(true)], &census), None);
        spec.binding_mode = BindingMode::Relaxed;
        assert_eq!(missing(&spec, &[bind(false)], &census), None);
        spec.binds = vec!["database".into()];
        spec.binding_mode = BindingMode::Strict;
        assert!(missing(&spec, &[], &census).is_some_and(|said| said.contains("not of the form")));
    }
}
