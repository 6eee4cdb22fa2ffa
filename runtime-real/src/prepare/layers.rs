//! Reads the layers of a service's configuration, low to high,
//! and knows which of them each value is from. Writes none.
//!
//! A layer that people change while the service runs (`user.toml`, the group's configuration) may be malformed at
//! times. A warning names it then, and its last well-formed content still counts.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use annulus_core::GroupConfig;
use toml::{Table, Value};

use super::Error;
use super::compare;
use super::config::{self, DEPTH_MAX};
use crate::package;

/// The source of a value in a configuration, lower ones first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// `default.toml` of the package, or of the directory that the spec names.
    Default,
    /// The variable `HAB_<NAME>` of the supervisor.
    Environment,
    /// The operator's `user.toml` on this host.
    User,
    /// The group's version, given with `config apply`.
    Group,
}

impl Layer {
    /// The layer's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Environment => "environment",
            Self::User => "user",
            Self::Group => "group",
        }
    }
}

/// One layer.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerTable {
    /// The layer's place in the order.
    pub layer: Layer,
    /// The file, variable or version it was read from.
    pub source: String,
    /// Its content.
    pub table: Table,
    /// It came sealed: its values are for the service's own files alone.
    pub is_sealed: bool,
}

/// The configuration of a service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layers {
    /// Low to high; absent layers are left out.
    pub tables: Vec<LayerTable>,
    /// Warnings for people: layers that are malformed now, whose last well-formed content counts.
    pub warnings: Vec<String>,
    /// The version of the group's configuration that is in use; 0 without one.
    pub group_version: u64,
}

/// The last well-formed content of the layers that may change.
#[derive(Clone, Debug, Default)]
pub struct LastGood {
    /// `user.toml`; none where there was none.
    pub user: Option<Table>,
    /// Whether `user.toml` was read, or seen not to be there, by this supervisor or an earlier one.
    pub user_is_known: bool,
    /// The group's configuration, with its version.
    pub group: Option<(u64, Table)>,
}

/// The places that layers are read from.
pub(super) struct Sources<'a> {
    pub service: &'a str,
    pub defaults: &'a Path,
    pub user: &'a Path,
    /// With the key of the user who sealed it, where it came sealed.
    pub group: Option<(&'a GroupConfig, Option<&'a str>)>,
    pub env: &'a dyn Fn(&str) -> Option<OsString>,
}

impl Layers {
    /// Reads the layers. Where a changing layer is malformed, its content in `last` counts;
    /// well-formed ones are kept there.
    ///
    /// # Errors
    /// Names the layer that is malformed, with line and column.
    pub(super) fn load(sources: &Sources<'_>, last: &mut LastGood) -> Result<Self, Error> {
        let mut layers = Self::load_lower(sources)?;
        layers.load_user(sources.user, last)?;
        match sources.group {
            Some((group, Some(user))) => layers.load_sealed(group, user)?,
            Some((group, None)) => layers.load_group(group, last),
            None => {}
        }
        Ok(layers)
    }

    /// Reads the lower layers, and takes the others from `held`.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub(super) fn load_held(sources: &Sources<'_>, held: &LastGood) -> Result<Self, Error> {
        let mut layers = Self::load_lower(sources)?;
        layers.add_user(sources.user.display().to_string(), held);
        layers.add_group(held);
        Ok(layers)
    }

    /// Those that no operator changes while the service runs.
    fn load_lower(sources: &Sources<'_>) -> Result<Self, Error> {
        let mut layers = Self::default();
        if let Some(table) = package::load_table(sources.defaults)? {
            layers.push(Layer::Default, sources.defaults.display().to_string(), table)?;
        }
        let variable = config::variable(sources.service);
        if let Some(table) = variable_table(&variable, sources.env)? {
            layers.push(Layer::Environment, format!("variable {variable}"), table)?;
        }
        Ok(layers)
    }

    fn load_user(&mut self, path: &Path, last: &mut LastGood) -> Result<(), Error> {
        let source = path.display().to_string();
        let read = package::load_table(path).map_err(Error::from).and_then(|table| match table {
            Some(table) => checked(&source, table).map(Some),
            None => Ok(None),
        });
        match read {
            Ok(table) => (last.user, last.user_is_known) = (table, true),
            Err(error) if last.user_is_known => {
                self.warnings
                    .push(format!("{error}\nuntil it is mended, what it said before goes on counting"));
            }
            Err(error) => return Err(error),
        }
        self.add_user(source, last);
        Ok(())
    }

    fn add_user(&mut self, source: String, last: &LastGood) {
        if let Some(table) = last.user.clone() {
            self.tables.push(LayerTable { layer: Layer::User, source, table, is_sealed: false });
        }
    }

    /// The configuration may come from another implementation, so it is checked here as well.
    fn load_group(&mut self, group: &GroupConfig, last: &mut LastGood) {
        let source = format!("group configuration, version {}", group.incarnation);
        let parsed = std::str::from_utf8(&group.toml).map_err(|e| e.to_string());
        let parsed = parsed.and_then(|text| text.parse::<Table>().map_err(|e| e.to_string()));
        let parsed = parsed.map_err(|message| Error::Config { source_name: source.clone(), message });
        match parsed.and_then(|table| checked(&source, table)) {
            Ok(table) => last.group = Some((group.incarnation, table)),
            Err(error) => {
                self.warnings.push(format!("{error}\nuntil it is replaced, the one before goes on counting"));
            }
        }
        self.add_group(last);
    }

    fn add_group(&mut self, last: &LastGood) {
        if let Some((version, table)) = last.group.clone() {
            let source = format!("group configuration, version {version}");
            self.group_version = version;
            self.tables.push(LayerTable { layer: Layer::Group, source, table, is_sealed: false });
        }
    }

    /// What was sealed was checked when it was opened.
    fn load_sealed(&mut self, group: &GroupConfig, user: &str) -> Result<(), Error> {
        let source = format!("group configuration, version {}, sealed by {user}", group.incarnation);
        let parsed = std::str::from_utf8(&group.toml).ok().and_then(|text| text.parse::<Table>().ok());
        let malformed = || Error::Config { source_name: source.clone(), message: "not TOML".to_owned() };
        let table = checked(&source, parsed.ok_or_else(malformed)?)?;
        self.group_version = group.incarnation;
        self.tables.push(LayerTable { layer: Layer::Group, source, table, is_sealed: true });
        Ok(())
    }

    /// Adds a layer on top.
    ///
    /// # Errors
    /// Its tables lie in each other too deep.
    pub fn push(&mut self, layer: Layer, source: String, table: Table) -> Result<(), Error> {
        let table = checked(&source, table)?;
        self.tables.push(LayerTable { layer, source, table, is_sealed: false });
        Ok(())
    }

    /// All layers in one.
    #[must_use]
    pub fn merged(&self) -> Table {
        let mut merged = Table::new();
        for layer in &self.tables {
            config::merge(&mut merged, layer.table.clone()).expect("each layer's depth was checked");
        }
        merged
    }

    /// All layers in one for those who may not see what came sealed: its values are named, and their content is not.
    #[must_use]
    pub fn redacted(&self) -> Self {
        let mut layers = self.clone();
        for layer in layers.tables.iter_mut().filter(|layer| layer.is_sealed) {
            redact(&mut layer.table);
        }
        layers
    }

    /// Whether a value at this dotted path came sealed, as a whole or in parts.
    pub(super) fn is_sealed(&self, path: &str) -> bool {
        self.tables.iter().any(|layer| layer.is_sealed && package::lookup(&layer.table, path).is_some())
    }

    /// Every value of the merged configuration by its dotted path, with the layer that it is from.
    #[must_use]
    pub fn values(&self) -> BTreeMap<String, (Value, Layer)> {
        let mut found = BTreeMap::new();
        self.collect(&self.merged(), &mut Vec::new(), &mut found);
        found
    }

    /// The content of one layer; none where it does not exist.
    #[must_use]
    pub fn table(&self, layer: Layer) -> Option<&Table> {
        self.tables.iter().find(|table| table.layer == layer).map(|table| &table.table)
    }

    /// Values of the layers that operators write which differ in kind from the package's defaults, in words.
    #[must_use]
    pub fn differences(&self) -> Vec<String> {
        let Some(defaults) = self.table(Layer::Default) else { return Vec::new() };
        let given = self.tables.iter().filter(|table| table.layer != Layer::Default && !table.is_sealed);
        let named = given.flat_map(|table| {
            let differences = compare::differences(defaults, &table.table).into_iter();
            differences.map(|difference| format!("{}: {difference}", table.source))
        });
        named.collect()
    }

    fn collect<'a>(
        &'a self,
        table: &'a Table,
        path: &mut Vec<&'a str>,
        found: &mut BTreeMap<String, (Value, Layer)>,
    ) {
        for (key, value) in table {
            path.push(key);
            match value {
                Value::Table(inner) if !inner.is_empty() => self.collect(inner, path, found),
                leaf => {
                    // Merging replaces, so the highest layer that has a value here is its source.
                    let says = |layer: &&LayerTable| value_at(&layer.table, path).is_some();
                    let from = self.tables.iter().rev().find(says);
                    let layer = from.expect("what was merged is from a layer").layer;
                    found.insert(dotted(path), (leaf.clone(), layer));
                }
            }
            path.pop();
        }
    }
}

/// Stands for a value that came sealed.
const SEALED: &str = "(sealed)";

fn redact(table: &mut Table) {
    for (_, value) in table.iter_mut() {
        match value {
            Value::Table(inner) => redact(inner),
            other => *other = SEALED.into(),
        }
    }
}

fn value_at<'a>(table: &'a Table, path: &[&str]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(table.get(*first)?, |value, key| value.get(*key))
}

/// A path in the form in which TOML writes it.
pub(super) fn dotted(path: &[&str]) -> String {
    let bare = |key: &str| {
        !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    let quoted = |key: &&str| if bare(key) { (*key).to_owned() } else { Value::from(*key).to_string() };
    path.iter().map(quoted).collect::<Vec<_>>().join(".")
}

/// The table, if its tables are not nested deeper than any configuration needs.
fn checked(source: &str, table: Table) -> Result<Table, Error> {
    if !config::is_too_deep(&table) {
        return Ok(table);
    }
    let message = format!("its tables lie in each other more than {DEPTH_MAX} deep; flatten them");
    Err(Error::Config { source_name: source.to_owned(), message })
}

fn variable_table(variable: &str, env: &dyn Fn(&str) -> Option<OsString>) -> Result<Option<Table>, Error> {
    let wrong = |message: String| Error::Config { source_name: format!("variable {variable}"), message };
    let Some(value) = env(variable) else { return Ok(None) };
    let text = value.into_string().map_err(|_| wrong("it is not UTF-8".to_owned()))?;
    // An empty variable counts as unset (as in Habitat).
    if text.trim().is_empty() {
        return Ok(None);
    }
    config::parse_variable(&text).map(Some).map_err(wrong)
}
