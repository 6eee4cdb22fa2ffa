//! Which module of a package imports which other one, re-exports followed to the file that defines the name.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::{Source, words};

/// One module imports a name of another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrow {
    /// The file that names it, from the package's source folder.
    pub from: String,
    /// The file that defines it.
    pub to: String,
    /// The imported name.
    pub name: String,
}

type Path = Vec<String>;

/// A `use` of one name.
struct Use {
    path: Path,
    /// The name by which it is known from here on.
    name: String,
    is_public: bool,
}

/// The modules of one package.
#[derive(Debug, Default)]
struct Modules {
    /// The file of each module.
    files: BTreeMap<Path, String>,
    /// The names that each module re-exports, with the module that defines each.
    shown: BTreeMap<Path, BTreeMap<String, Path>>,
}

/// How often a re-export leads to another one, at most.
const REEXPORTS_MAX: usize = 8;

/// Every arrow between two files below `root`. Tests are left out, and names that a glob or a macro brings in.
#[must_use]
pub fn arrows(sources: &[Source], root: &str) -> BTreeSet<Arrow> {
    let shipped: Vec<(Path, &Source)> = sources
        .iter()
        .filter(|source| source.shipped_lines > 0)
        .filter_map(|source| {
            Some((module_of(source.path.strip_prefix(root)?.trim_start_matches('/')), source))
        })
        .collect();
    let mut modules = Modules::default();
    for (module, source) in &shipped {
        let file = source.path.trim_start_matches(root).trim_start_matches('/');
        modules.files.insert(module.clone(), file.to_owned());
    }
    let mut named: BTreeMap<Path, Vec<Path>> = BTreeMap::new();
    for (module, source) in &shipped {
        for import in uses(&source.shipped) {
            let Some(path) = modules.absolute(module, &import.path) else { continue };
            if import.is_public {
                modules.shown.entry(module.clone()).or_default().insert(import.name, path.clone());
            }
            named.entry(module.clone()).or_default().push(path);
        }
        let in_bodies = paths(&source.shipped).into_iter().filter_map(|path| modules.absolute(module, &path));
        named.entry(module.clone()).or_default().extend(in_bodies);
    }
    let mut arrows = BTreeSet::new();
    for (module, paths) in named {
        for path in paths {
            let (from, name) = (&modules.files[&module], path.last().cloned().unwrap_or_default());
            if let Some(to) = modules.definer(&path, REEXPORTS_MAX).filter(|to| *to != from) {
                arrows.insert(Arrow { from: from.clone(), to: to.to_owned(), name });
            }
        }
    }
    arrows
}

/// The sets of files of which each can be reached from each other one by arrows; single files are left out.
#[must_use]
pub fn circles(arrows: &BTreeSet<Arrow>) -> Vec<BTreeSet<String>> {
    let mut next: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for arrow in arrows {
        next.entry(&arrow.from).or_default().insert(&arrow.to);
    }
    let reached = |start: &str| {
        let mut seen: BTreeSet<String> = BTreeSet::new();
        let mut todo: Vec<&str> = next.get(start).into_iter().flatten().copied().collect();
        while let Some(file) = todo.pop() {
            if seen.insert(file.to_owned()) {
                todo.extend(next.get(file).into_iter().flatten());
            }
        }
        seen
    };
    let from: BTreeMap<&str, BTreeSet<String>> = next.keys().map(|file| (*file, reached(file))).collect();
    let circle = |file: &str| {
        let back = |other: &&String| from.get(other.as_str()).is_some_and(|reach| reach.contains(file));
        from[file].iter().filter(back).cloned().collect::<BTreeSet<String>>()
    };
    let circles: BTreeSet<BTreeSet<String>> = from.keys().map(|file| circle(file)).collect();
    circles.into_iter().filter(|circle| circle.len() > 1).collect()
}

impl Modules {
    /// A path as it is written in `module`, from the package's top; none when it leads out of the package.
    fn absolute(&self, module: &Path, path: &[String]) -> Option<Path> {
        let ups = path.iter().take_while(|segment| *segment == "super").count();
        let (base, rest) = match path.first()?.as_str() {
            "crate" => (&[] as &[String], &path[1..]),
            "self" => (module.as_slice(), &path[1..]),
            "super" => (&module[..module.len().saturating_sub(ups)], &path[ups..]),
            first => {
                let child: Path = module.iter().cloned().chain([first.to_owned()]).collect();
                self.files.contains_key(&child).then_some((module.as_slice(), path))?
            }
        };
        let is_name = |segment: &&String| *segment != "self" && *segment != "*";
        Some(base.iter().chain(rest.iter().filter(is_name)).cloned().collect())
    }

    /// The file that defines what a path names.
    fn definer(&self, path: &[String], steps: usize) -> Option<&String> {
        let known = (0..=path.len()).rev().find(|length| self.files.contains_key(&path[..*length]))?;
        let module = &path[..known];
        let shown = path.get(known).and_then(|name| self.shown.get(module)?.get(name));
        match shown {
            Some(elsewhere) if steps > 0 && elsewhere.as_slice() != path => {
                let path: Path = elsewhere.iter().chain(&path[known + 1..]).cloned().collect();
                self.definer(&path, steps - 1)
            }
            _ => self.files.get(module),
        }
    }
}

fn module_of(file: &str) -> Path {
    let mut module: Path = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|last| last == "mod") || module == ["lib"] {
        module.pop();
    }
    module
}

/// The imports of a piece of code.
fn uses(code: &str) -> Vec<Use> {
    let mut found = Vec::new();
    for (at, end) in use_items(code) {
        let line = code[..at].rsplit('\n').next().unwrap_or_default();
        expand(&code[at + "use".len()..end], &[], line.trim_start().starts_with("pub"), &mut found);
    }
    found
}

/// Begin and end of each `use` item.
fn use_items(code: &str) -> Vec<(usize, usize)> {
    let begins = words(code, "use").filter(|at| code[at + 3..].starts_with(char::is_whitespace));
    begins.filter_map(|at| Some((at, at + code[at..].find(';')?))).collect()
}

fn expand(tree: &str, above: &[String], is_public: bool, found: &mut Vec<Use>) {
    let tree = tree.trim();
    if let Some((base, list)) = tree.strip_suffix('}').and_then(|tree| tree.split_once('{')) {
        let base: Path = above.iter().cloned().chain(segments(base)).collect();
        let mut depth = 0_i32;
        let parts = list.split(|c| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            c == ',' && depth == 0
        });
        parts.filter(|part| !part.trim().is_empty()).for_each(|part| expand(part, &base, is_public, found));
        return;
    }
    let (path, alias) = tree.split_once(" as ").map_or((tree, None), |(path, alias)| (path, Some(alias)));
    let path: Path = above.iter().cloned().chain(segments(path)).collect();
    if let Some(last) = path.last() {
        let name = alias.map_or(last.as_str(), str::trim).to_owned();
        found.push(Use { path, name, is_public });
    }
}

fn segments(path: &str) -> impl Iterator<Item = String> + '_ {
    path.split("::").map(|segment| segment.trim().to_owned()).filter(|segment| !segment.is_empty())
}

/// The paths from `crate` or `super` that stand outside of imports.
fn paths(code: &str) -> Vec<Path> {
    let imports = use_items(code);
    let is_import = |at: usize| imports.iter().any(|(begin, end)| (*begin..*end).contains(&at));
    let mut found = Vec::new();
    for root in ["crate", "super"] {
        for at in words(code, root).filter(|at| !is_import(*at)) {
            let is_first = !code[..at].ends_with("::");
            let rest = &code[at..];
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').unwrap_or(rest.len());
            let path: Path = segments(rest[..end].trim_end_matches(':')).collect();
            // `pub(in super::super)` names nothing.
            if is_first && path.last().is_some_and(|last| last != "crate" && last != "super") {
                found.push(path);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(files: &[(&str, &str)]) -> Vec<Source> {
        files.iter().map(|(file, text)| Source::new(&format!("p/src/{file}"), (*text).to_owned())).collect()
    }

    #[test]
    fn an_arrow_leads_to_the_file_that_defines_the_name() {
        let arrows = arrows(
            &package(&[
                ("lib.rs", "mod a;\nmod b;\npub use a::One;\n"),
                ("a/mod.rs", "mod inner;\npub use inner::{One, Two as Three};\n"),
                ("a/inner.rs", "pub struct One;\npub struct Two;\n"),
                (
                    "b.rs",
                    "use crate::{One, a::Three};\npub(in super::super) fn f() -> crate::a::inner::Two { g() }\nuse std::fmt;\n",
                ),
                ("c.rs", "//! use crate::b::X;\n#[cfg(test)]\nmod tests {\n    use crate::b::Y;\n}\n"),
            ]),
            "p/src",
        );
        let from_b: Vec<(&str, &str)> =
            arrows.iter().filter(|a| a.from == "b.rs").map(|a| (a.to.as_str(), a.name.as_str())).collect();
        assert_eq!(from_b, [("a/inner.rs", "One"), ("a/inner.rs", "Three"), ("a/inner.rs", "Two")]);
        assert!(!arrows.iter().any(|arrow| arrow.from == "c.rs"), "comments and tests are no arrows");
    }

    #[test]
    fn files_that_reach_each_other_are_a_circle() {
        let arrow = |from: &str, to: &str| Arrow { from: from.into(), to: to.into(), name: String::new() };
        let arrows = [("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("e", "a")].map(|(f, t)| arrow(f, t));
        let circle: BTreeSet<String> = ["a", "b", "c"].map(str::to_owned).into();
        assert_eq!(circles(&arrows.into_iter().collect()), [circle]);
    }
}
