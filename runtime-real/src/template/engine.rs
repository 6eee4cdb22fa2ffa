//! Renders templates with Handlebars, as Habitat's templates expect it. Reads no file and asks nothing: a template
//! sees its context only.

use std::path::{Path, PathBuf};

use annulus_core::PackageIdent;
use handlebars::{
    Handlebars, RenderError, RenderErrorReason, Template, TemplateError, TemplateErrorReason, no_escape,
};
use serde_json::Value as Json;

use super::TemplateFault;
use super::helpers;

/// Longest text that one template may render, in bytes.
const RENDERED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Renders templates: nothing is escaped, a key that does not exist is empty (as in Habitat).
#[derive(Debug)]
pub struct Engine {
    handlebars: Handlebars<'static>,
    /// Longest text that one template may render, in bytes.
    pub(crate) bytes_max: usize,
}

impl Engine {
    /// An engine that knows these dependencies of a package.
    #[must_use]
    pub fn new(deps: Vec<(PackageIdent, PathBuf)>) -> Self {
        let mut handlebars = Handlebars::new();
        handlebars.register_escape_fn(no_escape);
        helpers::register(&mut handlebars, deps);
        Self { handlebars, bytes_max: RENDERED_BYTES_MAX }
    }

    /// Renders a template with a context; `path` is for messages.
    ///
    /// # Errors
    /// Says where it is no template, or what in it cannot be rendered.
    pub fn render(&self, path: &Path, text: &str, context: &Json) -> Result<String, TemplateFault> {
        no_decorators(path, text)?;
        let mut out = Bounded { bytes: Vec::new(), bytes_max: self.bytes_max, is_full: false };
        match self.handlebars.render_template_to_write(text, context, &mut out) {
            Ok(()) => Ok(String::from_utf8_lossy(&out.bytes).into_owned()),
            Err(_) if out.is_full => {
                let reason = format!("renders to more than {} bytes", self.bytes_max);
                Err(TemplateFault::new(path, text, None, reason))
            }
            Err(e) => Err(render_fault(path, text, &e)),
        }
    }
}

/// Collects what a template renders, up to a bound: nested loops over long lists have none of their own.
struct Bounded {
    bytes: Vec<u8>,
    bytes_max: usize,
    is_full: bool,
}

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.bytes_max {
            self.is_full = true;
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A partial that a template defines may include itself, also through another one, and would never end.
fn no_decorators(path: &Path, text: &str) -> Result<(), TemplateFault> {
    for (at, opening) in text.match_indices("{{") {
        let behind = text.get(at + opening.len()..).unwrap_or_default();
        let behind = behind.trim_start_matches(|c: char| matches!(c, '{' | '~' | '#') || c.is_whitespace());
        if behind.starts_with('*') {
            let before = text.get(..at).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
            let reason = "templates that define partials ({{#*inline}}) are not rendered: one that includes itself has no \
                          end; write its text where it is used";
            return Err(TemplateFault::new(path, text, Some((line, column)), reason.to_owned()));
        }
    }
    Ok(())
}

/// Checks that a text is a template.
///
/// # Errors
/// Says where it is not.
pub fn check(path: &Path, text: &str) -> Result<(), TemplateFault> {
    no_decorators(path, text)?;
    Template::compile(text).map(|_| ()).map_err(|e| parse_fault(path, text, &e))
}

fn parse_fault(path: &Path, text: &str, e: &TemplateError) -> TemplateFault {
    let reason = match e.reason() {
        // The parser's own words are a list of its grammar's rules, which help no author.
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
