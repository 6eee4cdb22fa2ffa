//! The text of a `plan.toml`.

use std::path::Path;

use annulus::package::Plan;

use super::{MIB, Seen, Target};
use crate::mutate::text;

pub(super) const TARGET: Target = Target {
    name: "plan",
    about: "plan.toml",
    run,
    mutate: text::mutate,
    seeds,
    tell: None,
    bytes_max: 32 * 1024,
    memory_max: 16 * MIB,
};

fn run(bytes: &[u8]) -> Seen {
    let Ok(text) = std::str::from_utf8(bytes) else { return Seen::refused("no text") };
    let defaults: toml::Table = DEFAULTS.parse().expect("a table");
    match Plan::parse(text, &defaults, Path::new("plan.toml")) {
        Err(error) => Seen::refused(super::last_line(&error.to_string())),
        Ok(plan) => Seen::accepted(
            &format!("{:?} {:?}", plan.service.demoted, plan.service.limits.nofile.is_some()),
            text.len(),
        ),
    }
}

/// The configuration that the plans below export parts of.
const DEFAULTS: &str = "[server]\nport = 8080\nname = \"shop\"\n";

/// One statement to a line, so that a line that is left out or doubled leaves the rest a plan.
const FULL: &str = r#"origin = "acme"
name = "shop"
version = "1.2.0"
description = "a shop"
maintainer = "ada <ada@example.invalid>"
license = ["Apache-2.0"]
deps = ["core/bash", "core/redis/7.0"]
files = ["bin/shop"]
exposes = ["server.port"]
[exports]
port = "server.port"
[binds]
database = ["port", "host"]
[binds_optional]
cache = ["port"]
[service]
user = "nobody"
group = "nogroup"
shutdown_signal = "TERM"
shutdown_timeout_s = 8
demoted = "stop"
nofile = 1024
capabilities = ["net_bind_service"]
[service.environment]
MODE = "live"
[service.limits]
memory = "512M"
cpu = 1.5
pids = 100
[health]
http = "http://127.0.0.1:{{cfg.server.port}}/health"
interval_s = 5
timeout_s = 1
[drain]
timeout_s = 5
"#;

fn seeds() -> Vec<Vec<u8>> {
    let small = "origin = \"acme\"\nname = \"shop\"\nversion = \"1.2.0\"\n";
    let mut seeds = vec![small.as_bytes().to_vec(), FULL.as_bytes().to_vec()];
    seeds.extend(
        crate::corpus::files_below("scenarios/plans", "toml").into_iter().filter(|text| text.len() < 4_000),
    );
    seeds
}
