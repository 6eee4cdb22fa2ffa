//! What templates can express, and what they make of a configuration.

use serde_json::json;

use super::*;
use crate::template::Engine;

#[test]
fn nothing_is_escaped_and_what_is_missing_is_empty() {
    assert_eq!(rendered("a = \"<&\\\"'>\"", "{{cfg.a}}").expect("rendered"), "<&\"'>");
    assert_eq!(
        rendered("", "[{{cfg.a}}{{cfg.b.c}}{{nothing}}{{toUppercase cfg.x}}]").expect("rendered"),
        "[]"
    );
    assert_eq!(rendered("", "{{#each cfg.list}}x{{else}}none{{/each}}").expect("rendered"), "none");
    assert_eq!(
        rendered("when = 2026-01-02T03:04:05Z\nf = 1.5", "{{cfg.when}} {{cfg.f}}").expect("rendered"),
        "2026-01-02T03:04:05Z 1.5"
    );
}

#[test]
fn helpers_of_text() {
    let defaults = "name = \"Web\"\nlist = [\"a\", \"b\", 3]\nport = 80";
    for (template, expected) in [
        ("{{toUppercase cfg.name}}{{toLowercase cfg.name}}", "WEBweb"),
        ("{{strConcat cfg.name \"-\" cfg.port}}", "Web-80"),
        ("{{strJoin cfg.list \"/\"}}", "a/b/3"),
        ("{{strReplace cfg.name \"e\" \"oo\"}}", "Woob"),
        ("{{strReplace \"it's\" \"'\" \"'\\\\''\"}}", "it'\\''s"),
        ("{{toUppercase (strConcat \"a\" \"b\")}}", "AB"),
        ("{{#if cfg.port}}yes{{else}}no{{/if}}", "yes"),
        ("{{#unless cfg.none}}un{{/unless}}", "un"),
        ("{{#with cfg}}{{port}}{{/with}}", "80"),
        ("{{lookup cfg.list 1}}", "b"),
        ("{{#each cfg.list as |x|}}{{@index}}{{x}},{{/each}}", "0a,1b,23,"),
    ] {
        assert_eq!(rendered(defaults, template).expect(template), expected, "{template}");
    }
}

#[test]
fn helpers_of_structure_can_be_read_back() {
    let defaults = "[t]\na = 1\nb = [true, \"yes\", \"plain\"]\nempty = []\n[t.c]\nd = \"x: y\"\n";
    let json = rendered(defaults, "{{toJson cfg.t}}").expect("rendered");
    let expected = json!({"a": 1, "b": [true, "yes", "plain"], "empty": [], "c": {"d": "x: y"}});
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json).expect("JSON"), expected);
    assert!(json.contains("\n  \"a\": 1"), "for people to read: {json}");
    let toml: toml::Table = rendered(defaults, "{{toToml cfg.t}}").expect("rendered").parse().expect("TOML");
    assert_eq!(
        toml,
        defaults.parse::<toml::Table>().expect("TOML")["t"].as_table().expect("a table").clone()
    );
    assert_eq!(
        rendered(defaults, "{{toYaml cfg.t}}").expect("rendered"),
        "---\na: 1\nb:\n  - true\n  - \"yes\"\n  - plain\nc:\n  d: \"x: y\"\nempty: []\n"
    );
    let listed = rendered("list = [{a = 1, b = 2}, {c = {d = 3}}]", "{{toYaml cfg.list}}").expect("rendered");
    assert_eq!(listed, "---\n- a: 1\n  b: 2\n- c:\n    d: 3\n");
}

#[test]
fn each_alive_skips_the_others_and_counts_from_one() {
    let engine = Engine::new(Vec::new());
    let context = json!({"members": [
        {"name": "a", "alive": true}, {"name": "b", "alive": false}, {"name": "c", "alive": true}, {"name": "d"},
    ], "dead": [{"alive": false}], "outer": "o"});
    let render = |text: &str| engine.render(Path::new("t"), text, &context).expect("rendered");
    assert_eq!(
        render("{{#eachAlive members as |m|}}{{@index}}{{m.name}}{{../outer}};{{/eachAlive}}"),
        "1ao;2co;"
    );
    assert_eq!(render("{{#eachAlive members}}{{name}}{{#if @last}}.{{else}},{{/if}}{{/eachAlive}}"), "a,c.");
    assert_eq!(render("{{#eachAlive members as |m i|}}{{i}}{{m.name}}{{/eachAlive}}"), "1a2c");
    assert_eq!(render("{{#eachAlive dead}}x{{else}}nobody{{/eachAlive}}"), "nobody");
    assert_eq!(render("{{#eachAlive nothing}}x{{/eachAlive}}"), "");
}

#[test]
fn a_failing_template_names_file_line_and_key() {
    for (template, expected) in [
        ("ok\n  {{toUppercase cfg.list}}\n", ["line 2, column 3", "toUppercase: cfg.list is not a text"]),
        ("\n{{strJoin cfg.port \",\"}}", ["line 2", "cfg.port is not a list"]),
        ("{{strReplace cfg.port}}", ["line 1", "parameter 2 is missing"]),
        ("{{pkgPathFor \"core/redis\"}}", ["line 1", "core/redis is not a dependency"]),
        ("{{pkgPathFor \"redis\"}}", ["line 1", "is not origin/name"]),
        ("\n\n{{noSuchHelper cfg.port}}", ["line 3", "noSuchHelper"]),
        ("{{> part}}", ["line 1", "part"]),
        ("a\n{{#if cfg.port}}\n{{/unless}}\n", ["line", "unless"]),
    ] {
        let error = rendered("port = 1\nlist = []", template).expect_err(template).to_string();
        assert!(error.contains("config/out"), "{error}");
        for part in expected {
            assert!(error.contains(part), "{part:?} is not in {error}");
        }
    }
    let error = rendered("list = []", "ok\n  {{toUppercase cfg.list}}\n").expect_err("fails").to_string();
    assert!(error.ends_with("\n  |\n2 |   {{toUppercase cfg.list}}\n  |   ^"), "{error}");
}

#[test]
fn a_template_without_end_ends() {
    let inline = "ok\n {{~#*inline \"a\"}}{{> b}}{{/inline}}{{#*inline \"b\"}}{{> a}}{{/inline}}{{> a}}";
    let error = rendered("", inline).expect_err("it includes itself").to_string();
    assert!(error.contains("line 2, column 2") && error.contains("#*inline"), "{error}");
    assert_eq!(rendered("a = 2", "{{cfg.a}} * {{cfg.a}} **").expect("rendered"), "2 * 2 **");
    let mut engine = Engine::new(Vec::new());
    engine.bytes_max = 10_000;
    let context = json!({ "list": vec![1; 1_000] });
    let nested = "{{#each list}}{{#each @root.list}}{{#each @root.list}}x{{/each}}{{/each}}{{/each}}";
    let fault = engine.render(Path::new("t"), nested, &context).expect_err("a thousand million");
    assert!(fault.reason.contains("more than 10000 bytes"), "{fault}");
}
