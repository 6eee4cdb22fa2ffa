//! What stands between the wanted and the running state of a service, as every gateway shows it: what the core knows, and
//! a spec file that cannot be used while its service goes on. Decides nothing.

use annulus_core::{Obstacle, ObstacleKind, ServiceView};
use serde_json::{Value, json};

use super::specs::Problem;

/// The obstacles of a service. `problems` are the spec files that cannot be used.
#[must_use]
pub fn of(view: &ServiceView, problems: &[Problem]) -> Vec<Obstacle> {
    let name = view.spec.name();
    let own = problems.iter().filter(|problem| problem.service.as_ref() == Some(&name));
    let specs = own.map(|problem| {
        let what = format!(
            "its spec file {} is left alone, and it goes on with its last good options: {}",
            problem.path.display(),
            problem.reason
        );
        Obstacle::new(ObstacleKind::Spec, what)
    });
    let mut all = view.obstacles.clone();
    all.extend(specs);
    all.sort();
    all
}

/// The same as JSON.
#[must_use]
pub fn to_json(obstacles: &[Obstacle]) -> Value {
    let one = |obstacle: &Obstacle| json!({ "kind": obstacle.kind.name(), "hook": obstacle.hook.map(annulus_core::Hook::name), "what": obstacle.what });
    obstacles.iter().map(one).collect()
}
