//! Handlebars as Habitat's templates expect it.

use std::path::{Path, PathBuf};

use annulus_core::PackageIdent;
use handlebars::{
    Handlebars, RenderError, RenderErrorReason, Template, TemplateError, TemplateErrorReason, no_escape,
};
use serde_json::Value as Json;

use super::error::TemplateFault;
use super::helpers;

/// Renders templates: nothing is escaped, a key that does not exist is empty (as in Habitat).
pub(super) struct Engine {
    handlebars: Handlebars<'static>,
}

impl Engine {
    /// An engine that knows these dependencies of a package.
    pub(super) fn new(deps: Vec<(PackageIdent, PathBuf)>) -> Self {
        let mut handlebars = Handlebars::new();
        handlebars.register_escape_fn(no_escape);
        helpers::register(&mut handlebars, deps);
        Self { handlebars }
    }

    /// As [`Self::new`], but a key that does not exist is an error.
    pub(super) fn strict(deps: Vec<(PackageIdent, PathBuf)>) -> Self {
        let mut engine = Self::new(deps);
        engine.handlebars.set_strict_mode(true);
        engine
    }

    /// The text that a template makes of a context; `path` is for messages.
    pub(super) fn render(&self, path: &Path, text: &str, context: &Json) -> Result<String, TemplateFault> {
        let rendered = self.handlebars.render_template(text, context);
        rendered.map_err(|e| render_fault(path, text, &e))
    }
}

/// Whether a text is a template at all.
///
/// # Errors
/// Where it is not.
pub(crate) fn check(path: &Path, text: &str) -> Result<(), TemplateFault> {
    Template::compile(text).map(|_| ()).map_err(|e| parse_fault(path, text, &e))
}

fn parse_fault(path: &Path, text: &str, e: &TemplateError) -> TemplateFault {
    let reason = match e.reason() {
        // The parser's own words are a list of its grammar's rules.
        TemplateErrorReason::InvalidSyntax(_) => {
            "this is not handlebars; before it, look for a block that is not closed, or one \"{{\" or \"}}\" too many"
                .to_owned()
        }
        reason => reason.to_string(),
    };
    TemplateFault::new(path, text, e.pos(), reason)
}

fn render_fault(path: &Path, text: &str, e: &RenderError) -> TemplateFault {
    if let RenderErrorReason::TemplateError(parse) = e.reason() {
        return parse_fault(path, text, parse);
    }
    let reason = match e.reason() {
        RenderErrorReason::MissingVariable(Some(key)) => format!("{key} does not exist"),
        reason => reason.to_string(),
    };
    TemplateFault::new(path, text, e.line_no.zip(e.column_no), reason)
}
