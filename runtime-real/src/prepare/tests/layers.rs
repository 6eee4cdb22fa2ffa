//! Layers of configuration: their order, their merging, and malformed ones.

use proptest::prelude::*;
use toml::{Table, Value};

use super::super::config::{TooDeep, merge};
use super::*;

fn table(text: &str) -> Table {
    text.parse().expect("TOML")
}

fn merged(base: &str, over: &str) -> Table {
    let mut base = table(base);
    merge(&mut base, table(over)).expect("not deep");
    base
}

#[test]
fn tables_merge_and_all_else_is_replaced() {
    assert_eq!(merged("a = 1\nb = 2", "b = 3\nc = 4"), table("a = 1\nb = 3\nc = 4"));
    assert_eq!(merged("[t]\na = 1\n[t.u]\nb = 2", "[t.u]\nc = 3"), table("[t]\na = 1\n[t.u]\nb = 2\nc = 3"));
    assert_eq!(merged("a = [1, 2, 3]", "a = [4]"), table("a = [4]"), "arrays as a whole");
    assert_eq!(merged("a = 1", "a = \"x\""), table("a = \"x\""), "of any type");
    assert_eq!(merged("[a]\nb = 1", "a = 2"), table("a = 2"));
    assert_eq!(merged("a = 2", "[a]\nb = 1"), table("[a]\nb = 1"));
    assert_eq!(merged("[[a]]\nb = 1", "[[a]]\nc = 2"), table("[[a]]\nc = 2"));
}

fn nested(depth: usize) -> Table {
    let mut table = Table::new();
    table.insert("leaf".to_owned(), Value::Integer(1));
    for _ in 1..depth {
        let mut outer = Table::new();
        outer.insert("t".to_owned(), Value::Table(table));
        table = outer;
    }
    table
}

#[test]
fn the_depth_is_limited() {
    assert_eq!(merge(&mut nested(30), nested(30)), Ok(()));
    assert_eq!(merge(&mut nested(31), nested(31)), Err(TooDeep));

    let bench = Bench::new(&[("hooks/run", "")]);
    bench.user_toml(&toml::to_string(&nested(30)).expect("TOML"));
    bench.prepare().expect("as deep as may be");
    let deep = toml::to_string(&nested(31)).expect("TOML");
    bench.user_toml(&deep);
    let error = bench.prepare().expect_err("too deep").to_string();
    assert!(error.contains("user.toml") && error.contains("30 deep"), "{error}");
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![any::<i64>().prop_map(Value::Integer), any::<bool>().prop_map(Value::Boolean)];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            prop::collection::btree_map("[a-c]", inner, 0..4)
                .prop_map(|map| Value::Table(map.into_iter().collect())),
        ]
    })
}

fn config() -> impl Strategy<Value = Table> {
    prop::collection::btree_map("[a-c]", value(), 0..4).prop_map(|map| map.into_iter().collect())
}

/// A configuration in which a key is always, or never, that of a table.
fn shaped() -> impl Strategy<Value = Table> {
    let leaves = prop::collection::btree_map("[a-c]", any::<i64>().prop_map(Value::Integer), 0..3).boxed();
    let mut level: BoxedStrategy<Table> = leaves.clone().prop_map(|map| map.into_iter().collect()).boxed();
    for _ in 0..3 {
        let tables = prop::collection::btree_map("[x-z]", level.prop_map(Value::Table), 0..3);
        level = (leaves.clone(), tables).prop_map(|(a, b)| a.into_iter().chain(b).collect()).boxed();
    }
    level
}

fn over(mut base: Table, over: Table) -> Table {
    merge(&mut base, over).expect("not deep");
    base
}

/// Every leaf of a configuration with its path.
fn leaves(table: &Table, path: &[String], found: &mut Vec<(Vec<String>, Value)>) {
    for (key, value) in table {
        let path = [path, std::slice::from_ref(key)].concat();
        match value {
            Value::Table(inner) => leaves(inner, &path, found),
            leaf => found.push((path, leaf.clone())),
        }
    }
}

#[test]
fn a_pipe_in_the_place_of_a_layer_is_named_and_not_waited_for() {
    let bench = Bench::new(&[("hooks/run", "")]);
    bench.user_toml("");
    let path = bench.root.path().join("user/web-shop/config/user.toml");
    std::fs::remove_file(&path).expect("removed");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("made");
    let error = bench.prepare().expect_err("a pipe").to_string();
    assert!(error.contains("user.toml") && error.contains("not a regular file"), "{error}");
}

proptest! {
    // A key that is a table in one layer and something else in the next is left out here:
    // that value replaces the table.
    #[test]
    fn layers_of_one_shape_may_be_merged_in_any_grouping(a in shaped(), b in shaped(), c in shaped()) {
        prop_assert_eq!(over(over(a.clone(), b.clone()), c.clone()), over(a, over(b, c)));
    }

    #[test]
    fn an_empty_layer_and_the_same_again_change_nothing(a in config()) {
        prop_assert_eq!(over(a.clone(), Table::new()), a.clone());
        prop_assert_eq!(over(Table::new(), a.clone()), a.clone());
        prop_assert_eq!(over(a.clone(), a.clone()), a);
    }

    #[test]
    fn the_upper_layer_always_shows(a in config(), b in config()) {
        let result = over(a, b.clone());
        let mut upper = Vec::new();
        leaves(&b, &[], &mut upper);
        for (path, leaf) in upper {
            let mut at = &Value::Table(result.clone());
            for key in &path {
                at = at.get(key).expect("the upper layer's path");
            }
            prop_assert_eq!(at, &leaf);
        }
    }
}

#[test]
fn default_then_environment_then_user() {
    let files = [("default.toml", "a = 1\nb = 1\nc = 1\n"), ("hooks/run", "{{cfg.a}} {{cfg.b}} {{cfg.c}}")];
    let mut bench = Bench::new(&files);
    bench.prepare().expect("prepared");
    assert_eq!(bench.read("run"), "1 1 1");
    for text in ["b = 2\nc = 2", "{\"b\": 2, \"c\": 2}"] {
        bench.env.insert("HAB_WEB_SHOP".to_owned(), text.to_owned());
        bench.prepare().expect("prepared");
        assert_eq!(bench.read("run"), "1 2 2", "TOML, else JSON");
    }
    bench.user_toml("c = 3");
    bench.prepare().expect("prepared");
    assert_eq!(bench.read("run"), "1 2 3");
    bench.env.insert("HAB_WEB_SHOP".to_owned(), "  ".to_owned());
    bench.prepare().expect("prepared");
    assert_eq!(bench.read("run"), "1 1 3", "an empty variable counts as unset");
}

#[test]
fn a_malformed_layer_is_named_and_nothing_changes() {
    let mut bench = Bench::new(&[("default.toml", "a = 1"), ("hooks/run", "{{cfg.a}}")]);
    bench.prepare().expect("prepared");
    bench.user_toml("b = 1\na = = 2\n");
    let error = bench.prepare().expect_err("malformed").to_string();
    assert!(
        error.contains("user.toml") && error.contains("line 2, column 5") && error.contains('^'),
        "{error}"
    );
    bench.user_toml("a = 2");
    bench.env.insert("HAB_WEB_SHOP".to_owned(), "neither".to_owned());
    let error = bench.prepare().expect_err("malformed").to_string();
    assert!(error.contains("HAB_WEB_SHOP") && error.contains("JSON"), "{error}");
    assert_eq!(bench.read("run"), "1");
}

#[test]
fn each_value_knows_its_layer() {
    let mut bench = Bench::new(&[
        ("default.toml", "a = 1\nb = 1\nlist = [1]\n[t]\nx = 1\ny = 1\nz = 1\n[none]\n"),
        ("hooks/run", ""),
    ]);
    bench.env.insert("HAB_WEB_SHOP".to_owned(), "b = 2\n[t]\ny = 2\nz = 2\n\"odd key\" = 2".to_owned());
    bench.user_toml("[t]\nz = 3");
    let done = bench.prepare().expect("prepared");
    let values = done.written.layers.values();
    let found: Vec<(&str, &str)> =
        values.iter().map(|(path, (_, layer))| (path.as_str(), layer.name())).collect();
    assert_eq!(
        found,
        [
            ("a", "default"),
            ("b", "environment"),
            ("list", "default"),
            ("none", "default"),
            ("t.\"odd key\"", "environment"),
            ("t.x", "default"),
            ("t.y", "environment"),
            ("t.z", "user"),
        ]
    );
}

#[test]
fn bombs_are_refused_and_do_no_harm() {
    let depths = [1_000, 100_000].map(|depth| {
        let dotted = format!("{} = 1", vec!["a"; depth].join("."));
        let arrays = format!("a = {}{}", "[".repeat(depth), "]".repeat(depth));
        let inline = format!("a = {}1{}", "{a = ".repeat(depth), "}".repeat(depth));
        let json = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        [dotted, arrays, inline, json]
    });
    for bomb in depths.concat() {
        let mut bench = Bench::new(&[("hooks/run", "")]);
        bench.user_toml(&bomb);
        let error = bench.prepare().expect_err("too deep").to_string();
        assert!(error.contains("user.toml"), "{error:.200}");
        bench.user_toml("");
        bench.env.insert("HAB_WEB_SHOP".to_owned(), bomb);
        let error = bench.prepare().expect_err("too deep").to_string();
        assert!(error.contains("HAB_WEB_SHOP"), "{error:.200}");
    }
}

proptest! {
    #[test]
    fn the_layer_of_a_value_is_the_highest_that_has_it(a in config(), b in config(), c in config()) {
        let mut layers = Layers::default();
        for (layer, table) in [(Layer::Default, &a), (Layer::User, &b), (Layer::Group, &c)] {
            layers.push(layer, String::new(), table.clone()).expect("not deep");
        }
        prop_assert_eq!(layers.merged(), over(over(a.clone(), b.clone()), c.clone()));
        // Every value that the group sets is shown with the group's name.
        let mut upper = Vec::new();
        leaves(&c, &[], &mut upper);
        let values = layers.values();
        for (path, leaf) in upper {
            prop_assert_eq!(&values[&path.join(".")], &(leaf, Layer::Group));
        }
    }
}
