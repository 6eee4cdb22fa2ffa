//! Every file that goes into a package comes out of it unchanged.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;

use proptest::prelude::*;

use super::*;

type Tree = BTreeMap<String, (Vec<u8>, bool)>;

/// Files in folders whose names cannot be files' names.
fn tree() -> impl Strategy<Value = Tree> {
    let dirs = prop::collection::vec("[a-z]{1,40}\\.d", 0..4);
    let path = (dirs, "[a-zA-Z0-9_+ -]{1,60}").prop_map(|(dirs, name)| [dirs, vec![name]].concat().join("/"));
    prop::collection::btree_map(path, (prop::collection::vec(any::<u8>(), 0..2000), any::<bool>()), 1..12)
}

fn read_tree(dir: &Path, prefix: &str, tree: &mut Tree) {
    for entry in fs::read_dir(dir).expect("a directory").flatten() {
        let name = format!("{prefix}{}", entry.file_name().to_str().expect("UTF-8"));
        if entry.path().is_dir() {
            assert_eq!(mode(&entry.path()), 0o755);
            read_tree(&entry.path(), &format!("{name}/"), tree);
        } else {
            let executable = match mode(&entry.path()) {
                0o755 => true,
                0o644 => false,
                other => panic!("{name} has mode {other:o}"),
            };
            tree.insert(name, (fs::read(entry.path()).expect("a file"), executable));
        }
    }
}

fn lay_out(bench: &Bench, files: &Tree) -> PathBuf {
    let plan = bench.plan(&[("plan.toml", &format!("{PLAN}files = [\"all\"]\n"))]);
    for (name, (content, executable)) in files {
        let path = plan.join("all").join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(&path, content).expect("written");
        let mode = if *executable { 0o700 } else { 0o600 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
    }
    plan
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn build_then_install_gives_the_same_files(files in tree()) {
        let bench = Bench::new();
        let plan = lay_out(&bench, &files);
        let built = build(&bench.root, &plan, &bench.path("out"), NOW).expect("built");
        let done = bench.install(&built.path).expect("installed");
        let mut found = Tree::new();
        read_tree(&done.path.join("all"), "", &mut found);
        prop_assert_eq!(&found, &files);

        // Once more: the same inputs give the same bytes, in every place and order in which they lie.
        let elsewhere = Bench::new();
        fs::create_dir_all(elsewhere.root.path().join("cache")).expect("made");
        fs::rename(bench.root.keys(), elsewhere.root.keys()).expect("moved");
        let plan = lay_out(&elsewhere, &files);
        let again = build(&elsewhere.root, &plan, &elsewhere.path("out"), NOW).expect("built");
        prop_assert_eq!(fs::read(&built.path).expect("a file"), fs::read(&again.path).expect("a file"));
    }
}
