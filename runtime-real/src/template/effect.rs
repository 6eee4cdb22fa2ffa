//! The effect `Prepare`, carried out with packages and templates.

use std::sync::Arc;

use annulus_core::Prepared;

use super::{Rendered, Sys, prepare_service};
use crate::effect::Prepare;
use crate::effect::process::RunPlan;
use crate::root::Root;

/// What answers the core's `Effect::Prepare` on this host.
#[must_use]
pub fn preparer(root: Root, sys: Sys) -> Arc<Prepare> {
    Arc::new(move |_, spec| {
        let env = |name: &str| std::env::var(name).ok();
        let rendered = prepare_service(&root, spec, &sys, &env).map_err(|e| e.to_string())?;
        Ok((prepared(&rendered), run_plan(&rendered)))
    })
}

fn prepared(rendered: &Rendered) -> Prepared {
    Prepared {
        ident: rendered.ident.clone(),
        shutdown_timeout_ms: rendered.shutdown_timeout_ms,
        exports: rendered.exports_toml.clone().into_bytes(),
    }
}

fn run_plan(rendered: &Rendered) -> RunPlan {
    RunPlan {
        program: rendered.run_path.clone(),
        dir: rendered.svc_path.clone(),
        env: rendered.env.iter().map(|(name, value)| (name.into(), value.into())).collect(),
        stop_signal: rendered.shutdown_signal,
    }
}
