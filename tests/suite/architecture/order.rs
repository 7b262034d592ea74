//! Which file uses which, read from their text: paths that begin with `crate`, `super`, `self` or the name of a file inside, and names that were
//! imported. A name that a file only hands on (`use`) counts as used where it comes from, so that a facade is no circle.

use std::collections::{BTreeMap, BTreeSet};

use super::code_of;

/// A module's path below the root: `["process", "child"]`; the root's is empty.
pub type Module = Vec<String>;

/// The files of a crate, each by its module.
pub struct Files {
    code: BTreeMap<Module, String>,
    /// What each file imports or hands on: a name, and where it comes from.
    names: BTreeMap<Module, BTreeMap<String, Module>>,
}

impl Files {
    /// Reads texts, each by its module.
    pub fn new(texts: BTreeMap<Module, String>) -> Self {
        let code = texts
            .into_iter()
            .filter(|(module, _)| !module.iter().any(|part| part == "tests"))
            .map(|(module, text)| (module, without_comments(code_of(&text))))
            .collect();
        let mut files = Self {
            code,
            names: BTreeMap::new(),
        };
        for (module, text) in &files.code {
            let imported = uses(text).into_iter().flat_map(|tree| expanded(&tree));
            let names = imported.filter_map(|path| {
                let origin = files.absolute(module, &path)?;
                Some((origin.last()?.clone(), origin))
            });
            let names = names.collect();
            files.names.insert(module.clone(), names);
        }
        files
    }

    /// A path as seen from the root; `None` where it does not begin with a file of this crate.
    fn absolute(&self, module: &Module, path: &[String]) -> Option<Module> {
        let mut rest = path;
        let mut base = match rest.first()?.as_str() {
            "crate" => Module::new(),
            "self" | "super" => module.clone(),
            first => {
                let mut inside = module.clone();
                inside.push(first.to_owned());
                if !self.code.contains_key(&inside) {
                    return None;
                }
                inside.extend(path[1..].iter().cloned());
                return Some(inside);
            }
        };
        while let Some(first @ ("crate" | "self" | "super")) = rest.first().map(String::as_str) {
            if first == "super" {
                base.pop();
            }
            rest = &rest[1..];
        }
        base.extend(rest.iter().filter(|part| *part != "self").cloned());
        Some(base)
    }

    /// The file in which what a path names is defined.
    fn home(&self, path: &[String], depth: usize) -> Option<Module> {
        let length = (0..=path.len())
            .rev()
            .find(|length| self.code.contains_key(&path[..*length]))?;
        let (module, rest) = (path[..length].to_vec(), &path[length..]);
        let origin = rest
            .first()
            .and_then(|name| self.names.get(&module)?.get(name));
        match origin {
            Some(origin) if depth > 0 && origin[..] != path[..=length] => {
                self.home(&[origin, &rest[1..]].concat(), depth - 1)
            }
            _ => Some(module),
        }
    }

    /// The files that one uses.
    fn used_by(&self, module: &Module) -> BTreeSet<Module> {
        let text = &self.code[module];
        let mut paths: Vec<Module> = Vec::new();
        let mut body = String::new();
        let mut is_use = false;
        for line in text.lines() {
            match line.trim_start() {
                line if is_import(line) => is_use = true,
                _ if !is_use => body.extend([line, "\n"]),
                _ => {}
            }
            is_use &= !line.ends_with(';');
        }
        let private = uses(text).into_iter().filter(|tree| !tree.starts_with('+'));
        paths.extend(private.flat_map(|tree| expanded(&tree)));
        paths.extend(paths_in(&body));
        let used = paths.iter().filter_map(|path| {
            let imported = || {
                let origin = self.names[module].get(path.first()?)?;
                Some([origin, &path[1..]].concat())
            };
            let absolute = self.absolute(module, path).or_else(imported)?;
            self.home(&absolute, 8)
        });
        used.filter(|used| used != module && !used.is_empty())
            .collect()
    }

    /// The circles: sets of files each of which uses each other, perhaps by way of others. A file and those inside it are of one piece.
    pub fn circles(&self) -> Vec<Vec<Module>> {
        let is_family = |one: &Module, other: &Module| {
            one.starts_with(other.as_slice()) || other.starts_with(one.as_slice())
        };
        let uses: BTreeMap<&Module, BTreeSet<Module>> = self
            .code
            .keys()
            .map(|module| {
                let mut used = self.used_by(module);
                used.retain(|used| !is_family(module, used));
                (module, used)
            })
            .collect();
        let reach: BTreeMap<&Module, BTreeSet<&Module>> = uses
            .keys()
            .map(|module| {
                let mut reached = BTreeSet::new();
                let mut next: Vec<&Module> = uses[module].iter().collect();
                while let Some(used) = next.pop() {
                    if reached.insert(used) {
                        next.extend(&uses[used]);
                    }
                }
                (*module, reached)
            })
            .collect();
        let circles: BTreeSet<Vec<Module>> = reach
            .iter()
            .filter(|(module, reached)| reached.contains(**module))
            .map(|(module, reached)| {
                let back = reached
                    .iter()
                    .filter(|other| reach[**other].contains(*module));
                back.map(|other| (*other).clone()).collect()
            })
            .collect();
        circles.into_iter().collect()
    }
}

fn without_comments(code: &str) -> String {
    let lines = code.lines().map(|line| match line.find("//") {
        Some(place) if !line[..place].contains('"') => &line[..place],
        _ => line,
    });
    lines.map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// Whether a line begins an import.
fn is_import(line: &str) -> bool {
    let line = line.trim_start();
    let public = line
        .strip_prefix("pub")
        .map(|rest| match rest.strip_prefix('(') {
            Some(rest) => rest.split_once(')').map_or("", |(_, rest)| rest),
            None => rest,
        });
    public.unwrap_or(line).trim_start().starts_with("use ")
}

/// The trees of imports; those that are handed on begin with a plus.
fn uses(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        if !is_import(line) {
            continue;
        }
        let mark = if line.trim_start().starts_with("pub") {
            "+"
        } else {
            ""
        };
        let (_, tree) = line.split_once("use ").unwrap_or_default();
        let mut tree = format!("{mark}{tree}");
        while !tree.ends_with(';') {
            let Some(more) = lines.next() else { break };
            tree.push_str(more.trim());
        }
        found.push(tree.trim_end_matches(';').to_owned());
    }
    found
}

/// The paths of a tree of imports.
fn expanded(tree: &str) -> Vec<Module> {
    let tree = tree.trim_start_matches('+').trim();
    let Some((prefix, inner)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or_default();
        return vec![
            path.split("::")
                .map(|part| part.trim().to_owned())
                .collect(),
        ];
    };
    let prefix: Module = prefix
        .split("::")
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect();
    let inner = inner.trim_end().strip_suffix('}').unwrap_or(inner);
    let mut depth = 0;
    let parts = inner.split(|letter: char| {
        depth += i32::from(letter == '{') - i32::from(letter == '}');
        letter == ',' && depth == 0
    });
    let paths = parts
        .filter(|part| !part.trim().is_empty())
        .flat_map(expanded);
    paths.map(|path| [prefix.clone(), path].concat()).collect()
}

/// The paths of at least two names in code.
fn paths_in(code: &str) -> Vec<Module> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == ':';
    let words = code.split(|letter: char| !is_part(letter));
    let words = words
        .map(|word| word.trim_matches(':'))
        .filter(|word| word.contains("::"));
    words
        .map(|word| word.split("::").map(str::to_owned).collect())
        .collect()
}

fn files(texts: &[(&str, &str)]) -> Files {
    let module = |path: &str| {
        path.split('/')
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let texts = texts
        .iter()
        .map(|(path, text)| (module(path), (*text).to_owned()));
    Files::new(texts.collect())
}

#[test]
fn a_circle_of_files_is_found_however_they_name_each_other() {
    let names = [
        "use super::b::Thing;",
        "use crate::room::b::{self, Thing};",
        "fn f() { super::b::g() }",
        "use super::{\n    c,\n    b::{Thing, Other},\n};",
        "use super::Thing;",
        "use crate::room;\nfn f() { room::b::g() }",
    ];
    for text in names {
        let files = files(&[
            ("", "pub mod room;"),
            ("room", "mod a;\nmod b;\nmod c;\npub use b::Thing;"),
            ("room/a", text),
            ("room/b", "use super::c;"),
            ("room/c", "fn f() { crate::room::a::g() }"),
        ]);
        let circles = files.circles();
        assert_eq!(circles.len(), 1, "{text}");
        assert_eq!(circles[0].len(), 3, "{text}: {circles:?}");
    }
}

#[test]
fn a_facade_a_file_with_its_own_parts_and_a_test_are_no_circle() {
    let files = files(&[
        ("", "pub mod room;"),
        (
            "room",
            "mod a;\nmod b;\npub use a::Thing;\npub use b::Other;\nstruct Own;\nfn f() { a::g() }",
        ),
        (
            "room/a",
            "// See super::b::Other.\nuse super::Own;\n\n#[cfg(test)]\nmod tests {\n    use super::super::b;\n}\n",
        ),
        ("room/b", "use super::Thing;\nuse super::a;"),
    ]);
    assert_eq!(files.circles(), Vec::<Vec<Module>>::new());
}
