//! Renders templates: Handlebars as Habitat's templates expect it.
//!
//! `engine` renders a text with a context, `helpers` are what templates may call, `fault` says what is wrong and where,
//! `names` finds names that no context has.
//! Nothing in here knows what a package or a service is; `prepare` makes the context.

mod engine;
mod fault;
mod helpers;
mod names;

pub use engine::{Engine, check};
pub use fault::TemplateFault;
pub(crate) use names::slips;
