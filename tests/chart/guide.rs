//! The guide: its links lead somewhere.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use harness::repository;

/// The pages: those of docs/, and those that lead to them.
fn pages() -> Result<Vec<PathBuf>> {
    let root = repository();
    let mut pages = ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "charts/snmp-operator/README.md"]
        .map(|page| root.join(page))
        .to_vec();
    for entry in fs::read_dir(root.join("docs"))? {
        pages.push(entry?.path());
    }
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    Ok(pages)
}

/// A heading's anchor, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn links_lead_somewhere() -> Result<()> {
    let mut dead = Vec::new();
    for page in pages()? {
        let text = fs::read_to_string(&page)?;
        let folder = page.parent().context("a folder")?;
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://")) {
            let (file, wanted) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() { page.clone() } else { folder.join(file) };
            let is_there = path.exists()
                && (wanted.is_empty() || headings(&path)?.iter().any(|heading| anchor(heading) == wanted));
            if !is_there {
                dead.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(dead.is_empty(), "{}", dead.join("\n"));
    Ok(())
}

fn headings(page: &Path) -> Result<Vec<String>> {
    Ok(fs::read_to_string(page)?.lines().filter(|line| line.starts_with('#')).map(str::to_owned).collect())
}

#[test]
fn the_guide_is_found_from_the_first_page() -> Result<()> {
    let first = fs::read_to_string(repository().join("README.md"))?;
    for entry in fs::read_dir(repository().join("docs"))? {
        let name = entry?.file_name().into_string().ok().context("a name that is no text")?;
        assert!(first.contains(&format!("(docs/{name})")), "README.md does not lead to docs/{name}");
    }
    Ok(())
}
