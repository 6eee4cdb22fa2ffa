//! `annulus config show SERVICE.GROUP [--layers]`: shows the configuration that a loaded service's files were rendered
//! with. Asks the supervisor, and never merges layers itself.

use annulus_core::ServiceGroup;
use serde_json::{Value, json};

use crate::cli::target::{self, Remote};
use crate::cli::{Global, Outcome, block_on, output};
use crate::gateway::ctl::config::{ConfigShow, EffectiveConfig};

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The group of a service that is loaded on the supervisor, SERVICE.GROUP[@ORG]
    #[arg(value_name = "SERVICE.GROUP")]
    group: ServiceGroup,
    /// Show which layer each value is from
    #[arg(long)]
    layers: bool,
    /// Show what came sealed, too: on the supervisor's own host, as root or as its user
    #[arg(long)]
    reveal: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

pub(super) fn run(global: &Global, args: &Args) -> Outcome {
    let request = ConfigShow { service_group: Some((&args.group).into()), reveal: args.reveal };
    let list: Vec<EffectiveConfig> =
        block_on(async { Ok(target::connect(global, &args.remote).await?.query(&request).await?) })?;
    let config = list.into_iter().next().unwrap_or_default();
    for warning in &config.warnings {
        eprintln!("warning: {warning}");
    }
    if args.json {
        output::line(format_args!("{:#}", to_json(&config)));
    } else if args.layers {
        output::line(with_layers(&config));
    } else if config.toml.is_empty() {
        output::line("# no layer sets anything");
    } else {
        output::line(config.toml.trim_end());
    }
    Ok(0)
}

/// The configuration as TOML again, each value followed by its layer.
fn with_layers(config: &EffectiveConfig) -> String {
    let mut lines: Vec<String> =
        config.layers.iter().map(|layer| format!("# {:<11} {}", layer.layer, layer.source)).collect();
    let values: Vec<String> = config.values.iter().map(|v| format!("{} = {}", v.path, v.value)).collect();
    let width = values.iter().map(|v| v.chars().count()).filter(|width| *width <= 60).max().unwrap_or(0);
    lines.push(String::new());
    lines.extend(values.iter().zip(&config.values).map(|(text, v)| format!("{text:<width$}  # {}", v.layer)));
    lines.join("\n")
}

fn to_json(config: &EffectiveConfig) -> Value {
    let values = config.values.iter().map(|v| json!({"path": v.path, "value": v.value, "layer": v.layer}));
    let layers = config.layers.iter().map(|l| json!({"layer": l.layer, "source": l.source}));
    json!({
        "values": values.collect::<Vec<_>>(),
        "layers": layers.collect::<Vec<_>>(),
        "warnings": config.warnings,
        "group_version": config.group_version,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::ctl::config::{ConfigLayer, ConfigValue};

    #[test]
    fn what_is_shown_with_layers_is_toml() {
        let value = |path: &str, value: &str, layer: &str| ConfigValue {
            path: path.to_owned(),
            value: value.to_owned(),
            layer: layer.to_owned(),
        };
        let config = EffectiveConfig {
            values: vec![value("a.b", "1", "default"), value("list", "[1, 2]", "user")],
            layers: vec![ConfigLayer { layer: "user".to_owned(), source: "/r/user.toml".to_owned() }],
            ..EffectiveConfig::default()
        };
        let text = with_layers(&config);
        assert_eq!(text, "# user        /r/user.toml\n\na.b = 1        # default\nlist = [1, 2]  # user");
        assert_eq!(text.parse::<toml::Table>().expect("TOML")["a"]["b"].as_integer(), Some(1));
    }
}
