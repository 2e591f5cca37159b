//! The documentation: its links are valid, and every page can be found.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use harness::repository;

/// Folders with pages of the documentation.
const FOLDERS: [&str; 2] = ["docs", "docs/decisions"];

/// Returns the pages of the documentation, and those that lead to it.
fn pages() -> Result<Vec<PathBuf>> {
    let root = repository();
    let mut pages = ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "charts/snmp-operator/README.md"]
        .map(|page| root.join(page))
        .to_vec();
    for folder in FOLDERS {
        for entry in fs::read_dir(root.join(folder))? {
            pages.push(entry?.path());
        }
    }
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    Ok(pages)
}

/// Returns the anchor of a heading, as GitHub derives it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn links_are_valid() -> Result<()> {
    let mut invalid = Vec::new();
    for page in pages()? {
        let text = fs::read_to_string(&page)?;
        let folder = page.parent().context("a folder")?;
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://")) {
            let (file, wanted) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() { page.clone() } else { folder.join(file) };
            let is_valid = path.exists()
                && (wanted.is_empty() || headings(&path)?.iter().any(|heading| anchor(heading) == wanted));
            if !is_valid {
                invalid.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(invalid.is_empty(), "{}", invalid.join("\n"));
    Ok(())
}

fn headings(page: &Path) -> Result<Vec<String>> {
    Ok(fs::read_to_string(page)?.lines().filter(|line| line.starts_with('#')).map(str::to_owned).collect())
}

#[test]
fn the_index_of_each_folder_links_to_every_page() -> Result<()> {
    let first = fs::read_to_string(repository().join("README.md"))?;
    assert!(first.contains("(docs/README.md)"), "README.md does not link to docs/README.md");
    for folder in FOLDERS {
        let index = fs::read_to_string(repository().join(folder).join("README.md"))?;
        for entry in fs::read_dir(repository().join(folder))? {
            let name = entry?.file_name().into_string().ok().context("a file name that is not UTF-8")?;
            let is_page =
                Path::new(&name).extension().is_some_and(|extension| extension == "md") && name != "README.md";
            assert!(!is_page || index.contains(&format!("({name})")), "{folder}/README.md does not link to {name}");
        }
    }
    assert!(
        fs::read_to_string(repository().join("docs/README.md"))?.contains("(decisions/README.md)"),
        "docs/README.md does not link to decisions/README.md"
    );
    Ok(())
}
