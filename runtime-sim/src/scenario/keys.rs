//! The keys of every table, for the test that scenarios/README.md names them all.

use super::schema::{File, Impossible, Link, Links, Members, Profile, TimingsTable};
use crate::form::entry;
use crate::form::keys::of;
use crate::{action, expect};

/// Every table or word list of the form, with the keys and words that may stand in it.
#[must_use]
pub fn all() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut all = vec![
        ("file", of::<File>()),
        ("[members]", of::<Members>()),
        ("[timings]", of::<TimingsTable>()),
        ("[links]", of::<Links>()),
        ("[[link]]", of::<Link>()),
        ("[[at]]", entry::known(action::KINDS, &action::SECTION)),
        ("[[expect]]", entry::known(expect::KINDS, &expect::SECTION)),
        ("impossible", of::<Impossible>()),
        ("profile", of::<Profile>()),
        ("refused", of::<action::Refused>()),
    ];
    all.extend(action::KINDS.iter().flat_map(|kind| (kind.values)()));
    all.extend(expect::KINDS.iter().flat_map(|kind| (kind.values)()));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_begins_with_its_word() {
        let times = [action::SECTION.common, expect::SECTION.common].concat();
        for (word, parts) in action::words().into_iter().chain(expect::words()) {
            assert!(word.example.starts_with(&format!("{} = ", word.key)), "{}", word.key);
            assert!(parts.iter().all(|part| !times.contains(part)), "{} takes a time of its entry", word.key);
        }
    }

    #[test]
    fn every_word_has_one_room() {
        for words in [action::words(), expect::words()] {
            let mut keys: Vec<&str> = words.iter().map(|(word, _)| word.key).collect();
            let count = keys.len();
            keys.sort_unstable();
            keys.dedup();
            assert_eq!(keys.len(), count, "{keys:?}");
        }
    }

    #[test]
    fn every_list_has_something_in_it() {
        assert!(all().iter().all(|(_, keys)| keys.len() > 1), "{:?}", all());
    }
}
