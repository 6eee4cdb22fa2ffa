//! The keys of every table, for the test that the explanation for people names them all.

use super::schema::{
    EventWord, Expect, File, IdentityWord, Impossible, IncarnationWord, Link, Links, Members, Profile,
    StateWord, TimingsTable,
};
use crate::action;
use crate::form::entry;
use crate::form::keys::of;
use crate::form::value::Direction;

/// Every table or word list of the form, and what may stand in it.
#[must_use]
pub fn all() -> Vec<(&'static str, Vec<&'static str>)> {
    vec![
        ("file", of::<File>()),
        ("[members]", of::<Members>()),
        ("[timings]", of::<TimingsTable>()),
        ("[links]", of::<Links>()),
        ("[[link]]", of::<Link>()),
        ("[[at]]", entry::known(action::KINDS, &action::SECTION)),
        ("[[expect]]", of::<Expect>()),
        ("impossible", of::<Impossible>()),
        ("direction", of::<Direction>()),
        ("profile", of::<Profile>()),
        ("state", of::<StateWord>()),
        ("incarnation", of::<IncarnationWord>()),
        ("identity", of::<IdentityWord>()),
        ("occurred and never", of::<EventWord>()),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::reference::{EVENTS, EXPECTATIONS};
    use super::*;

    #[test]
    fn an_example_begins_with_its_word() {
        for (word, parts) in action::words() {
            assert!(word.example.starts_with(&format!("{} = ", word.key)), "{}", word.key);
            assert!(parts.iter().all(|part| *part != "time"), "{} takes the time of its entry", word.key);
        }
    }

    #[test]
    fn what_is_described_is_what_can_be_written() {
        let common = ["by", "at", "always", "after"];
        let keys = of::<Expect>();
        for key in &keys {
            let described = EXPECTATIONS.iter().any(|word| word.key == *key || word.parts.contains(key));
            assert!(described || common.contains(key), "{key} is not described");
        }
        for word in EXPECTATIONS {
            assert!(keys.contains(&word.key), "{} cannot be written", word.key);
            assert!(word.example.starts_with(word.key), "{}'s example shows something else", word.key);
            assert!(word.parts.iter().all(|part| keys.contains(part)), "{} has a part too many", word.key);
        }
        let events: Vec<&str> = EVENTS.iter().map(|(word, _)| *word).collect();
        assert_eq!(events, of::<EventWord>());
    }

    #[test]
    fn every_list_has_something_in_it() {
        assert!(all().iter().all(|(_, keys)| keys.len() > 1), "{:?}", all());
    }
}
