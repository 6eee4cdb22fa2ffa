//! Services made ready, from the operator's and the author's files to what will run.

mod hooks;
mod layers;
mod rendering;
mod ring;
mod sealed;
mod services;
mod trying;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use annulus_core::{Facts, MemberId, ServiceSpec, SysInfo};

use super::*;
use crate::host::root::Root;
use crate::keys::KeyCache;

/// A service and the result of its last rendering.
#[derive(Debug)]
struct Done {
    service: Service,
    written: Written,
}

/// A root with one installed package, written by hand as Habitat's own tools would lay it out.
struct Bench {
    _dir: tempfile::TempDir,
    root: Root,
    env: BTreeMap<String, String>,
    vault: Vault,
    org: Option<String>,
}

/// These tests run on hosts without the user of services too.
const ALLOWED: Allowed = Allowed { root: true, variables: Vec::new(), unsigned: false };
const IDENT: &str = "acme/web-shop/1.2.0/20260101000000";

impl Bench {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let root = Root::new(dir.path()).expect("absolute");
        let vault = Vault::new(KeyCache::new(root.keys()), Some(root.path().join("kept")), false);
        let bench = Self { _dir: dir, root, env: BTreeMap::new(), vault, org: None };
        bench.package(IDENT, files);
        bench
    }

    fn package(&self, ident: &str, files: &[(&str, &str)]) {
        let path = self.root.pkgs().join(ident);
        write(&path.join("IDENT"), &format!("{ident}\n"));
        for (name, text) in files {
            write(&path.join(name), text);
        }
    }

    fn spec() -> ServiceSpec {
        ServiceSpec::new("acme/web-shop".parse().expect("an ident"))
    }

    fn prepare(&self) -> Result<Done, Error> {
        self.prepare_spec(&Self::spec())
    }

    fn prepare_spec(&self, spec: &ServiceSpec) -> Result<Done, Error> {
        self.prepare_with(spec, &Facts::alone(me()))
    }

    fn prepare_with(&self, spec: &ServiceSpec, facts: &Facts) -> Result<Done, Error> {
        let mut service = self.with_host(|host| Service::open(host, spec))?;
        let written = self.with_host(|host| service.render(host, facts))?;
        Ok(Done { service, written })
    }

    /// Renders a service again.
    fn render(&self, done: &mut Done, facts: &Facts) -> Result<(), Error> {
        done.written = self.with_host(|host| done.service.render(host, facts))?;
        Ok(())
    }

    fn with_host<T>(&self, work: impl FnOnce(&Host<'_>) -> T) -> T {
        let info = SysInfo { hostname: "host-1".to_owned(), gossip_port: 9638, ..SysInfo::default() };
        let sys = Sys { member_id: me().to_string(), info, permanent: true };
        let env = self.env.clone();
        work(&Host {
            allowed: &ALLOWED,
            vault: &self.vault,
            root: &self.root,
            sys: &sys,
            org: self.org.as_deref(),
            env: &move |name| env.get(name).map(Into::into),
        })
    }

    fn svc(&self, name: &str) -> PathBuf {
        self.root.path().join("svc/web-shop").join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.svc(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    fn user_toml(&self, text: &str) {
        write(&self.root.path().join("user/web-shop/config/user.toml"), text);
    }
}

/// The member whose supervisor this is.
fn me() -> MemberId {
    MemberId::from_bytes([0xab; 16])
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a parent")).expect("made");
    fs::write(path, text).expect("written");
}

/// What `template` renders to with this configuration.
fn rendered(defaults: &str, template: &str) -> Result<String, Error> {
    let bench = Bench::new(&[("default.toml", defaults), ("hooks/run", ""), ("config/out", template)]);
    bench.prepare()?;
    Ok(bench.read("config/out"))
}
