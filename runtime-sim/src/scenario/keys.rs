//! The keys of every table, asked of the reader itself so that no list can fall behind.

use serde::de::value::Error as ValueError;
use serde::de::{Deserialize, Deserializer, Error as _, Visitor};
use serde::forward_to_deserialize_any;

use super::schema::{
    At, Direction, Disk, EventWord, Expect, File, IdentityWord, Impossible, IncarnationWord, Link, Links,
    Members, Profile, StateWord, TimingsTable, TopologyWord,
};

/// Every table or word list of the form, and what may stand in it.
#[must_use]
pub fn all() -> Vec<(&'static str, Vec<&'static str>)> {
    vec![
        ("file", of::<File>()),
        ("[members]", of::<Members>()),
        ("[timings]", of::<TimingsTable>()),
        ("[links]", of::<Links>()),
        ("[[link]]", of::<Link>()),
        ("[[at]]", of::<At>()),
        ("[[expect]]", of::<Expect>()),
        ("impossible", of::<Impossible>()),
        ("direction", of::<Direction>()),
        ("disk", of::<Disk>()),
        ("topology", of::<TopologyWord>()),
        ("profile", of::<Profile>()),
        ("state", of::<StateWord>()),
        ("incarnation", of::<IncarnationWord>()),
        ("identity", of::<IdentityWord>()),
        ("occurred and never", of::<EventWord>()),
    ]
}

fn of<T: for<'de> Deserialize<'de>>() -> Vec<&'static str> {
    let mut keys = Vec::new();
    // It ends with an error, because there is nothing to read.
    drop(T::deserialize(Asking(&mut keys)));
    keys
}

/// A reader without input that notes what it is asked for.
struct Asking<'a>(&'a mut Vec<&'static str>);

impl<'de> Deserializer<'de> for Asking<'_> {
    type Error = ValueError;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, ValueError> {
        Err(ValueError::custom("there is nothing to read"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, ValueError> {
        self.0.extend(fields);
        Err(ValueError::custom("there is nothing to read"))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, ValueError> {
        self.0.extend(variants);
        Err(ValueError::custom("there is nothing to read"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::super::reference::{ACTIONS, EVENTS, EXPECTATIONS, Word};
    use super::*;

    /// Each key is an action or a part of one, and nothing is described that cannot be written.
    fn agree(keys: &[&str], words: &[Word], common: &[&str]) {
        for key in keys {
            let described = words.iter().any(|word| word.key == *key || word.parts.contains(key));
            assert!(described || common.contains(key), "{key} is not described");
        }
        for word in words {
            assert!(keys.contains(&word.key), "{} cannot be written", word.key);
            assert!(word.example.starts_with(word.key), "{}'s example shows something else", word.key);
            assert!(word.parts.iter().all(|part| keys.contains(part)), "{} has a part too many", word.key);
        }
    }

    #[test]
    fn what_is_described_is_what_can_be_written() {
        agree(&of::<At>(), ACTIONS, &["time"]);
        agree(&of::<Expect>(), EXPECTATIONS, &["by", "at", "always", "after"]);
        let events: Vec<&str> = EVENTS.iter().map(|(word, _)| *word).collect();
        assert_eq!(events, of::<EventWord>());
    }

    #[test]
    fn every_list_has_something_in_it() {
        assert!(all().iter().all(|(_, keys)| keys.len() > 1), "{:?}", all());
    }
}
