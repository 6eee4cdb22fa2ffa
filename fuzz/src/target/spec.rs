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

fn seeds() -> Vec<Vec<u8>> {
    [
        "ident = \"acme/redis\"\n",
        "ident = \"acme/redis/7.2.0/20260101000000\"\ngroup = \"prod\"\nbldr_url = \"https://bldr.example\"\n\
         channel = \"stable\"\ntopology = \"leader\"\nupdate_strategy = \"rolling\"\nupdate_condition = \"latest\"\n\
         binds = [\"database:postgres.prod@acme\", \"cache:memcached.default\"]\nbinding_mode = \"relaxed\"\n\
         config_from = \"/srv/config\"\ndesired_state = \"up\"\nmaintenance = \"disk is replaced\"\nquorum = 3\n\
         shutdown_timeout = 30\n\n[health_check_interval]\nsecs = 30\nnanos = 0\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}
