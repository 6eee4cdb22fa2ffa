//! The small text files at the top of a package that describe it (as in Habitat). Knows their names, and the meaning
//! of none but `name=value` lines.

use std::collections::BTreeMap;

/// A file that describes a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MetaFile {
    /// The fully qualified ident.
    Ident,
    /// The platform that it runs on.
    Target,
    /// A description for people.
    Manifest,
    /// The packages that it needs itself, one ident per line.
    Deps,
    /// The packages that it needs, also through others.
    Tdeps,
    /// Directories of its own programs, `:` between them.
    Path,
    /// Directories of its own and its dependencies' programs.
    RuntimePath,
    /// `NAME=value` lines for its processes.
    RuntimeEnvironment,
    /// `name=config.path` lines: the parts of its configuration that other services may learn.
    Exports,
    /// Ports, a space between them.
    Exposes,
    /// `name=export export…` lines: the exports of other services that it needs.
    Binds,
    /// The same, for binds that it can do without.
    BindsOptional,
    /// The user that its processes run as.
    SvcUser,
    /// The group that its processes run as.
    SvcGroup,
    /// The polite signal, without `SIG`.
    ShutdownSignal,
    /// Seconds from the polite signal to KILL.
    ShutdownTimeout,
    /// What happens to the service when its member leads the group no longer.
    Demoted,
    /// Limits of the service on its host.
    Limits,
    /// The capabilities that its processes keep, a space between them.
    Capabilities,
    /// How the service is checked if it has no hook for that: TOML.
    Health,
    /// How the service is drained: TOML.
    Drain,
}

impl MetaFile {
    /// All metafiles.
    pub const ALL: [Self; 21] = [
        Self::Ident,
        Self::Target,
        Self::Manifest,
        Self::Deps,
        Self::Tdeps,
        Self::Path,
        Self::RuntimePath,
        Self::RuntimeEnvironment,
        Self::Exports,
        Self::Exposes,
        Self::Binds,
        Self::BindsOptional,
        Self::SvcUser,
        Self::SvcGroup,
        Self::ShutdownSignal,
        Self::ShutdownTimeout,
        Self::Demoted,
        Self::Limits,
        Self::Capabilities,
        Self::Health,
        Self::Drain,
    ];

    /// The file's name.
    #[must_use]
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::Ident => "IDENT",
            Self::Target => "TARGET",
            Self::Manifest => "MANIFEST",
            Self::Deps => "DEPS",
            Self::Tdeps => "TDEPS",
            Self::Path => "PATH",
            Self::RuntimePath => "RUNTIME_PATH",
            Self::RuntimeEnvironment => "RUNTIME_ENVIRONMENT",
            Self::Exports => "EXPORTS",
            Self::Exposes => "EXPOSES",
            Self::Binds => "BINDS",
            Self::BindsOptional => "BINDS_OPTIONAL",
            Self::SvcUser => "SVC_USER",
            Self::SvcGroup => "SVC_GROUP",
            Self::ShutdownSignal => "SHUTDOWN_SIGNAL",
            Self::ShutdownTimeout => "SHUTDOWN_TIMEOUT",
            Self::Demoted => "DEMOTED",
            Self::Limits => "LIMITS",
            Self::Capabilities => "CAPABILITIES",
            Self::Health => "HEALTH",
            Self::Drain => "DRAIN",
        }
    }
}

/// The `name=value` lines of a metafile.
///
/// # Errors
/// Names the line that has no `=`.
pub(crate) fn pairs(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut pairs = BTreeMap::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let (name, value) = line.split_once('=').ok_or_else(|| format!("line {line:?} has no '='"))?;
        pairs.insert(name.trim().to_owned(), value.to_owned());
    }
    Ok(pairs)
}
