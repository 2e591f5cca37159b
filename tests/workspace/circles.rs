//! Files of a crate must not import each other in circles.
//!
//! A submodule may import its parent, because readers see the two as one unit. The check reads `use` declarations and
//! paths as text. An import of a re-exported name counts as an import of the file that defines it. Tests are left out.
#![allow(clippy::indexing_slicing, reason = "each index was found in the same text or map")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use harness::repository;

/// The library crates and their source folders.
const CRATES: &[&str] = &["agentx", "common", "crds", "master", "operator", "sidecar"];

/// A path of module names from the crate's root. It is empty for the root itself.
type Module = Vec<String>;

/// The imports of a source file: the paths that it uses, and the names that it re-exports with their paths. All paths
/// start at the crate's root.
#[derive(Debug, Default)]
struct Source {
    used: BTreeSet<Module>,
    reexports: BTreeMap<String, Module>,
}

/// Returns the code without comments and strings. It also removes the character `'"'`, which looks like the start of a
/// string.
fn code(text: &str) -> String {
    let (mut code, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(c) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("r#\"") {
            rest.find("\"#").map_or(rest.len(), |end| end + 2)
        } else if c == '"' {
            let mut escaped = false;
            let end = rest.char_indices().skip(1).find(|(_, c)| {
                let ends = *c == '"' && !escaped;
                escaped = *c == '\\' && !escaped;
                ends
            });
            end.map_or(rest.len(), |(at, _)| at + 1)
        } else if rest.starts_with("'\"'") {
            3
        } else {
            code.push(c);
            c.len_utf8()
        };
        rest = &rest[skipped..];
    }
    code
}

/// Returns the code before the module with the unit tests.
fn without_tests(code: &str) -> &str {
    code.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default()
}

/// Adds all paths of a use tree such as `a::{b, c::D as E}`, each with the name under which it is imported.
fn flatten(tree: &str, prefix: &[String], into: &mut Vec<(Module, String)>) {
    let tree = tree.trim();
    let (head, braces) = match tree.find('{') {
        Some(open) => (&tree[..open], tree[open + 1..].rfind('}').map(|close| &tree[open + 1..open + 1 + close])),
        None => (tree, None),
    };
    let (head, name) = head.split_once(" as ").map_or((head, None), |(head, name)| (head, Some(name.trim())));
    let mut path = prefix.to_vec();
    path.extend(head.split("::").map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned));
    let Some(inside) = braces else {
        if path.last().is_some_and(|last| last == "self") && path.len() > 1 {
            path.pop();
        }
        let name = name.map_or_else(|| path.last().cloned().unwrap_or_default(), str::to_owned);
        into.push((path, name));
        return;
    };
    let (mut depth, mut start) = (0_usize, 0);
    for (at, c) in inside.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                flatten(&inside[start..at], &path, into);
                start = at + 1;
            }
            _ => {}
        }
    }
    if !inside[start..].trim().is_empty() {
        flatten(&inside[start..], &path, into);
    }
}

/// Converts a path in a module to a path from the crate's root. Returns `None` for paths of other crates.
fn absolute(path: &[String], module: &[String], modules: &BTreeMap<Module, PathBuf>) -> Option<Module> {
    let mut base = module.to_vec();
    let mut rest = path;
    match path.first()?.as_str() {
        "crate" => {
            base.clear();
            rest = &path[1..];
        }
        "self" => rest = &path[1..],
        "super" => {}
        child => {
            base.push(child.to_owned());
            return modules.contains_key(&base).then(|| [module, path].concat());
        }
    }
    while rest.first().is_some_and(|part| part == "super") {
        base.pop()?;
        rest = &rest[1..];
    }
    base.extend(rest.iter().cloned());
    Some(base)
}

/// Reads the imports of a file.
fn read(file: &Path, module: &[String], modules: &BTreeMap<Module, PathBuf>) -> Result<Source> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let code = code(&text);
    let code = without_tests(&code);
    let mut source = Source::default();
    let mut rest = code;
    let mut others = String::new();
    while let Some(at) = rest.find("use ") {
        let starts_a_word = rest[..at].chars().next_back().is_none_or(char::is_whitespace);
        others.push_str(&rest[..at]);
        let line = rest[..at].rsplit('\n').next().unwrap_or_default().trim().to_owned();
        rest = &rest[at + 4..];
        if !starts_a_word {
            continue;
        }
        let end = rest.find(';').unwrap_or(rest.len());
        let mut paths = Vec::new();
        flatten(&rest[..end], &[], &mut paths);
        for (path, name) in paths {
            let Some(path) = absolute(&path, module, modules) else { continue };
            if line.starts_with("pub") {
                source.reexports.insert(name, path);
            } else {
                source.used.insert(path);
            }
        }
        rest = &rest[end..];
    }
    others.push_str(rest);
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    for word in others.split(|c| !is_path(c)).filter(|word| word.contains("::")) {
        let path: Module = word.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
        source.used.extend(absolute(&path, module, modules));
    }
    Ok(source)
}

/// Adds the modules below a source folder, with their files. Tests are left out.
fn modules(folder: &Path, module: &[String], into: &mut BTreeMap<Module, PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).context("a name")?.to_owned();
        if ["tests", "testing", "fuzz", "main"].contains(&stem.as_str()) || stem.starts_with("fake") {
            continue;
        }
        let inside = [module, std::slice::from_ref(&stem)].concat();
        if path.is_dir() {
            modules(&path, &inside, into)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let own = if ["lib", "mod"].contains(&stem.as_str()) { module.to_vec() } else { inside };
            into.insert(own, path);
        }
    }
    Ok(())
}

/// Returns the module whose file defines the item at a path. Follows re-exports.
fn origin(path: &[String], sources: &BTreeMap<Module, Source>) -> Option<Module> {
    let mut path = path.to_vec();
    for _ in 0..8 {
        let depth = (0..=path.len()).rev().find(|depth| sources.contains_key(&path[..*depth]))?;
        let (module, item) = path.split_at(depth);
        match item.first().and_then(|item| sources[module].reexports.get(item)) {
            Some(target) => path = [target, &item[1..]].concat(),
            None => return Some(module.to_vec()),
        }
    }
    None
}

/// Returns the modules that a module imports directly or indirectly. They include the module itself only if it is in a
/// circle.
fn reached<'a>(from: &'a Module, imports: &'a BTreeMap<Module, BTreeSet<Module>>) -> BTreeSet<&'a Module> {
    let (mut reached, mut pending) = (BTreeSet::new(), vec![from]);
    while let Some(module) = pending.pop() {
        pending.extend(imports.get(module).into_iter().flatten().filter(|next| reached.insert(*next)));
    }
    reached
}

/// Returns the circles of a crate. Each is a text with the imports between the files of the circle.
fn circles(source_folder: &Path) -> Result<Vec<String>> {
    let mut files = BTreeMap::new();
    modules(source_folder, &[], &mut files)?;
    let mut sources = BTreeMap::new();
    for (module, file) in &files {
        sources.insert(module.clone(), read(file, module, &files)?);
    }
    let imports: BTreeMap<Module, BTreeSet<Module>> = sources
        .iter()
        .map(|(module, source)| {
            let targets = source.used.iter().filter_map(|path| origin(path, &sources));
            (module.clone(), targets.filter(|target| !module.starts_with(target)).collect())
        })
        .collect();
    let reach: BTreeMap<&Module, BTreeSet<&Module>> =
        imports.keys().map(|module| (module, reached(module, &imports))).collect();
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for module in imports.keys().filter(|module| reach[*module].contains(module)) {
        if seen.contains(module) {
            continue;
        }
        let group: BTreeSet<_> =
            reach[module].iter().filter(|other| reach[**other].contains(module)).copied().collect();
        let lines = |from: &&Module| {
            let targets = imports[*from].iter().filter(|target| group.contains(target));
            targets.map(|target| format!("  {} -> {}", from.join("::"), target.join("::"))).collect::<Vec<_>>()
        };
        found.push(group.iter().flat_map(lines).collect::<Vec<_>>().join("\n"));
        seen.extend(group);
    }
    Ok(found)
}

/// Returns the source folders of all library crates.
fn source_folders() -> Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for parent in CRATES.iter().map(|name| repository().join(name)) {
        let mut candidates = vec![parent.clone()];
        for entry in fs::read_dir(&parent)? {
            candidates.push(entry?.path());
        }
        folders
            .extend(candidates.into_iter().map(|folder| folder.join("src")).filter(|src| src.join("lib.rs").is_file()));
    }
    Ok(folders)
}

#[test]
fn files_of_a_crate_do_not_import_each_other_in_circles() -> Result<()> {
    let folders = source_folders()?;
    assert!(folders.len() >= 8, "not all crates were found: {folders:?}");
    let mut report = String::new();
    for folder in folders {
        for circle in circles(&folder)? {
            report.extend([folder.display().to_string(), ":\n".to_owned(), circle, "\n".to_owned()]);
        }
    }
    assert!(report.is_empty(), "files that import each other in a circle:\n{report}");
    Ok(())
}

#[test]
fn circles_are_found_through_braces_and_re_exports_but_not_in_comments_and_strings() -> Result<()> {
    let folder = tempfile::tempdir()?;
    fs::create_dir(folder.path().join("a"))?;
    for (file, text) in [
        ("lib.rs", "mod a;\nmod b;\nmod c;\n"),
        ("a.rs", "mod inner;\npub(crate) use inner::Thing;\n"),
        ("a/inner.rs", "use crate::{b::{self, Other}, c::Leaf};\npub(crate) struct Thing;\n"),
        ("b.rs", "use crate::a::Thing;\npub(crate) struct Other(Thing);\n"),
        (
            "c.rs",
            "// use crate::a::Thing;\npub(crate) const TEXT: &str = \"use crate::b::Other;\";\npub(crate) struct Leaf;\n",
        ),
    ] {
        fs::write(folder.path().join(file), text)?;
    }
    assert_eq!(circles(folder.path())?, ["  a::inner -> b\n  b -> a::inner"]);
    Ok(())
}
