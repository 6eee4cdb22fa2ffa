//! The options of `sup run`: on the command line, in the environment, in a file, in this order of precedence. Only
//! reads and checks them.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use annulus_core::Timings;
use clap::Args;
use clap::builder::FalseyValueParser;
use serde::Deserialize;
use thiserror::Error;

use super::gateway_options::{GatewayOptions, GatewaySettings};
use super::join::JoinOption;
use super::log_options::{Age, Bytes, LogOptions};
use super::ring::RING_ENV;
use super::timings::{Profile, TimingOptions};
use crate::host::root::SupDir;
use crate::host::secret_env::JOIN_ENV;
use crate::host::{environment, small_file};
use crate::launcher::Keep;
use crate::prepare::Allowed;
use crate::supervisor::logging::LogFormat;

/// Port of the gossip listeners, and of peers that are given without one.
pub const GOSSIP_PORT: u16 = 9638;
const HTTP_PORT: u16 = 9631;
const CTL_PORT: u16 = 9632;

/// Allows services to run as root.
pub const ALLOW_ROOT_ENV: &str = "ANNULUS_ALLOW_ROOT";

/// An address with a default port. An empty text counts as not given (as in Habitat).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// Not given.
    Default,
    /// An address, on the default port.
    Ip(IpAddr),
    /// An address and port.
    Socket(SocketAddr),
}

impl FromStr for Listen {
    type Err = &'static str;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        if s.is_empty() {
            return Ok(Self::Default);
        }
        let socket = s.parse().map(Self::Socket).ok();
        socket
            .or_else(|| s.parse().map(Self::Ip).ok())
            .ok_or("write IP or IP:PORT, an IPv6 address with a port as [IP]:PORT")
    }
}

impl Listen {
    fn or(self, default: SocketAddr) -> SocketAddr {
        match self {
            Self::Default => default,
            Self::Ip(ip) => SocketAddr::new(ip, default.port()),
            Self::Socket(socket) => socket,
        }
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|why| serde::de::Error::custom(format!("{text:?} is no address: {why}")))
    }
}

/// Another supervisor: its host, by name or address, and its port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// A name or an address.
    pub host: String,
    /// The gossip port.
    pub port: u16,
}

impl FromStr for Peer {
    type Err = &'static str;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        if let Ok(socket) = s.parse::<SocketAddr>() {
            return Ok(Self { host: socket.ip().to_string(), port: socket.port() });
        }
        let bare = s.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(s);
        if bare.parse::<IpAddr>().is_ok() {
            return Ok(Self { host: bare.to_owned(), port: GOSSIP_PORT });
        }
        let (host, port) = match s.split_once(':') {
            Some((host, port)) => (host, port.parse().map_err(|_| "the port is a number from 1 to 65535")?),
            None => (s, GOSSIP_PORT),
        };
        let host_ok =
            !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
        match (host_ok, port) {
            (true, 1..) => Ok(Self { host: host.to_owned(), port }),
            (true, 0) => Err("the port is a number from 1 to 65535"),
            (false, _) => Err("write HOST or HOST:PORT"),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.parse::<IpAddr>() {
            Ok(ip) => SocketAddr::new(ip, self.port).fmt(f),
            Err(_) => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl<'de> Deserialize<'de> for Peer {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|why| serde::de::Error::custom(format!("{text:?} is no peer: {why}")))
    }
}

/// Options of `sup run`.
#[derive(Args, Clone, Debug, Default)]
pub struct Options {
    /// Where other supervisors reach this one, UDP and TCP [default: 0.0.0.0:9638]
    #[arg(long, env = "HAB_LISTEN_GOSSIP", value_name = "IP[:PORT]")]
    pub listen_gossip: Option<Listen>,
    /// Where the HTTP gateway listens [default: 0.0.0.0:9631]
    #[arg(long, env = "HAB_LISTEN_HTTP", value_name = "IP[:PORT]")]
    pub listen_http: Option<Listen>,
    /// Where the ctl gateway listens [default: 127.0.0.1:9632]
    #[arg(long, env = "HAB_LISTEN_CTL", value_name = "IP[:PORT]")]
    pub listen_ctl: Option<Listen>,
    /// Where load balancers ask which service may be sent work (HAProxy's agent check) [default: nowhere]
    #[arg(long, env = "ANNULUS_LISTEN_AGENT_CHECK", value_name = "IP:PORT", value_parser = agent_check)]
    pub listen_agent_check: Option<SocketAddr>,
    /// Who gets into the gateways.
    #[command(flatten)]
    pub gateways: GatewayOptions,
    /// Supervisors to join through; one that answers is enough [default port: 9638]
    #[arg(long, value_name = "HOST[:PORT]", num_args = 1..)]
    pub peer: Vec<Peer>,
    /// The ring whose newest key in the key cache seals everything that the members say. HAB_RING_KEY holds a key instead
    #[arg(short, long, env = "HAB_RING", value_name = "NAME")]
    pub ring: Option<String>,
    /// Join a ring with a key by the line that `annulus ring invite` printed on one of its hosts: the line itself, @FILE, or - for
    /// standard input, so that its secret stands in no list of processes. Where this supervisor is in that ring already, the line
    /// is not needed and does no harm
    #[arg(long, env = JOIN_ENV, hide_env_values = true, value_name = "LINE|@FILE|-", allow_hyphen_values = true)]
    pub join: Option<JoinOption>,
    /// What a ring with a key hears beside its key, while its members change from one to the other: `clear`
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    pub ring_accept: Vec<RingAccept>,
    /// Other members probe this supervisor for ever, also when it seems dead
    #[arg(short = 'I', long)]
    pub permanent_peer: bool,
    /// The address under which other members reach this one, where they cannot tell (NAT, containers)
    #[arg(long, env = "ANNULUS_ADVERTISE_GOSSIP", value_name = "IP[:PORT]")]
    pub advertise_gossip: Option<Listen>,
    /// Serve the depot in this directory beside everything else, at the HTTP gateway's address below /v1; made where there is
    /// none
    #[arg(long, env = "ANNULUS_SUP_DEPOT", value_name = "DIR")]
    pub depot: Option<PathBuf>,
    /// Organization of this supervisor's service groups
    #[arg(long, env = "HAB_ORG", value_name = "NAME")]
    pub org: Option<String>,
    /// Services may run as root, this supervisor's own user: where the user `hab` is missing, or root may not change users.
    /// A plan that names root as its user needs no such permission
    #[arg(long, env = ALLOW_ROOT_ENV, value_parser = FalseyValueParser::new())]
    pub allow_root: bool,
    /// Variables of this supervisor's environment that its services and hooks get too; all others stay with it, but for
    /// those of language and time zone
    #[arg(long, env = "ANNULUS_PASS_ENV", value_name = "NAME", num_args = 1.., value_delimiter = ',')]
    pub pass_env: Vec<String>,
    /// Whether what is sealed for a service group counts only where its user signed it, too. Users of Habitat sign nothing;
    /// then each holder of the group's key can configure it in a user's name [default: true]
    #[arg(long, env = "ANNULUS_REQUIRE_USER", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub require_user: Option<bool>,
    /// TOML files with these options in snake_case; a later file counts before an earlier one, and the command line
    /// before all [default: config/sup.toml in the supervisor's directory, if it exists]
    #[arg(long, alias = "config-file", value_name = "FILE", num_args = 1..)]
    pub config_files: Vec<PathBuf>,
    /// How log lines are shown; the log's file has JSON [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// More log lines; given twice, single messages too
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Logs of services.
    #[command(flatten)]
    pub logs: LogOptions,
    /// Timings for this kind of network [default: lan]
    #[arg(long, value_name = "PROFILE")]
    pub profile: Option<Profile>,
    /// Single timings.
    #[command(flatten)]
    pub timings: TimingOptions,
}

/// The same options, as a file holds them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FileOptions {
    listen_gossip: Option<Listen>,
    listen_http: Option<Listen>,
    listen_ctl: Option<Listen>,
    listen_agent_check: Option<SocketAddr>,
    http_host: Option<Vec<String>>,
    http_open: Option<bool>,
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    ca_cert_file: Option<PathBuf>,
    ctl_insecure: Option<bool>,
    peer: Option<Vec<Peer>>,
    ring: Option<String>,
    ring_accept: Option<Vec<RingAccept>>,
    permanent_peer: Option<bool>,
    advertise_gossip: Option<Listen>,
    depot: Option<PathBuf>,
    org: Option<String>,
    allow_root: Option<bool>,
    pass_env: Option<Vec<String>>,
    require_user: Option<bool>,
    log_format: Option<String>,
    log_max_size: Option<Bytes>,
    log_max_age: Option<Age>,
    log_keep: Option<u32>,
    profile: Option<Profile>,
    timings: TimingOptions,
}

/// What a ring with a key hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum RingAccept {
    /// What is sealed with its key; always.
    Key,
    /// What is said in the clear: any host that reaches the gossip port.
    Clear,
}

impl FileOptions {
    /// The options of the `later` file, completed by those of this one.
    fn then(self, later: Self) -> Self {
        Self {
            listen_gossip: later.listen_gossip.or(self.listen_gossip),
            listen_http: later.listen_http.or(self.listen_http),
            listen_ctl: later.listen_ctl.or(self.listen_ctl),
            listen_agent_check: later.listen_agent_check.or(self.listen_agent_check),
            http_host: later.http_host.or(self.http_host),
            http_open: later.http_open.or(self.http_open),
            cert_file: later.cert_file.or(self.cert_file),
            key_file: later.key_file.or(self.key_file),
            ca_cert_file: later.ca_cert_file.or(self.ca_cert_file),
            ctl_insecure: later.ctl_insecure.or(self.ctl_insecure),
            peer: later.peer.or(self.peer),
            ring: later.ring.or(self.ring),
            ring_accept: later.ring_accept.or(self.ring_accept),
            permanent_peer: later.permanent_peer.or(self.permanent_peer),
            advertise_gossip: later.advertise_gossip.or(self.advertise_gossip),
            depot: later.depot.or(self.depot),
            org: later.org.or(self.org),
            allow_root: later.allow_root.or(self.allow_root),
            pass_env: later.pass_env.or(self.pass_env),
            require_user: later.require_user.or(self.require_user),
            log_format: later.log_format.or(self.log_format),
            log_max_size: later.log_max_size.or(self.log_max_size),
            log_max_age: later.log_max_age.or(self.log_max_age),
            log_keep: later.log_keep.or(self.log_keep),
            profile: later.profile.or(self.profile),
            timings: later.timings.or(&self.timings),
        }
    }
}

/// The ring that is named. An option that is given and empty is what a `$(…)` that failed leaves: it is kept, and refused with
/// the other names of rings. An empty variable counts as not given where the file names one.
fn ring(option: Option<String>, file: Option<String>) -> Option<String> {
    let is_variable = std::env::var_os(RING_ENV).is_some_and(|value| value.is_empty());
    option.filter(|ring| !ring.is_empty() || !is_variable).or(file)
}

fn agent_check(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write IP:PORT, an IPv6 address as [IP]:PORT".to_owned())
}

/// Options that cannot be used.
#[derive(Debug, Error)]
pub enum OptionsError {
    /// The file cannot be read.
    #[error("configuration file {}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file is malformed.
    #[error("configuration file {}: {error}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The place in the file, and what is wrong there.
        error: Box<toml::de::Error>,
    },
    /// An option's value cannot be used.
    #[error("{option} {value:?}: {why}")]
    Value {
        /// The option.
        option: &'static str,
        /// Its value.
        value: String,
        /// The reason, in words.
        why: &'static str,
    },
}

/// The complete settings of a supervisor, put together from all sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// UDP and TCP of the ring.
    pub gossip: SocketAddr,
    /// HTTP gateway.
    pub http: SocketAddr,
    /// Ctl gateway.
    pub ctl: SocketAddr,
    /// The agent check for load balancers, if it is to listen.
    pub agent_check: Option<SocketAddr>,
    /// Who gets into the gateways.
    pub gateways: GatewaySettings,
    /// The supervisors to join through.
    pub peers: Vec<Peer>,
    /// The ring whose key is used.
    pub ring: Option<String>,
    /// Whether it hears what is said in the clear too.
    pub hears_clear: bool,
    /// Whether other members probe this one for ever.
    pub permanent: bool,
    /// The address that other members are told, where they cannot tell.
    pub advertise: Option<(IpAddr, Option<u16>)>,
    /// The depot that is served.
    pub depot: Option<PathBuf>,
    /// Organization of the service groups.
    pub org: Option<String>,
    /// What services are allowed.
    pub allowed: Allowed,
    /// How log lines are shown.
    pub log_format: LogFormat,
    /// The rules for keeping services' logs.
    pub keep: Keep,
    /// The ring's timings.
    pub timings: Timings,
}

impl Options {
    /// Puts command line, environment, file and defaults together.
    ///
    /// # Errors
    /// See [`OptionsError`].
    pub fn settings(&self, sup: &SupDir) -> Result<Settings, OptionsError> {
        let file = self.file(sup)?;
        let address = |option: Option<Listen>, file: Option<Listen>, ip: Ipv4Addr, port| {
            let given = option.filter(|o| *o != Listen::Default).or(file).unwrap_or(Listen::Default);
            given.or(SocketAddr::new(ip.into(), port))
        };
        let mut timings = self.profile.or(file.profile).unwrap_or_default().timings();
        file.timings.apply(&mut timings);
        self.timings.apply(&mut timings);
        let advertise = self.advertise_gossip.filter(|o| *o != Listen::Default).or(file.advertise_gossip);
        let ctl = address(self.listen_ctl, file.listen_ctl, Ipv4Addr::LOCALHOST, CTL_PORT);
        let of_file = GatewayOptions {
            http_host: file.http_host.unwrap_or_default(),
            http_open: file.http_open.unwrap_or_default(),
            cert_file: file.cert_file,
            key_file: file.key_file,
            ca_cert_file: file.ca_cert_file,
            ctl_insecure: file.ctl_insecure.unwrap_or_default(),
        };
        Ok(Settings {
            gossip: address(self.listen_gossip, file.listen_gossip, Ipv4Addr::UNSPECIFIED, GOSSIP_PORT),
            http: address(self.listen_http, file.listen_http, Ipv4Addr::UNSPECIFIED, HTTP_PORT),
            ctl,
            agent_check: self.listen_agent_check.or(file.listen_agent_check),
            gateways: self.gateways.settings(of_file)?,
            peers: if self.peer.is_empty() { file.peer.unwrap_or_default() } else { self.peer.clone() },
            ring: ring(self.ring.clone(), file.ring),
            hears_clear: if self.ring_accept.is_empty() {
                file.ring_accept.unwrap_or_default().contains(&RingAccept::Clear)
            } else {
                self.ring_accept.contains(&RingAccept::Clear)
            },
            permanent: self.permanent_peer || file.permanent_peer.unwrap_or_default(),
            advertise: advertise.map(reachable).transpose()?.flatten(),
            depot: self.depot.clone().filter(|dir| !dir.as_os_str().is_empty()).or(file.depot),
            org: org(self.org.clone().filter(|o| !o.is_empty()).or(file.org))?,
            allowed: Allowed {
                root: self.allow_root || file.allow_root.unwrap_or_default(),
                variables: variables(if self.pass_env.is_empty() {
                    file.pass_env.unwrap_or_default()
                } else {
                    self.pass_env.clone()
                })?,
                unsigned: !self.require_user.or(file.require_user).unwrap_or(true),
            },
            log_format: self.log_format.unwrap_or(log_format(file.log_format.as_deref())?),
            keep: self.logs.keep(LogOptions {
                log_max_size: file.log_max_size,
                log_max_age: file.log_max_age,
                log_keep: file.log_keep,
            }),
            timings,
        })
    }

    fn file(&self, sup: &SupDir) -> Result<FileOptions, OptionsError> {
        if self.config_files.is_empty() {
            let path = sup.path().join("config/sup.toml");
            return match small_file::read_to_string(&path) {
                Ok(text) => parse(&text, &path),
                // A root that is no directory is reported by the code that needs the root.
                Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                    Ok(FileOptions::default())
                }
                Err(source) => Err(OptionsError::Read { path, source }),
            };
        }
        self.config_files.iter().try_fold(FileOptions::default(), |options, path| {
            let text = small_file::read_to_string(path);
            let text = text.map_err(|source| OptionsError::Read { path: path.clone(), source })?;
            Ok(options.then(parse(&text, path)?))
        })
    }
}

fn parse(text: &str, path: &Path) -> Result<FileOptions, OptionsError> {
    toml::from_str(text).map_err(|error| OptionsError::File { path: path.to_owned(), error: Box::new(error) })
}

fn reachable(listen: Listen) -> Result<Option<(IpAddr, Option<u16>)>, OptionsError> {
    let (ip, port) = match listen {
        Listen::Default => return Ok(None),
        Listen::Ip(ip) => (ip, None),
        Listen::Socket(socket) => (socket.ip(), Some(socket.port())),
    };
    if ip.is_unspecified() || port == Some(0) {
        let value = port.map_or_else(|| ip.to_string(), |port| SocketAddr::new(ip, port).to_string());
        let why = "no member can be reached there; name the address and port that others use";
        return Err(OptionsError::Value { option: "--advertise-gossip", value, why });
    }
    Ok(Some((ip, port)))
}

fn org(org: Option<String>) -> Result<Option<String>, OptionsError> {
    let Some(org) = org else { return Ok(None) };
    match annulus_core::ServiceGroup::new("service", "group", Some(&org)) {
        Ok(_) => Ok(Some(org)),
        Err(_) => Err(OptionsError::Value {
            option: "--org",
            value: org,
            why: "use one word without dots, slashes or white space",
        }),
    }
}

fn variables(names: Vec<String>) -> Result<Vec<String>, OptionsError> {
    for name in &names {
        if let Err(why) = environment::check_name(name) {
            return Err(OptionsError::Value { option: "--pass-env", value: name.clone(), why });
        }
    }
    Ok(names)
}

fn log_format(text: Option<&str>) -> Result<LogFormat, OptionsError> {
    match text {
        None | Some("text") => Ok(LogFormat::Text),
        Some("json") => Ok(LogFormat::Json),
        Some(other) => Err(OptionsError::Value {
            option: "log_format",
            value: other.to_owned(),
            why: "use \"text\" or \"json\"",
        }),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use std::fs;

    use super::*;
    use crate::host::root::Root;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        options: Options,
    }

    fn settings(dir: &Path, args: &[&str]) -> Result<Settings, OptionsError> {
        let cli = Cli::try_parse_from([&["sup"], args].concat()).expect("usage");
        cli.options.settings(&Root::new(dir).expect("a root").sup("default"))
    }

    #[test]
    fn the_command_line_wins_over_the_file_and_the_file_over_defaults() {
        let dir = tempfile::tempdir().expect("a directory");
        let none = settings(dir.path(), &[]).expect("defaults");
        assert_eq!(none.gossip, "0.0.0.0:9638".parse().expect("an address"));
        assert_eq!(none.ctl, "127.0.0.1:9632".parse().expect("an address"));
        assert_eq!(none.timings, Timings::lan());
        let config = dir.path().join("sup/default/config");
        fs::create_dir_all(&config).expect("made");
        let text = "listen_http = \"127.0.0.1\"\nlisten_ctl = \"[::1]:7\"\npeer = [\"a\", \"[::1]:5\"]\n\
                    profile = \"wan\"\nlog_format = \"json\"\n[timings]\nstall_ms = 9000\nprobe_period_ms = 4000\n";
        fs::write(config.join("sup.toml"), text).expect("written");
        let args =
            ["--listen-ctl", "127.0.0.1:8", "--peer", "b:1", "c", "--peer", "d", "--stall-ms", "8000", "-I"];
        let s = settings(dir.path(), &args).expect("settings");
        assert_eq!(s.http, "127.0.0.1:9631".parse().expect("an address"));
        assert_eq!(s.ctl, "127.0.0.1:8".parse().expect("an address"));
        assert_eq!(s.peers.iter().map(ToString::to_string).collect::<Vec<_>>(), ["b:1", "c:9638", "d:9638"]);
        assert_eq!((s.timings.stall_ms, s.timings.probe_period_ms), (8_000, 4_000));
        assert_eq!(s.timings.gossip_fanout, Timings::wan().gossip_fanout);
        assert!(s.permanent && s.log_format == LogFormat::Json);
    }

    #[test]
    fn mistakes_in_the_file_are_pointed_at() {
        for (text, word) in [
            ("listen_gosip = \"x\"", "listen_gosip"),
            ("[timings]\nprobe_ms = 3", "probe_ms"),
            ("peer = [\"a b\"]", "HOST"),
            ("listen_http = \"localhost\"", "IP:PORT"),
        ] {
            let error = parse(text, Path::new("/x/sup.toml")).expect_err("refused").to_string();
            assert!(
                error.contains("/x/sup.toml") && error.contains(word) && error.contains("line"),
                "{error}"
            );
        }
        let dir = tempfile::tempdir().expect("a directory");
        let (one, two) = (dir.path().join("one"), dir.path().join("two"));
        let text = "org = \"acme\"\npeer = [\"a\"]\n[timings]\nstall_ms = 9000\nprobe_period_ms = 4000\n";
        fs::write(&one, text).expect("written");
        fs::write(&two, "peer = [\"b\"]\npermanent_peer = true\n[timings]\nstall_ms = 8000\n")
            .expect("written");
        let files = [one.to_str().expect("text"), two.to_str().expect("text")];
        let both = settings(dir.path(), &["--config-files", files[0], files[1], "--probe-period-ms", "5000"]);
        let both = both.expect("settings");
        assert_eq!((both.org.as_deref(), both.peers.len(), both.permanent), (Some("acme"), 1, true));
        assert_eq!((both.peers[0].host.as_str(), both.timings.stall_ms), ("b", 8_000));
        assert_eq!(both.timings.probe_period_ms, 5_000, "the command line counts, with any value");
        let missing = settings(dir.path(), &["--config-file", "/no/such/file"]).expect_err("refused");
        assert!(missing.to_string().contains("/no/such/file"));
        let nowhere = settings(dir.path(), &["--advertise-gossip", "0.0.0.0"]).expect_err("refused");
        assert!(nowhere.to_string().contains("--advertise-gossip"));
        assert!(settings(dir.path(), &["--org", "a.b"]).is_err());
    }

    #[test]
    fn peers_are_hosts_with_a_port() {
        for (text, shown) in [
            ("host", "host:9638"),
            ("10.0.0.1:7", "10.0.0.1:7"),
            ("::1", "[::1]:9638"),
            ("[::1]", "[::1]:9638"),
        ] {
            assert_eq!(text.parse::<Peer>().expect("a peer").to_string(), shown);
        }
        for bad in ["", ":1", "a:0", "a:b", "a:70000", "http://a"] {
            assert!(bad.parse::<Peer>().is_err(), "{bad}");
        }
        assert!(agent_check("127.0.0.1").is_err() && agent_check("[::1]:7").is_ok());
        assert_eq!("".parse::<Listen>(), Ok(Listen::Default), "empty counts as not given");
    }
}
