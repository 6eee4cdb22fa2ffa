//! A template of a hook or a configuration file, rendered with a small context.

use std::path::Path;

use annulus::template::{Engine, check};
use serde_json::json;

use super::{MIB, Seen, Target};
use crate::mutate::text;

pub(super) const TARGET: Target = Target {
    name: "template",
    about: "templates of hooks and files: checked, then rendered with a small context",
    run,
    mutate: text::mutate,
    seeds,
    tell: None,
    bytes_max: 8 * 1024,
    memory_max: 128 * MIB,
};

fn run(bytes: &[u8]) -> Seen {
    let Ok(text) = std::str::from_utf8(bytes) else { return Seen::refused("no text") };
    let path = Path::new("config/app.conf");
    if let Err(fault) = check(path, text) {
        return Seen::refused(super::last_line(&fault.to_string()));
    }
    let context = json!({
        "cfg": { "port": 6379, "name": "shop", "list": ["a", "b", { "c": null }], "deep": { "er": { "x": 1.5 } } },
        "sys": { "ip": "10.0.0.1", "hostname": "ada" },
        "svc": { "members": [{ "alive": true, "sys": { "ip": "10.0.0.2" } }], "me": { "leader": false } },
        "bind": {},
        "pkg": { "ident": "acme/shop/1.2.0/20260101000000", "path": "/hab/pkgs/acme/shop" },
    });
    match Engine::new(Vec::new()).render(path, text, &context) {
        Err(fault) => Seen::refused(super::last_line(&fault.to_string())),
        Ok(rendered) => Seen::accepted("rendered", rendered.len()),
    }
}

fn seeds() -> Vec<Vec<u8>> {
    [
        "port {{cfg.port}}\n{{#each svc.members as |member|}}\nserver {{member.sys.ip}}\n{{/each}}\n",
        "{{#if svc.me.leader}}primary{{else}}replica{{/if}}\n{{toUppercase cfg.name}} {{toToml cfg.deep}}\n",
        "{{#each cfg.list}}{{@index}}={{this}}{{#unless @last}},{{/unless}}{{/each}}\n{{toJson cfg}}{{toYaml cfg}}\n",
        "{{strReplace cfg.name \"s\" \"t\"}} {{strJoin cfg.list \",\"}} {{shellQuote cfg.name}} {{pkgPathFor \"core/bash\"}}\n",
        "{{#eachAlive svc.members as |m|}}{{m.sys.ip}}{{/eachAlive}} {{~lookup cfg.list 1~}} {{!-- note --}}\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}
