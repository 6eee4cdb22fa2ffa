//! The package of a service, as `/services` shows it.
//! Reads the package's files, so it never runs on the loop's thread.

use annulus_core::{PackageIdent, ServiceView};
use serde_json::{Value, json};

use super::{Config, view};
use crate::package::{self, Installed, MetaFile};

/// The installed package that a service runs, or would run; none where it is missing.
pub(super) struct Package {
    ident: PackageIdent,
    installed: Option<Installed>,
}

impl Package {
    pub(super) fn of(config: &Config, view: &ServiceView) -> Self {
        let wanted = view.running.as_ref().unwrap_or(&view.spec.ident);
        let installed = package::newest(&config.root, wanted).ok();
        let ident = installed.as_ref().map_or_else(|| wanted.clone(), |package| package.ident().clone());
        Self { ident, installed }
    }

    /// The one line of a metafile. A file that cannot be read is shown as absent,
    /// because this is a view and not a check.
    fn line(&self, metafile: MetaFile) -> Option<String> {
        self.installed.as_ref()?.line(metafile).ok()?
    }

    fn pairs(&self, metafile: MetaFile) -> Vec<(String, String)> {
        let pairs = self.installed.as_ref().and_then(|package| package.pairs(metafile).ok());
        pairs.unwrap_or_default().into_iter().collect()
    }

    /// Required and optional binds, with the exports that each reads.
    pub(super) fn binds(&self) -> Value {
        let required = self.pairs(MetaFile::Binds);
        let optional = self.pairs(MetaFile::BindsOptional);
        let binds = required.into_iter().chain(optional).map(|(name, exports)| {
            json!({ "service": name, "exports": exports.split_whitespace().collect::<Vec<_>>() })
        });
        binds.collect()
    }

    pub(super) fn to_json(&self, config: &Config, service: &ServiceView) -> Value {
        let svc = config.root.svc(&service.spec.name());
        let deps = self
            .installed
            .as_ref()
            .and_then(|package| package.idents(MetaFile::Deps).ok())
            .unwrap_or_default();
        let exposes = self.line(MetaFile::Exposes).unwrap_or_default();
        let own_timeout_s = self.line(MetaFile::ShutdownTimeout).and_then(|text| text.parse::<u64>().ok());
        let timeout_s = service.spec.shutdown_timeout_ms.map(|ms| ms / 1000).or(own_timeout_s);
        let object = |pairs: Vec<(String, String)>| -> Value {
            Value::Object(pairs.into_iter().map(|(name, value)| (name, value.into())).collect())
        };
        let mut package = view::ident(&self.ident);
        let more = json!({
            "ident": self.ident.to_string(),
            "deps": deps.iter().map(view::ident).collect::<Vec<_>>(),
            "dependencies": deps.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "env": object(self.pairs(MetaFile::RuntimeEnvironment)),
            "exposes": exposes.split_whitespace().collect::<Vec<_>>(),
            "exports": object(self.pairs(MetaFile::Exports)),
            "path": config.root.package(&self.ident),
            "svc_path": svc,
            "svc_config_path": svc.join("config"),
            "svc_config_install_path": svc.join("config_install"),
            "svc_data_path": svc.join("data"),
            "svc_files_path": svc.join("files"),
            "svc_static_path": svc.join("static"),
            "svc_var_path": svc.join("var"),
            "svc_pid_file": svc.join("PID"),
            "svc_run": svc.join("run"),
            "svc_user": self.line(MetaFile::SvcUser),
            "svc_group": self.line(MetaFile::SvcGroup),
            "capabilities": self.line(MetaFile::Capabilities).unwrap_or_default().split_whitespace().collect::<Vec<_>>(),
            "shutdown_signal": self.line(MetaFile::ShutdownSignal),
            "shutdown_timeout": timeout_s,
        });
        if let (Value::Object(package), Value::Object(more)) = (&mut package, more) {
            package.extend(more);
        }
        package
    }
}
