//! Merges the layers of a service's configuration, TOML, the later over the earlier (as in Habitat). Reads no file:
//! `layers` does.
//!
//! Tables are merged key by key; any other value, and an array as a whole, replaces the value that was there, also
//! when its type differs.

use toml::{Table, Value};

/// How deep tables of a configuration may be nested.
pub(super) const DEPTH_MAX: usize = 30;

/// The tables of a layer are nested deeper than any configuration needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooDeep;

/// Puts one layer over another.
///
/// # Errors
/// Tables are nested more than 30 deep; `base` is then partly merged and has to be dropped.
pub(super) fn merge(base: &mut Table, over: Table) -> Result<(), TooDeep> {
    fn merge_at(base: &mut Table, over: Table, depth: usize) -> Result<(), TooDeep> {
        if depth > DEPTH_MAX {
            return Err(TooDeep);
        }
        for (key, value) in over {
            match (base.get_mut(&key), value) {
                (Some(Value::Table(below)), Value::Table(above)) => merge_at(below, above, depth + 1)?,
                (_, value) => {
                    base.insert(key, value);
                }
            }
        }
        Ok(())
    }
    merge_at(base, over, 1)
}

/// Whether the tables of a configuration are nested deeper than any layer may have them.
#[must_use]
pub(crate) fn is_too_deep(table: &Table) -> bool {
    depth(table) > DEPTH_MAX
}

/// The name of the variable that holds a service's configuration.
pub(crate) fn variable(service: &str) -> String {
    format!("HAB_{}", service.to_uppercase().replace('-', "_"))
}

/// How deep the tables of a configuration are nested, those inside lists included.
pub(super) fn depth(table: &Table) -> usize {
    fn below(value: &Value) -> usize {
        match value {
            Value::Table(table) => depth(table),
            Value::Array(items) => items.iter().map(below).max().unwrap_or(0),
            _ => 0,
        }
    }
    1 + table.values().map(below).max().unwrap_or(0)
}

/// Reads the text as TOML, and as JSON if it is not TOML.
pub(super) fn parse_variable(text: &str) -> Result<Table, String> {
    let toml_error = match text.parse::<Table>() {
        Ok(table) => return Ok(table),
        Err(e) => e,
    };
    serde_json::from_str(text).map_err(|json| {
        format!("neither TOML nor JSON that could be TOML\nas TOML: {toml_error}\nas JSON: {json}")
    })
}

/// A configuration as templates see it.
pub(super) fn to_json(value: &Value) -> serde_json::Value {
    match value {
        Value::String(text) => text.as_str().into(),
        Value::Integer(number) => (*number).into(),
        // TOML has infinities and JSON has none, so templates see their text.
        Value::Float(number) => {
            serde_json::Number::from_f64(*number).map_or_else(|| number.to_string().into(), Into::into)
        }
        Value::Boolean(flag) => (*flag).into(),
        Value::Datetime(time) => time.to_string().into(),
        Value::Array(items) => items.iter().map(to_json).collect(),
        Value::Table(table) => table_to_json(table),
    }
}

/// As [`to_json`], of a whole configuration.
pub(crate) fn table_to_json(table: &Table) -> serde_json::Value {
    table.iter().map(|(key, value)| (key.clone(), to_json(value))).collect()
}
