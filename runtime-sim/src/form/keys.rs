//! The keys of a table, asked of the reader itself so that no list can fall behind.

use serde::de::value::Error as ValueError;
use serde::de::{Deserialize, Deserializer, Error as _, Visitor};
use serde::forward_to_deserialize_any;

/// The keys that can stand in a table, or the words that can stand in the place of a word.
pub(crate) fn of<T: for<'de> Deserialize<'de>>() -> Vec<&'static str> {
    let mut keys = Vec::new();
    // It ends with an error, because there is nothing to read.
    drop(T::deserialize(Asking(&mut keys)));
    keys
}

/// A reader without input that notes which keys it is asked for.
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
