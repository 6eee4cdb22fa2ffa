//! Finds every name in a template that its contexts do not have, and every helper that does not exist: in branches, too,
//! that no rendering reaches. Renders nothing.
//!
//! A name is judged where the contexts show what it could be: of a list that is empty in all of them nothing is known.

use std::collections::BTreeMap;
use std::path::Path as FilePath;

use handlebars::template::{BlockParam, HelperTemplate, Parameter, TemplateElement};
use handlebars::{Path, PathSeg, Template};
use serde_json::Value as Json;

use super::TemplateFault;
use super::helpers::NAMES;

/// Helpers of the library.
const LIBRARY: [&str; 17] = [
    "if", "unless", "each", "with", "lookup", "raw", "log", "eq", "ne", "gt", "gte", "lt", "lte", "and",
    "or", "not", "len",
];
/// Helpers that ask whether something is there, so that a setting without a default is no slip in their parameters.
const ASKING: [&str; 7] = ["if", "unless", "with", "and", "or", "not", "eq"];

/// A name or helper that does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slip {
    /// It is a setting, which another layer than the defaults may have.
    pub(crate) is_setting: bool,
    /// The place and the reason.
    pub(crate) fault: TemplateFault,
}

/// The slips of a template that may be rendered with any of these contexts; none of a text that is no template.
pub(crate) fn slips(path: &FilePath, text: &str, contexts: &[Json]) -> Vec<Slip> {
    let Ok(template) = Template::compile(text) else { return Vec::new() };
    let root = Frame { base: contexts.iter().map(Seen::one).collect(), names: BTreeMap::new(), of: None };
    let mut walk = Walk { path, text, frames: vec![root], at: None, found: Vec::new() };
    walk.template(&template);
    walk.found
}

/// What a name stands for in one of the contexts.
#[derive(Clone, Debug)]
enum Seen<'a> {
    /// Any of these values.
    Any(Vec<&'a Json>),
    /// It is not there.
    Missing,
    /// This context does not tell.
    Unknown,
}

impl<'a> Seen<'a> {
    fn one(value: &'a Json) -> Self {
        Self::Any(vec![value])
    }

    fn get(&self, name: &str) -> Self {
        let Self::Any(values) = self else { return self.clone() };
        let step = |value: &&'a Json| match value {
            Json::Array(list) => list.get(name.parse::<usize>().ok()?),
            other => other.get(name),
        };
        let found: Vec<&Json> = values.iter().filter_map(step).collect();
        if !found.is_empty() {
            Self::Any(found)
        } else if values.iter().any(|value| value.is_null()) || values.is_empty() {
            Self::Unknown
        } else {
            Self::Missing
        }
    }

    fn if_there(self) -> Self {
        if matches!(self, Self::Missing) { Self::Unknown } else { self }
    }

    /// What a loop over it visits.
    fn items(&self) -> Self {
        let Self::Any(values) = self else { return Self::Unknown };
        let mut items = Vec::new();
        for value in values {
            match value {
                Json::Array(list) => items.extend(list),
                Json::Object(map) => items.extend(map.values()),
                _ => {}
            }
        }
        if items.is_empty() { Self::Unknown } else { Self::Any(items) }
    }
}

/// A block that changes what names stand for; one value for each context.
#[derive(Clone, Debug)]
struct Frame<'a> {
    base: Vec<Seen<'a>>,
    /// The names behind `as`.
    names: BTreeMap<String, Vec<Seen<'a>>>,
    /// The first part of the name that the block is about.
    of: Option<String>,
}

struct Walk<'a, 'b> {
    path: &'b FilePath,
    text: &'b str,
    frames: Vec<Frame<'a>>,
    /// Line and column of the expression.
    at: Option<(usize, usize)>,
    found: Vec<Slip>,
}

impl<'a> Walk<'a, '_> {
    fn template(&mut self, template: &Template) {
        for (at, element) in template.elements.iter().enumerate() {
            self.at = template.mapping.get(at).map(|mapping| (mapping.0, mapping.1));
            match element {
                TemplateElement::Expression(helper) | TemplateElement::HtmlExpression(helper) => {
                    self.call(helper)
                }
                TemplateElement::HelperBlock(helper) => self.block(helper),
                TemplateElement::PartialExpression(_) | TemplateElement::PartialBlock(_) => {
                    self.slip(false, "there are no partials: write the text where it is used".to_owned());
                }
                _ => {}
            }
        }
    }

    fn slip(&mut self, is_setting: bool, reason: String) {
        let fault = TemplateFault::new(self.path, self.text, self.at, reason);
        let slip = Slip { is_setting, fault };
        if !self.found.contains(&slip) {
            self.found.push(slip);
        }
    }

    /// An expression: a name alone, or a helper with parameters.
    fn call(&mut self, helper: &HelperTemplate) {
        let name = helper.name.as_name().unwrap_or_default();
        let is_call = !helper.params.is_empty() || !helper.hash.is_empty();
        if is_call || is_helper(name) {
            self.helper(name);
            self.parameters(helper);
        } else {
            self.parameter(&helper.name, false);
        }
    }

    fn helper(&mut self, name: &str) {
        if !is_helper(name) {
            let known: Vec<&str> = NAMES.iter().chain(&LIBRARY).copied().collect();
            self.slip(false, format!("there is no helper {name}; the helpers are {}", known.join(", ")));
        }
    }

    fn parameters(&mut self, helper: &HelperTemplate) {
        let asks = ASKING.contains(&helper.name.as_name().unwrap_or_default());
        for parameter in helper.params.iter().chain(helper.hash.values()) {
            self.parameter(parameter, asks);
        }
    }

    fn parameter(&mut self, parameter: &Parameter, asks: bool) {
        match parameter {
            Parameter::Path(path) => self.name(path, asks),
            Parameter::Name(name) => {
                if let Ok(path) = Path::parse(name) {
                    self.name(&path, asks);
                }
            }
            Parameter::Subexpression(inner) => {
                if let TemplateElement::Expression(helper) = inner.as_element() {
                    self.call(helper);
                }
            }
            _ => {}
        }
    }

    fn block(&mut self, helper: &HelperTemplate) {
        let name = helper.name.as_name().unwrap_or_default();
        self.helper(name);
        self.parameters(helper);
        let at = self.at;
        let about = helper.params.first().map(|parameter| self.seen(parameter));
        let frame = match (name, about) {
            ("if" | "unless", _) => None,
            // What is not there is not entered.
            ("with", Some((base, of))) => Some((base.into_iter().map(Seen::if_there).collect(), of)),
            ("each" | "eachAlive", Some((list, of))) => Some((list.iter().map(Seen::items).collect(), of)),
            _ => Some((self.unknown(), None)),
        };
        let is_frame = frame.is_some();
        if let Some((base, of)) = frame {
            let mut names = BTreeMap::new();
            let mut name_of = |parameter: &Parameter, seen: Vec<Seen<'a>>| {
                names.extend(parameter.as_name().map(|name| (name.to_owned(), seen)));
            };
            match &helper.block_param {
                Some(BlockParam::Single(value)) => name_of(value, base.clone()),
                Some(BlockParam::Pair((value, key))) => {
                    name_of(value, base.clone());
                    name_of(key, self.unknown());
                }
                _ => {}
            }
            self.frames.push(Frame { base, names, of });
        }
        helper.template.iter().for_each(|template| self.template(template));
        if is_frame {
            self.frames.pop();
        }
        self.at = at;
        helper.inverse.iter().for_each(|inverse| self.template(inverse));
    }

    fn unknown(&self) -> Vec<Seen<'a>> {
        let contexts = self.frames.first().map_or(0, |root| root.base.len());
        vec![Seen::Unknown; contexts]
    }

    /// What a parameter stands for, and the first part of its name.
    fn seen(&self, parameter: &Parameter) -> (Vec<Seen<'a>>, Option<String>) {
        let path = match parameter {
            Parameter::Path(path) => Some(path.clone()),
            Parameter::Name(name) => Path::parse(name).ok(),
            _ => None,
        };
        match path.as_ref().and_then(|path| self.resolve(path)) {
            Some(Resolved { seen, of, .. }) => (seen, of),
            None => (self.unknown(), None),
        }
    }

    /// What a path stands for; none for what the library itself knows, such as `@index`.
    fn resolve(&self, path: &Path) -> Option<Resolved<'a>> {
        let Path::Relative((segments, _)) = path else { return None };
        let (mut up, mut from_root, mut names) = (0, false, Vec::new());
        for segment in segments {
            match segment {
                PathSeg::Named(name) => names.push(name.as_str()),
                // The parser's rules are not public, but their names are.
                PathSeg::Ruled(rule) => match format!("{rule:?}").as_str() {
                    "path_up" => up += 1,
                    "path_root" => from_root = true,
                    _ => {}
                },
                _ => return None,
            }
        }
        let place = if from_root { 0 } else { self.frames.len().saturating_sub(1 + up) };
        let frame = self.frames.get(place)?;
        let first = names.first().copied();
        let named = first.filter(|_| up == 0 && !from_root).and_then(|name| {
            self.frames.iter().rev().find_map(|frame| Some((frame.names.get(name)?, frame.of.clone())))
        });
        let (start, of, rest) = match named {
            Some((start, of)) => (start, of, names.get(1..).unwrap_or_default()),
            None => {
                let of = frame.of.clone().or_else(|| first.map(str::to_owned));
                (&frame.base, of, names.as_slice())
            }
        };
        let seen = start.iter().map(|seen| rest.iter().fold(seen.clone(), |seen, name| seen.get(name)));
        Some(Resolved { seen: seen.collect(), of, is_at_root: place == 0 })
    }

    fn name(&mut self, path: &Path, asks: bool) {
        let Some(Resolved { seen, of, is_at_root }) = self.resolve(path) else { return };
        let is_found = seen.iter().any(|seen| matches!(seen, Seen::Any(_)));
        let is_missing = seen.iter().any(|seen| matches!(seen, Seen::Missing));
        let is_setting = of.as_deref() == Some("cfg");
        if is_found || !is_missing || (is_setting && asks) {
            return;
        }
        let Path::Relative((_, raw)) = path else { return };
        let hint = match of.as_deref() {
            Some("cfg" | "svc" | "bind" | "pkg" | "sys") if is_at_root => "",
            _ if is_at_root => "; names begin with cfg, svc, bind, pkg or sys",
            _ => " in this block",
        };
        self.slip(is_setting, format!("{raw} does not exist{hint}"));
    }
}

struct Resolved<'a> {
    seen: Vec<Seen<'a>>,
    of: Option<String>,
    is_at_root: bool,
}

fn is_helper(name: &str) -> bool {
    LIBRARY.contains(&name) || NAMES.contains(&name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(text: &str) -> Vec<(usize, bool, String)> {
        let alone = json!({"cfg": {"port": 80, "list": [{"a": 1}, {"b": 2}], "none": []}, "svc": {"leader": null,
            "members": [{"alive": true, "sys": {"ip": "x"}}]}, "bind": {}, "pkg": {"name": "shop"}, "sys": {}});
        let mut leads = alone.clone();
        leads["svc"]["leader"] = json!({"alive": true});
        leads["bind"] = json!({"db": {"first": {"cfg": {"port": 1}}}});
        let slips = slips(FilePath::new("t"), text, &[alone, leads]).into_iter();
        slips.map(|s| (s.fault.at.map_or(0, |at| at.0), s.is_setting, s.fault.reason)).collect()
    }

    #[test]
    fn what_exists_in_some_context_is_no_slip() {
        let good = "{{cfg.port}} {{{pkg.name}}} {{svc.leader.alive}} {{bind.db.first.cfg.port}} {{@root.cfg.port}}\n\
                    {{#if cfg.extra}}x{{else if (and cfg.tls cfg.key)}}y{{else}}{{cfg.port}}{{/if}}\n\
                    {{#each cfg.list as |item i|}}{{item.a}}{{item.b}}{{a}}{{this}}{{@index}}{{i}}{{../cfg.port}}{{/each}}\n\
                    {{#each cfg.none}}{{anything.at.all}}{{/each}}{{#with cfg.tls}}{{key}}{{/with}}\n\
                    {{#eachAlive svc.members as |m|}}{{m.sys.ip}}{{#if m.alive}}{{sys.ip}}{{/if}}{{/eachAlive}}\n\
                    {{toUppercase (strConcat pkg.name \"x\")}} {{lookup svc.members 0}} {{svc.members.[0].alive}} {{! cfg.x }}\n";
        assert_eq!(found(good), []);
        assert_eq!(found("{{#if"), [], "the engine says what is wrong with that");
    }

    #[test]
    fn every_slip_is_found_in_branches_that_are_not_reached_too() {
        let bad = "{{cfg.prot}} {{svc.laeder}}\n{{#if false}}{{toUpper cfg.port}}{{else}}{{pkg.nam}}{{/if}}\n\
                   {{#each svc.members as |m|}}{{m.sys.pi}}{{aliv}}{{/each}}\n{{port}} {{> part}}\n\
                   {{#each cfg.hosts}}{{/each}}{{bind.dd.first}}{{toUppercase sys.nme}}\n{{#unknown cfg.port}}{{x}}{{/unknown}}";
        let bad = found(bad);
        let reasons: Vec<(usize, bool, &str)> = bad
            .iter()
            .map(|(line, is_setting, reason)| {
                (*line, *is_setting, reason.split(';').next().unwrap_or_default())
            })
            .collect();
        assert_eq!(
            reasons,
            [
                (1, true, "cfg.prot does not exist"),
                (1, false, "svc.laeder does not exist"),
                (2, false, "there is no helper toUpper"),
                (2, false, "pkg.nam does not exist"),
                (3, false, "m.sys.pi does not exist in this block"),
                (3, false, "aliv does not exist in this block"),
                (4, false, "port does not exist"),
                (4, false, "there are no partials: write the text where it is used"),
                (5, true, "cfg.hosts does not exist"),
                (5, false, "bind.dd.first does not exist"),
                (5, false, "sys.nme does not exist"),
                (6, false, "there is no helper unknown"),
            ]
        );
        assert!(bad[6].2.ends_with("names begin with cfg, svc, bind, pkg or sys"), "{}", bad[6].2);
    }
}
