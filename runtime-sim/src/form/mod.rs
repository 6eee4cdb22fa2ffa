//! The form of scenario files: values, names, mistakes with their places, and entries that begin with a word.
//!
//! What the words mean is said by the rooms in `action/` and `expect/`, and what a whole file means by `scenario/`;
//! nothing here knows an action or a statement by name.

pub(crate) mod entry;
pub(crate) mod keys;
pub(crate) mod moved;
pub(crate) mod names;
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
