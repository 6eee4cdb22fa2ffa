//! The helpers that Habitat's templates may call, besides those of the library, and `shellQuote`, which Habitat lacks. They compute with their parameters,
//! and reach neither files nor the network.

use std::fmt::Write as _;
use std::path::PathBuf;

use annulus_core::PackageIdent;
use handlebars::{
    BlockContext, BlockParams, Context, Handlebars, Helper, HelperDef, HelperResult, Output, PathAndJson,
    RenderContext, RenderError, RenderErrorReason, Renderable as _,
};
use serde_json::Value as Json;

/// The names of all helpers that are registered here.
pub(super) const NAMES: [&str; 11] = [
    "toJson",
    "toToml",
    "toYaml",
    "toUppercase",
    "toLowercase",
    "strConcat",
    "strJoin",
    "strReplace",
    "shellQuote",
    "pkgPathFor",
    "eachAlive",
];

/// Registers all helpers. `deps` are the packages that `pkgPathFor` finds.
pub(super) fn register(engine: &mut Handlebars<'_>, deps: Vec<(PackageIdent, PathBuf)>) {
    engine.register_helper("toJson", text_helper("toJson", to_json));
    engine.register_helper("toToml", text_helper("toToml", to_toml));
    engine.register_helper("toYaml", text_helper("toYaml", to_yaml));
    engine.register_helper("toUppercase", text_helper("toUppercase", |h| Ok(word(h, 0)?.to_uppercase())));
    engine.register_helper("toLowercase", text_helper("toLowercase", |h| Ok(word(h, 0)?.to_lowercase())));
    engine.register_helper("strConcat", text_helper("strConcat", concat));
    engine.register_helper("strJoin", text_helper("strJoin", join));
    engine.register_helper(
        "strReplace",
        text_helper("strReplace", |h| Ok(word(h, 0)?.replace(&word(h, 1)?, &word(h, 2)?))),
    );
    engine.register_helper("shellQuote", text_helper("shellQuote", |h| Ok(shell_quote(&word(h, 0)?))));
    engine.register_helper("pkgPathFor", text_helper("pkgPathFor", move |h| path_for(h, &deps)));
    engine.register_helper("eachAlive", Box::new(EachAlive));
}

/// A helper that writes the text that `f` makes of its parameters.
struct TextHelper<F> {
    name: &'static str,
    f: F,
}

fn text_helper<F>(name: &'static str, f: F) -> Box<TextHelper<F>>
where
    F: Fn(&Helper<'_>) -> Result<String, String>,
{
    Box::new(TextHelper { name, f })
}

impl<F: Fn(&Helper<'_>) -> Result<String, String>> HelperDef for TextHelper<F> {
    fn call<'reg: 'rc, 'rc>(
        &self,
        h: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        let text = (self.f)(h).map_err(|reason| other(format!("{}: {reason}", self.name)))?;
        Ok(out.write(&text)?)
    }
}

fn other(reason: String) -> RenderError {
    RenderErrorReason::Other(reason).into()
}

/// The name of a parameter in messages.
fn key(param: &PathAndJson<'_>) -> String {
    param.relative_path().map_or_else(|| param.value().to_string(), Clone::clone)
}

fn param<'a>(h: &'a Helper<'_>, at: usize) -> Result<&'a Json, String> {
    let param = h.param(at).ok_or_else(|| format!("parameter {} is missing", at + 1))?;
    Ok(param.value())
}

/// A parameter as text. A key that does not exist is empty, as everywhere in a template.
fn word(h: &Helper<'_>, at: usize) -> Result<String, String> {
    let param = h.param(at).ok_or_else(|| format!("parameter {} is missing", at + 1))?;
    scalar(param.value()).ok_or_else(|| format!("{} is not a text, a number or a flag", key(param)))
}

fn scalar(value: &Json) -> Option<String> {
    match value {
        Json::Null => Some(String::new()),
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(flag) => Some(flag.to_string()),
        Json::Array(_) | Json::Object(_) => None,
    }
}

/// The text as one word of a shell, whatever it holds.
fn shell_quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn concat(h: &Helper<'_>) -> Result<String, String> {
    (0..h.params().len()).map(|at| word(h, at)).collect()
}

fn join(h: &Helper<'_>) -> Result<String, String> {
    let list = h.param(0).ok_or("parameter 1 is missing")?;
    let separator = word(h, 1)?;
    let items = match list.value() {
        Json::Array(items) => items.as_slice(),
        Json::Null => &[],
        _ => return Err(format!("{} is not a list", key(list))),
    };
    let words: Option<Vec<String>> = items.iter().map(scalar).collect();
    let words = words.ok_or_else(|| format!("{} holds a list or a table", key(list)))?;
    Ok(words.join(&separator))
}

fn path_for(h: &Helper<'_>, deps: &[(PackageIdent, PathBuf)]) -> Result<String, String> {
    let text = word(h, 0)?;
    let wanted: PackageIdent =
        text.parse().map_err(|_| format!("{text:?} is not origin/name[/version[/release]]"))?;
    let (_, path) = deps
        .iter()
        .find(|(ident, _)| ident.satisfies(&wanted))
        .ok_or_else(|| format!("{wanted} is not a dependency of this package; add it to deps in its plan"))?;
    Ok(path.display().to_string())
}

fn to_json(h: &Helper<'_>) -> Result<String, String> {
    serde_json::to_string_pretty(param(h, 0)?).map_err(|e| e.to_string())
}

fn to_toml(h: &Helper<'_>) -> Result<String, String> {
    let value = json_to_toml(param(h, 0)?).unwrap_or(toml::Value::Table(toml::Table::new()));
    match value {
        toml::Value::Table(table) => toml::to_string(&table).map_err(|e| e.to_string()),
        other => Ok(other.to_string()),
    }
}

/// TOML has no null, so keys with that value are left out.
fn json_to_toml(value: &Json) -> Option<toml::Value> {
    Some(match value {
        Json::Null => return None,
        Json::Bool(flag) => (*flag).into(),
        Json::Number(number) => match number.as_i64() {
            Some(integer) => integer.into(),
            None => number.as_f64()?.into(),
        },
        Json::String(text) => text.clone().into(),
        Json::Array(items) => toml::Value::Array(items.iter().filter_map(json_to_toml).collect()),
        Json::Object(map) => {
            let pairs = map.iter().filter_map(|(key, value)| Some((key.clone(), json_to_toml(value)?)));
            toml::Value::Table(pairs.collect())
        }
    })
}

fn to_yaml(h: &Helper<'_>) -> Result<String, String> {
    let mut out = String::from("---\n");
    yaml(param(h, 0)?, 0, &mut out);
    Ok(out)
}

/// Writes a value in block style, and a line end after it; the cursor is at `indent` already.
fn yaml(value: &Json, indent: usize, out: &mut String) {
    let pad = " ".repeat(indent);
    match value {
        Json::Array(items) if !items.is_empty() => {
            for (at, item) in items.iter().enumerate() {
                let pad = if at == 0 { "" } else { &pad };
                let _ = write!(out, "{pad}- ");
                yaml(item, indent + 2, out);
            }
        }
        Json::Object(map) if !map.is_empty() => {
            for (at, (name, value)) in map.iter().enumerate() {
                let pad = if at == 0 { "" } else { &pad };
                let _ = write!(out, "{pad}{}:", yaml_text(name));
                let nested = match value {
                    Json::Array(items) => !items.is_empty(),
                    Json::Object(map) => !map.is_empty(),
                    Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => false,
                };
                if nested {
                    let _ = write!(out, "\n{}", " ".repeat(indent + 2));
                    yaml(value, indent + 2, out);
                } else {
                    out.push(' ');
                    yaml(value, indent, out);
                }
            }
        }
        Json::String(text) => {
            out.push_str(&yaml_text(text));
            out.push('\n');
        }
        // Numbers, flags, null and empty lists and tables look the same in JSON.
        plain => {
            let _ = writeln!(out, "{plain}");
        }
    }
}

/// A text without quotes if no reader could take it for another type, else in JSON's quotes, which YAML has too.
fn yaml_text(text: &str) -> String {
    let words = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/'))
        && !words.contains(&text.to_lowercase().as_str());
    if plain { text.to_owned() } else { Json::from(text).to_string() }
}

/// `{{#eachAlive members as |member|}}…{{else}}…{{/eachAlive}}`:
/// visits the members that are alive; `@index` starts at 1.
struct EachAlive;

impl HelperDef for EachAlive {
    fn call<'reg: 'rc, 'rc>(
        &self,
        h: &Helper<'rc>,
        registry: &'reg Handlebars<'reg>,
        context: &'rc Context,
        rc: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        let list = h.param(0).ok_or_else(|| other("eachAlive: parameter 1 is missing".to_owned()))?;
        let members = match list.value() {
            Json::Array(members) => members.as_slice(),
            Json::Null => &[],
            _ => return Err(other(format!("eachAlive: {} is not a list of members", key(list)))),
        };
        let is_alive = |member: &&Json| member.get("alive").and_then(Json::as_bool) == Some(true);
        let alive: Vec<&Json> = members.iter().filter(is_alive).collect();
        let Some(body) = h.template().filter(|_| !alive.is_empty()) else {
            return h.inverse().map_or(Ok(()), |inverse| inverse.render(registry, context, rc, out));
        };
        for (at, member) in alive.iter().enumerate() {
            let mut block = BlockContext::new();
            block.set_base_value((*member).clone());
            block.set_local_var("first", (at == 0).into());
            block.set_local_var("last", (at + 1 == alive.len()).into());
            block.set_local_var("index", (at + 1).into());
            let mut names = BlockParams::new();
            if let Some(name) = h.block_param() {
                names.add_value(name, (*member).clone())?;
            } else if let Some((name, index)) = h.block_param_pair() {
                names.add_value(name, (*member).clone())?;
                names.add_value(index, (at + 1).into())?;
            }
            block.set_block_params(names);
            rc.push_block(block);
            let rendered = body.render(registry, context, rc, out);
            rc.pop_block();
            rendered?;
        }
        Ok(())
    }
}
