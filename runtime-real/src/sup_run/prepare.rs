//! From a service's spec to what its process needs: the package, rendered.

use std::ffi::OsString;
use std::sync::{Arc, OnceLock};

use annulus_core::{Config, MemberId, Prepared};

use crate::effect::Prepare;
use crate::effect::process::RunPlan;
use crate::root::Root;
use crate::template::{self, Rendered, Sys};

/// Finds and renders packages below `root`. `member` is set before the first service is prepared.
pub(super) fn prepare(root: &Root, config: &Config, member: Arc<OnceLock<MemberId>>) -> Arc<Prepare> {
    let root = root.clone();
    let (info, permanent) = (config.sys.clone(), config.permanent);
    Arc::new(move |_, spec| {
        let member_id = member.get().map(MemberId::to_string).unwrap_or_default();
        let sys = Sys { member_id, info: info.clone(), permanent };
        let env = |name: &str| match name {
            "PATH" => Some(path_with_this_program()),
            _ => std::env::var(name).ok(),
        };
        let rendered =
            template::prepare_service(&root, spec, &sys, &env).map_err(|error| error.to_string())?;
        Ok((prepared(&rendered), plan(rendered)))
    })
}

/// The search path, with this program's own directory at its end: a hook that calls `annulus` finds the one that
/// runs it, wherever it was started from.
fn path_with_this_program() -> String {
    let mut path = std::env::var("PATH").unwrap_or_default();
    let program = std::env::current_exe().ok();
    if let Some(dir) = program.as_deref().and_then(std::path::Path::parent).and_then(std::path::Path::to_str)
    {
        if !path.is_empty() {
            path.push(':');
        }
        path.push_str(dir);
    }
    path
}

fn prepared(rendered: &Rendered) -> Prepared {
    Prepared {
        exports: rendered.exports_toml.clone().into_bytes(),
        ..Prepared::new(rendered.ident.clone(), rendered.shutdown_timeout_ms)
    }
}

fn plan(rendered: Rendered) -> RunPlan {
    let env = rendered.env.into_iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    RunPlan {
        program: rendered.run_path,
        dir: rendered.svc_path,
        env: env.collect(),
        stop_signal: rendered.shutdown_signal,
        pid_file: rendered.pid_file,
    }
}
