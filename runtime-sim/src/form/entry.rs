//! Entries of a scenario file: tables in which one key is a word, and the other keys belong to that word.
//!
//! `[[at]]` names an action, `[[expect]]` makes a statement. The keys that go with a word are those that the word's
//! own table takes, so that no list of them can fall behind.

use std::borrow::Cow;
use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue, ValueDeserializer};

use super::problem::{Problems, explain, listed, nearest};
use super::reading::Reading;

/// An action or a statement.
#[derive(Clone, Copy, Debug)]
pub struct Word {
    /// Its key.
    pub key: &'static str,
    /// The keys that may stand beside it, with the default where one is left out; in Markdown.
    pub beside: &'static str,
    /// How it is written.
    pub example: &'static str,
    /// A sentence about the action or statement.
    pub doc: &'static str,
}

/// The words of one room, and how an entry with one of them is read.
pub(crate) struct Kind<M: 'static> {
    /// One word as a rule; several where they differ in little.
    pub(crate) words: &'static [Word],
    /// Every key of its table.
    pub(crate) keys: fn() -> Vec<&'static str>,
    /// The lists of words that can stand in it, by their names.
    pub(crate) values: fn() -> Vec<(&'static str, Vec<&'static str>)>,
    /// Reads an entry.
    pub(crate) read: fn(Entry<'_>, &mut Reading<'_, '_>) -> M,
}

impl<M> Kind<M> {
    /// The keys that may stand beside its words.
    pub(crate) fn parts(&self) -> Vec<&'static str> {
        let mut keys = (self.keys)();
        keys.retain(|key| self.words.iter().all(|word| word.key != *key));
        keys
    }
}

/// How messages speak of the entries of one section.
pub(crate) struct Section {
    /// Keys that every entry may have.
    pub(crate) common: &'static [&'static str],
    /// The mistake of an entry without a word, and the advice.
    pub(crate) none: (&'static str, &'static str),
    /// The mistake of an entry with two words, before they are named, and the advice.
    pub(crate) several: (&'static str, &'static str),
}

/// One table of a section.
#[derive(Clone, Debug)]
pub(crate) struct Entry<'i> {
    span: Range<usize>,
    table: DeTable<'i>,
}

/// A key of an entry with its place and its value's.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) at: Range<usize>,
    pub(crate) value: Range<usize>,
}

impl<'i> Entry<'i> {
    /// The tables of a section, in the order of the file.
    pub(crate) fn all(section: &str, document: &DeTable<'i>, problems: &mut Problems<'_>) -> Vec<Self> {
        let Some(value) = document.get(section) else { return Vec::new() };
        let mut wrong = |found: &DeValue<'_>, span| {
            let help = format!("write [[{section}]] before each entry");
            problems.add(span, format!("found {}", found.type_str()), help);
        };
        let array: &DeArray<'i> = match value.get_ref() {
            DeValue::Array(array) => array,
            other => {
                wrong(other, value.span());
                return Vec::new();
            }
        };
        let mut entries = Vec::new();
        for value in array.iter() {
            match value.get_ref() {
                DeValue::Table(table) => entries.push(Self { span: value.span(), table: table.clone() }),
                other => wrong(other, value.span()),
            }
        }
        entries
    }

    /// The place of the entry.
    pub(crate) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// The place of the value of its word; the entry's own where it has no word.
    pub(crate) fn place<M>(&self, kinds: &[Kind<M>]) -> Range<usize> {
        let is_word = |key: &Key| kinds.iter().flat_map(|kind| kind.words).any(|word| word.key == key.name);
        self.keys().into_iter().find(is_word).map_or_else(|| self.span(), |key| key.value)
    }

    /// Its keys in the order of the file.
    pub(crate) fn keys(&self) -> Vec<Key> {
        let key = |(key, value): (&Spanned<Cow<'_, str>>, &Spanned<DeValue<'_>>)| Key {
            name: key.get_ref().to_string(),
            at: key.span(),
            value: value.span(),
        };
        let mut keys: Vec<Key> = self.table.iter().map(key).collect();
        keys.sort_by_key(|key| key.at.start);
        keys
    }

    /// Takes the value of a key out of the entry; none when it is not there, or wrong, which is reported.
    pub(crate) fn take<T: DeserializeOwned>(
        &mut self,
        key: &str,
        problems: &mut Problems<'_>,
    ) -> Option<Spanned<T>> {
        let value = self.table.remove(key)?;
        let span = value.span();
        read(value, problems).map(|value| Spanned::new(span, value))
    }

    /// Takes the table that a key holds; none when it is not there or holds another value, which stays.
    pub(crate) fn take_table(&mut self, key: &str) -> Option<Self> {
        if !matches!(self.table.get(key).map(Spanned::get_ref), Some(DeValue::Table(_))) {
            return None;
        }
        let value = self.table.remove(key)?;
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(table) => Some(Self { span, table }),
            _ => None,
        }
    }

    /// Whether it has this key.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// As `take`, for a key that every entry of the section has.
    pub(crate) fn required<T: DeserializeOwned>(
        &mut self,
        key: &str,
        problems: &mut Problems<'_>,
    ) -> Option<Spanned<T>> {
        if self.table.get(key).is_none() {
            let (message, help) = explain(&format!("missing field `{key}`"));
            problems.add(self.span(), message, help);
        }
        self.take(key, problems)
    }

    /// Its keys with their values as they are written.
    pub(crate) fn said(&self, source: &str) -> Vec<(String, String)> {
        let said = |key: Key| {
            let value = source.get(key.value).unwrap_or_default();
            (key.name, value.split_whitespace().collect::<Vec<_>>().join(" "))
        };
        self.keys().into_iter().map(said).collect()
    }

    /// The entry in the words of the file, its word first.
    pub(crate) fn text(&self, word: &str, source: &str) -> String {
        let mut said = self.said(source);
        said.sort_by_key(|(key, _)| key != word);
        let said = said.into_iter().map(|(key, value)| format!("{key} = {value}"));
        said.collect::<Vec<_>>().join(", ")
    }

    /// The whole entry as a word's table; none when a value is wrong, which is reported.
    pub(crate) fn table<T: DeserializeOwned>(self, problems: &mut Problems<'_>) -> Option<T> {
        read(Spanned::new(self.span, DeValue::Table(self.table)), problems)
    }

    /// The one word that the entry has. Reports none, several, unknown keys and keys that do not go with it; such keys
    /// are left out, so that they hide no other mistake of the entry.
    pub(crate) fn word<M>(
        &mut self,
        kinds: &'static [Kind<M>],
        section: &Section,
        problems: &mut Problems<'_>,
    ) -> Option<(Word, &'static Kind<M>)> {
        let every = || kinds.iter().flat_map(|kind| kind.words.iter().map(move |word| (*word, kind)));
        let mut words = Vec::new();
        let mut parts = Vec::new();
        let mut unknown = false;
        for key in self.keys() {
            if let Some((word, kind)) = every().find(|(word, _)| word.key == key.name) {
                words.push((key, word, kind));
            } else if kinds.iter().any(|kind| kind.parts().contains(&key.name.as_str())) {
                parts.push(key);
            } else if !section.common.contains(&key.name.as_str()) {
                unknown = true;
                report_unknown(&key, &known(kinds, section), problems);
                self.table.remove(key.name.as_str());
            }
        }
        match words.as_slice() {
            [] if unknown => None,
            [] => {
                problems.add(self.span(), section.none.0, section.none.1);
                None
            }
            [(_, word, kind)] => {
                self.report_foreign(word, kind, &parts, kinds, problems);
                Some((*word, *kind))
            }
            [(first, ..), (second, ..), ..] => {
                let message = format!("{}, `{}` and `{}`", section.several.0, first.name, second.name);
                problems.add(second.value.clone(), message, section.several.1);
                None
            }
        }
    }

    /// Reports keys that go with other words, and takes them out.
    fn report_foreign<M>(
        &mut self,
        word: &Word,
        kind: &Kind<M>,
        parts: &[Key],
        kinds: &[Kind<M>],
        problems: &mut Problems<'_>,
    ) {
        let own = kind.parts();
        for key in parts.iter().filter(|key| !own.contains(&key.name.as_str())) {
            let takes = |kind: &&Kind<M>| kind.parts().contains(&key.name.as_str());
            let others = kinds.iter().filter(takes).flat_map(|kind| kind.words).map(|word| word.key);
            problems.add(
                key.value.clone(),
                format!("`{}` does not belong to `{}`", key.name, word.key),
                format!("remove it; it belongs to {}", listed(others)),
            );
            self.table.remove(key.name.as_str());
        }
    }
}

/// Every key that can stand in a section.
pub(crate) fn known<M>(kinds: &[Kind<M>], section: &Section) -> Vec<&'static str> {
    let mut known: Vec<&'static str> = section.common.to_vec();
    for kind in kinds {
        known.extend(kind.words.iter().map(|word| word.key));
        known.extend(kind.parts());
    }
    known.sort_unstable();
    known.dedup();
    known
}

fn report_unknown(key: &Key, known: &[&str], problems: &mut Problems<'_>) {
    let help = match nearest(&key.name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`? `annulus-sim list` shows everything"),
        None => String::from("`annulus-sim list` shows what can be written"),
    };
    problems.add(key.at.clone(), format!("unknown key `{}`", key.name), help);
}

fn read<T: DeserializeOwned>(value: Spanned<DeValue<'_>>, problems: &mut Problems<'_>) -> Option<T> {
    let span = value.span();
    match T::deserialize(ValueDeserializer::from(value)) {
        Ok(value) => Some(value),
        Err(error) => {
            let (message, help) = explain(error.message());
            problems.add(error.span().unwrap_or(span), message, help);
            None
        }
    }
}
