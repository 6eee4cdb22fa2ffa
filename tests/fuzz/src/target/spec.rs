//! A spec file: what is read survives being printed and read again.

use annulus::supervisor::specs;
use annulus_core::ServiceName;

use super::{MIB, Seen, Target};
use crate::mutate::text;

pub(super) const TARGET: Target = Target {
    name: "spec",
    about: "spec files of services, with a round trip of what was read",
    run,
    mutate: text::mutate,
    seeds,
    tell: None,
    bytes_max: 32 * 1024,
    memory_max: 16 * MIB,
};

fn run(bytes: &[u8]) -> Seen {
    let Ok(text) = std::str::from_utf8(bytes) else { return Seen::refused("no text") };
    let service: ServiceName = "redis".parse().expect("a name");
    match specs::parse(&service, text) {
        Err(error) => Seen::refused(super::last_line(&error)),
        Ok(spec) => {
            let printed = specs::print(&spec).expect("a spec that was read can be printed");
            assert_eq!(specs::parse(&service, &printed).as_ref(), Ok(&spec), "a spec survives: {printed}");
            Seen::accepted(&format!("{:?} {:?}", spec.topology, spec.update_strategy), spec.binds.len())
        }
    }
}

const FULL: &str = r#"ident = "acme/redis/7.2.0/20260101000000"
group = "prod"
bldr_url = "https://depot.example.invalid"
channel = "stable"
topology = "leader"
update_strategy = "rolling"
update_condition = "latest"
binds = ["database:postgres.prod@acme", "cache:memcached.default"]
binding_mode = "relaxed"
config_from = "/srv/config"
desired_state = "up"
maintenance = "its disk is replaced"
quorum = 3
shutdown_timeout = 30
[health_check_interval]
secs = 30
nanos = 0
"#;

fn seeds() -> Vec<Vec<u8>> {
    vec![b"ident = \"acme/redis\"\n".to_vec(), FULL.as_bytes().to_vec()]
}
