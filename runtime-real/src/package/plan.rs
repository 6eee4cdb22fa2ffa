//! `plan.toml`: the file that the author of a package writes. Reads and checks it, and builds nothing.
//!
//! ```toml
//! origin = "acme"                  # who makes it; the key that signs it has this name
//! name = "shop"                    # also the name of its service
//! version = "1.2.0"
//! description = "The shop"         # optional, as are all fields below
//! maintainer = "Ann <ann@acme.example>"
//! license = ["Apache-2.0"]
//! deps = ["core/openssl"]          # packages that have to be installed with it
//! files = ["bin", "share/page.html"]  # copied into the package under the same path
//! exposes = ["port"]               # those exports that are ports it listens on
//!
//! [exports]                        # what other services may learn of the configuration
//! port = "http.port"               # name = path in default.toml
//!
//! [binds]                          # what it must learn of other services before it starts
//! database = ["port", "user"]      # name = the exports it reads
//!
//! [binds_optional]                 # the same, for what it can do without
//! cache = ["port"]
//!
//! [service]
//! shutdown_signal = "TERM"         # the polite signal
//! shutdown_timeout_s = 8           # seconds from there to KILL
//! user = "hab"                     # who it runs as, where the supervisor may choose
//! group = "hab"
//! demoted = "restart"              # or "reconfigure", "stop": when its member leads the group no longer
//! nofile = 4096                    # open files of each of its processes
//! capabilities = ["net_bind_service"]  # of capabilities(7): what its processes may do beyond its user's rights
//!
//! [service.environment]            # variables of its processes and hooks
//! JAVA_OPTS = "-Xmx256m"
//!
//! [service.limits]                 # of all its processes together, where the host lets the launcher limit them
//! memory = "512M"
//! cpu = 1.5                        # processors
//! pids = 100                       # processes and threads
//!
//! [health]                         # how it is checked
//! http = "http://127.0.0.1:{{cfg.http.port}}/health"  # or tcp = "host:port", unix = "/path", or a hook health-check
//! interval_s = 30                  # between two checks, unless the operator says otherwise
//! timeout_s = 10                   # after which a check, or the hook, has failed
//! start_delay_s = 5                # after the start of a process in which it is not checked
//!
//! [drain]                          # what happens before the polite signal
//! timeout_s = 30                   # the most that it may take, unless the operator says otherwise
//! inflight = { connections = "{{cfg.http.port}}" }  # idle when none is open; or { http = URL of a number }
//! ```
//!
//! Beside the plan lie `default.toml` (the configuration), `config/` and `config_install/` (templates of files), and
//! `hooks/` (templates of programs; `run` makes the package a service). Unknown fields are errors.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::str::FromStr;

use annulus_core::{Demoted, PackageIdent};
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::checks::{DrainPlan, DrainTable, HealthPlan, HealthTable};
use super::limits::{LimitsPlan, LimitsTable, Nofile};
use super::{Error, MetaFile};
use crate::host::capabilities::Capabilities;
use crate::host::{environment, look};

/// Largest plan or configuration file, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// The user that services run as when the plan names none (as in Habitat).
const USER_DEFAULT: &str = "hab";
/// Habitat's time between the polite signal and KILL, in seconds.
pub(crate) const SHUTDOWN_TIMEOUT_S_DEFAULT: u64 = 8;
/// Longest time that a service gets to stop: a day.
pub(crate) const SHUTDOWN_TIMEOUT_S_MAX: u64 = 86_400;

/// A checked plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Origin, name and version.
    pub ident: PackageIdent,
    /// A description of the package.
    pub description: Option<String>,
    /// The person or team that looks after it.
    pub maintainer: Option<String>,
    /// Its licenses.
    pub license: Vec<String>,
    /// The packages that it needs.
    pub deps: Vec<PackageIdent>,
    /// The paths, relative to the plan, that are copied.
    pub files: Vec<String>,
    /// Exported name → path in the configuration.
    pub exports: BTreeMap<String, String>,
    /// Ports that it listens on.
    pub exposes: Vec<u16>,
    /// Bind → the exports it reads.
    pub binds: BTreeMap<String, Vec<String>>,
    /// The same, for binds it can do without.
    pub binds_optional: BTreeMap<String, Vec<String>>,
    /// How its service is run.
    pub service: ServicePlan,
    /// How its service is checked where there is no hook.
    pub health: Option<HealthPlan>,
    /// How its service is drained.
    pub drain: DrainPlan,
}

/// How a package's service is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePlan {
    /// The polite signal.
    pub shutdown_signal: Signal,
    /// Seconds from there to KILL.
    pub shutdown_timeout_s: u64,
    /// The user that its processes run as.
    pub user: String,
    /// The group that its processes run as.
    pub group: String,
    /// What happens to it when its member leads the group no longer.
    pub demoted: Demoted,
    /// Limits of the service on its host.
    pub limits: LimitsPlan,
    /// The capabilities that its processes keep.
    pub capabilities: Capabilities,
    /// Variables of its processes.
    pub environment: BTreeMap<String, String>,
}

impl Plan {
    /// Reads `plan.toml` and checks it against the `default.toml` beside it.
    ///
    /// # Errors
    /// Names the file, line and column, and shows the line.
    pub fn load(dir: &Path) -> Result<Self, Error> {
        let path = dir.join("plan.toml");
        let text = read_text(&path)?;
        let defaults = load_table(&dir.join("default.toml"))?.unwrap_or_default();
        Self::parse(&text, &defaults, &path)
    }

    /// Reads the text of a plan and checks it against its defaults; `path` is for messages.
    ///
    /// # Errors
    /// Names the file, line and column, and shows the line.
    pub fn parse(text: &str, defaults: &toml::Table, path: &Path) -> Result<Self, Error> {
        let wrong = |message: String| Error::Plan { path: path.to_owned(), message };
        let file: PlanFile = toml::from_str(text).map_err(|e| wrong(e.to_string()))?;
        file.check(text, defaults).map_err(wrong)
    }
}

/// The table that a TOML file holds; none when there is no such file.
///
/// # Errors
/// Names the file, line and column, and shows the line.
pub(crate) fn load_table(path: &Path) -> Result<Option<toml::Table>, Error> {
    if look::meta(path).map_err(Error::io(path))?.is_none() {
        return Ok(None);
    }
    let text = read_text(path)?;
    let table =
        toml::from_str(&text).map_err(|e| Error::Plan { path: path.to_owned(), message: e.to_string() })?;
    Ok(Some(table))
}

/// Reads a file that a person wrote as text.
pub(crate) fn read_text(path: &Path) -> Result<String, Error> {
    // A pipe in its place would be waited for without end.
    let flags = nix::libc::O_CLOEXEC | nix::libc::O_NONBLOCK;
    let file =
        std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(Error::io(path))?;
    if !file.metadata().map_err(Error::io(path))?.is_file() {
        return Err(Error::Plan { path: path.to_owned(), message: "it is not a regular file".to_owned() });
    }
    let mut text = String::new();
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidData => {
            let message = "not text in UTF-8; what is not text belongs into `files` of the plan".to_owned();
            Error::Plan { path: path.to_owned(), message }
        }
        _ => Error::io(path)(error),
    })?;
    if text.len() as u64 > FILE_BYTES_MAX {
        let message = format!("larger than {FILE_BYTES_MAX} bytes; move what it holds into files of its own");
        return Err(Error::Plan { path: path.to_owned(), message });
    }
    Ok(text)
}

/// The value at a dotted path of a configuration.
pub(crate) fn lookup<'a>(table: &'a toml::Table, path: &str) -> Option<&'a toml::Value> {
    let mut parts = path.split('.');
    let mut value = table.get(parts.next()?)?;
    for part in parts {
        value = value.get(part)?;
    }
    Some(value)
}

/// The file as the author wrote it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanFile {
    origin: Spanned<String>,
    name: Spanned<String>,
    version: Spanned<String>,
    description: Option<Line>,
    maintainer: Option<Line>,
    #[serde(default)]
    license: Vec<Line>,
    #[serde(default)]
    deps: Vec<Dep>,
    #[serde(default)]
    files: Vec<FilePath>,
    #[serde(default)]
    exports: BTreeMap<Word, ConfigPath>,
    #[serde(default)]
    exposes: Vec<Spanned<String>>,
    #[serde(default)]
    binds: BTreeMap<Word, Vec<Word>>,
    #[serde(default)]
    binds_optional: BTreeMap<Word, Vec<Word>>,
    #[serde(default)]
    service: ServiceTable,
    health: Option<Spanned<HealthTable>>,
    drain: Option<Spanned<DrainTable>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ServiceTable {
    shutdown_signal: Option<StopSignal>,
    shutdown_timeout_s: Option<Seconds>,
    user: Option<Word>,
    group: Option<Word>,
    demoted: Option<DemotedWord>,
    nofile: Option<Nofile>,
    #[serde(default)]
    limits: LimitsTable,
    #[serde(default)]
    capabilities: Vec<Capability>,
    #[serde(default)]
    environment: BTreeMap<Variable, Line>,
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Capability(Capabilities);

impl TryFrom<String> for Capability {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self)
    }
}

/// Declares a text type that is checked where it is read, so that the message shows the place.
macro_rules! checked_text {
    ($name:ident, $check:expr, $message:literal) => {
        #[derive(PartialEq, Eq, PartialOrd, Ord, Deserialize)]
        #[serde(try_from = "String")]
        struct $name(String);

        impl TryFrom<String> for $name {
            type Error = String;
            fn try_from(text: String) -> Result<Self, String> {
                let check: fn(&str) -> bool = $check;
                if check(&text) { Ok(Self(text)) } else { Err(format!(concat!("{:?} ", $message), text)) }
            }
        }
    };
}

checked_text!(Line, |s| !s.chars().any(char::is_control), "holds a line end or another control character");
checked_text!(
    Word,
    |s| !s.is_empty() && s.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')),
    "is not a name of letters, digits, '-' and '_'"
);
checked_text!(
    Variable,
    is_variable,
    "is not a variable that a plan may set: letters, digits and '_', and none of PATH (which the package's programs make), HOME, USER and LOGNAME (which are its user's)"
);
checked_text!(
    ConfigPath,
    |s| s.split('.').all(|part| !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || c == '=')),
    "is not a dotted path in default.toml, as in \"http.port\""
);
checked_text!(
    FilePath,
    is_file_path,
    "is not a path below the plan that may be copied: leave out '.', '..' and a leading '/', and what the package makes itself (metafiles, default.toml, config, config_install, hooks, run)"
);

fn is_variable(name: &str) -> bool {
    environment::check_name(name).is_ok() && !["PATH", "HOME", "USER", "LOGNAME"].contains(&name)
}

fn is_file_path(path: &str) -> bool {
    let first = path.split('/').next().unwrap_or_default();
    let made = ["default.toml", "plan.toml", "config", "config_install", "hooks", "run"];
    let parts_ok = path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    parts_ok
        && !path.chars().any(char::is_control)
        && !made.contains(&first)
        && !MetaFile::ALL.iter().any(|meta| meta.file_name() == first)
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Dep(PackageIdent);

impl TryFrom<String> for Dep {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| format!("{text:?} is not origin/name[/version[/release]]"))
    }
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct StopSignal(Signal);

impl TryFrom<String> for StopSignal {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        parse_signal(&text).map(Self).ok_or_else(|| {
            format!("{text:?} is not a signal that can stop a service, such as TERM, INT, QUIT, HUP or USR1")
        })
    }
}

/// The signal of this name, with or without `SIG`; none for signals that do not end a process.
pub(crate) fn parse_signal(text: &str) -> Option<Signal> {
    let name = text.strip_prefix("SIG").unwrap_or(text);
    let signal = Signal::from_str(&format!("SIG{name}")).ok()?;
    let harmless = [
        Signal::SIGCHLD,
        Signal::SIGCONT,
        Signal::SIGSTOP,
        Signal::SIGTSTP,
        Signal::SIGTTIN,
        Signal::SIGTTOU,
        Signal::SIGURG,
        Signal::SIGWINCH,
    ];
    (!harmless.contains(&signal)).then_some(signal)
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct DemotedWord(Demoted);

impl TryFrom<String> for DemotedWord {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| format!("{text:?} is none of restart, reconfigure and stop"))
    }
}

/// Seconds up to a day.
#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(try_from = "i64")]
pub(super) struct Seconds(pub(super) u64);

impl TryFrom<i64> for Seconds {
    type Error = String;
    fn try_from(seconds: i64) -> Result<Self, String> {
        let valid = u64::try_from(seconds).ok().filter(|s| *s <= SHUTDOWN_TIMEOUT_S_MAX);
        valid
            .map(Self)
            .ok_or_else(|| format!("{seconds} is not between 0 and {SHUTDOWN_TIMEOUT_S_MAX} seconds"))
    }
}

impl PlanFile {
    /// Checks what one field alone cannot tell.
    fn check(self, text: &str, defaults: &toml::Table) -> Result<Plan, String> {
        let ident = self.ident(text)?;
        let exports: BTreeMap<_, _> = self.exports.into_iter().map(|(k, v)| (k.0, v.0)).collect();
        let mut exposes = Vec::new();
        for name in &self.exposes {
            let port = exposed_port(name.get_ref(), &exports, defaults);
            exposes.push(port.map_err(|message| point_at(text, name.span(), &message))?);
        }
        let names = |binds: BTreeMap<Word, Vec<Word>>| -> BTreeMap<String, Vec<String>> {
            binds.into_iter().map(|(k, v)| (k.0, v.into_iter().map(|w| w.0).collect())).collect()
        };
        let (binds, binds_optional) = (names(self.binds), names(self.binds_optional));
        if let Some(both) = binds.keys().find(|name| binds_optional.contains_key(*name)) {
            return Err(format!(
                "bind {both:?} is both in [binds] and in [binds_optional]; keep one of them"
            ));
        }
        let health = self.health.map(|table| checked(text, table)).transpose()?;
        let drain = self.drain.map(|table| checked(text, table)).transpose()?.unwrap_or_default();
        Ok(Plan {
            ident,
            health,
            drain,
            description: self.description.map(|line| line.0),
            maintainer: self.maintainer.map(|line| line.0),
            license: self.license.into_iter().map(|line| line.0).collect(),
            deps: self.deps.into_iter().map(|dep| dep.0).collect(),
            files: self.files.into_iter().map(|path| path.0).collect(),
            exports,
            exposes,
            binds,
            binds_optional,
            service: ServicePlan {
                shutdown_signal: self.service.shutdown_signal.map_or(Signal::SIGTERM, |signal| signal.0),
                shutdown_timeout_s: self
                    .service
                    .shutdown_timeout_s
                    .map_or(SHUTDOWN_TIMEOUT_S_DEFAULT, |seconds| seconds.0),
                user: self.service.user.map_or_else(|| USER_DEFAULT.to_owned(), |word| word.0),
                group: self.service.group.map_or_else(|| USER_DEFAULT.to_owned(), |word| word.0),
                demoted: self.service.demoted.map_or_else(Demoted::default, |word| word.0),
                limits: LimitsPlan::new(self.service.nofile, &self.service.limits),
                capabilities: self
                    .service
                    .capabilities
                    .iter()
                    .fold(Capabilities::NONE, |all, one| all.with(one.0)),
                environment: self.service.environment.into_iter().map(|(k, v)| (k.0, v.0)).collect(),
            },
        })
    }

    /// The ident, if each of its parts can be a directory's name.
    fn ident(&self, text: &str) -> Result<PackageIdent, String> {
        // Each part is tried together with valid other parts, so that the message points at the wrong one.
        let trials = [
            (
                &self.origin,
                format!("{}/n", self.origin.get_ref()),
                2,
                "origin: use letters, digits, '-' and '_'",
            ),
            (&self.name, format!("o/{}", self.name.get_ref()), 2, "name: use letters, digits, '-' and '_'"),
            (&self.version, format!("o/n/{}", self.version.get_ref()), 3, "version, as in \"1.2.0\""),
        ];
        for (part, whole, parts, what) in trials {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+' | '~' | '/');
            let starts_well = part.get_ref().starts_with(|c: char| c.is_ascii_alphanumeric());
            let valid = whole.parse::<PackageIdent>().is_ok() && whole.split('/').count() == parts;
            if !valid || !starts_well || !whole.chars().all(plain) {
                let message = format!("{:?} is not a valid {what}", part.get_ref());
                return Err(point_at(text, part.span(), &message));
            }
        }
        let ident = [&self.origin, &self.name, &self.version].map(|part| part.get_ref().as_str()).join("/");
        ident.parse().map_err(|_| format!("{ident:?} is not a valid package ident"))
    }
}

/// A table whose fields have to fit each other.
fn checked<T, U: TryFrom<T, Error = String>>(text: &str, table: Spanned<T>) -> Result<U, String> {
    let span = table.span();
    table.into_inner().try_into().map_err(|message: String| point_at(text, span, &message))
}

fn exposed_port(
    name: &str,
    exports: &BTreeMap<String, String>,
    defaults: &toml::Table,
) -> Result<u16, String> {
    let path = exports
        .get(name)
        .ok_or_else(|| format!("{name:?} is not in [exports]; export it, or take it out"))?;
    let value = lookup(defaults, path)
        .ok_or_else(|| format!("{name:?} stands for {path:?}, which default.toml does not set"))?;
    let port = value.as_integer().and_then(|port| u16::try_from(port).ok());
    port.ok_or_else(|| {
        format!("{name:?} stands for {path:?}, which is {value} in default.toml and not a port")
    })
}

/// A message with its place in the text, in the form of the TOML parser's own messages.
fn point_at(text: &str, span: Range<usize>, message: &str) -> String {
    let before = text.get(..span.start).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line_text = text.get(line_start..).unwrap_or_default().lines().next().unwrap_or_default();
    let number = (before.matches('\n').count() + 1).to_string();
    let column = text.get(line_start..span.start).unwrap_or_default().chars().count();
    let width = text.get(span).unwrap_or_default().chars().count().max(1);
    let gutter = " ".repeat(number.len());
    format!(
        "TOML parse error at line {number}, column {}\n{gutter} |\n{number} | {line_text}\n{gutter} | {}{}\n{message}",
        column + 1,
        " ".repeat(column),
        "^".repeat(width),
    )
}
