//! The form of scenario files: values, names, mistakes with their places, and entries that begin with a word.
//!
//! The rooms in `action/` and `expect/` give the words their meaning, and `scenario/` gives a whole file its meaning;
//! nothing here may know an action or a statement by name.

pub(crate) mod entry;
pub(crate) mod keys;
pub(crate) mod moved;
pub(crate) mod names;
pub(crate) mod need;
pub(crate) mod problem;
pub(crate) mod reading;
pub(crate) mod text;
pub(crate) mod value;

pub use entry::Word;
pub use problem::Problem;
pub use value::parse_time;

use toml::Spanned;

/// Names with the place of the whole value.
pub(crate) type SpannedNames = Spanned<value::Names>;
