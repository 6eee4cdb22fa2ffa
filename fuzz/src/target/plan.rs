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
    match Plan::parse(text, &toml::Table::new(), Path::new("plan.toml")) {
        Err(error) => Seen::refused(super::last_line(&error.to_string())),
        Ok(plan) => Seen::accepted(
            &format!("{:?} {:?}", plan.service.demoted, plan.service.limits.nofile.is_some()),
            text.len(),
        ),
    }
}

fn seeds() -> Vec<Vec<u8>> {
    [
        "origin = \"acme\"\nname = \"shop\"\nversion = \"1.2.0\"\n",
        "origin = \"acme\"\nname = \"shop\"\nversion = \"1.2.0\"\ndescription = \"a shop\"\nmaintainer = \"a <a@b>\"\n\
         licenses = [\"Apache-2.0\"]\ndeps = [\"core/bash\", \"core/redis/7.0\"]\nbin_dirs = [\"bin\"]\nfiles = \"root\"\n\
         \n[exports]\nport = \"server.port\"\n\n[binds]\ndatabase = \"port host\"\n\n[binds_optional]\ncache = \"port\"\n\
         \n[environment]\nMODE = \"live\"\n\n[service]\nuser = \"nobody\"\ngroup = \"nogroup\"\nrun = \"bin/shop --port 8080\"\n\
         exposes = [\"server.port\"]\nshutdown_signal = \"TERM\"\nshutdown_timeout = 8\ndemoted = \"stop\"\n\
         capabilities = [\"net_bind_service\"]\n\n[health]\nhttp = \"http://127.0.0.1:8080/health\"\ninterval = \"5s\"\n\
         timeout = \"1s\"\n\n[drain]\nwait = \"5s\"\n\n[limits]\nmemory = \"512M\"\ncpu = 1.5\npids = 100\nnofile = 1024\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}
