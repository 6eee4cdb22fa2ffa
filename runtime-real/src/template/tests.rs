//! Services made ready, from the operator's and the author's files to what will run.

mod layers;
mod rendering;
mod services;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use annulus_core::{ServiceSpec, SysInfo};

use super::*;
use crate::root::Root;

/// A root with one installed package, written by hand as Habitat's own tools would lay it out.
struct Bench {
    _dir: tempfile::TempDir,
    root: Root,
    env: BTreeMap<String, String>,
}

const IDENT: &str = "acme/web-shop/1.2.0/20260101000000";

impl Bench {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let root = Root::new(dir.path()).expect("absolute");
        let bench = Self { _dir: dir, root, env: BTreeMap::new() };
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

    fn prepare(&self) -> Result<Rendered, Error> {
        self.prepare_spec(&Self::spec())
    }

    fn prepare_spec(&self, spec: &ServiceSpec) -> Result<Rendered, Error> {
        let info = SysInfo { hostname: "host-1".to_owned(), gossip_port: 9638, ..SysInfo::default() };
        let sys = Sys { member_id: "ab".repeat(16), info, permanent: true };
        prepare_service(&self.root, spec, &sys, &|name| self.env.get(name).cloned())
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
