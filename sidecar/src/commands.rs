//! `check` and `walk`: what the program does at a person's bidding, once.

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use sidecar_config::{ParseError, Valid, file_name};

use crate::{
    cli::{CheckArgs, WalkArgs},
    config::{
        Config, Selection, Watch,
        folder::{Change, Files, Folder},
    },
    mapping::{self, Assignments, Mapper},
    pod,
    snapshot::{self, Snapshot},
    source::Place,
    walk,
};

/// Checks all documents of a folder, strictly. Everything that is wrong goes to standard error.
///
/// # Errors
/// The folder cannot be read, or standard output not written.
pub fn check(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let files = read(&args.config)?;
    let faults = faults(&files);
    for fault in &faults {
        eprintln!("{fault}");
    }
    if !faults.is_empty() {
        return Ok(ExitCode::FAILURE);
    }
    let documents = if files.len() == 1 { "document is" } else { "documents are" };
    writeln!(io::stdout(), "{} {documents} valid", files.len()).or_else(closed_pipe)?;
    Ok(ExitCode::SUCCESS)
}

fn read(folder: &Path) -> anyhow::Result<Files> {
    let change = Folder::new(folder.to_owned()).poll(SystemTime::now());
    let change = change.with_context(|| format!("cannot read the folder {}", folder.display()))?;
    Ok(change.with_context(|| format!("{} changed while it was read", folder.display()))?.files)
}

/// All that is wrong with the files: each line with a file, a place in it where there is one, and the fault.
fn faults(files: &Files) -> Vec<String> {
    let mut faults = Vec::new();
    for (file, contents) in files {
        let contents = match contents {
            Ok(contents) => contents,
            Err(error) => {
                faults.push(format!("{file}: {error}"));
                continue;
            }
        };
        match sidecar_config::parse_strict(contents) {
            Ok(subtree) => faults.extend(misfits(file, &subtree)),
            Err(ParseError::Invalid(violations)) => faults.extend(violations.iter().map(|v| format!("{file}: {v}"))),
            Err(error) => faults.push(format!("{file}: {error}")),
        }
    }
    if faults.is_empty() {
        let mut config = Config::default();
        config.update(Change { files: files.clone(), settled: true });
        faults.extend(config.select(None).faults.iter().map(|(file, fault)| format!("{file}: {fault}")));
    }
    faults
}

/// What is wrong with a document that is valid by itself.
fn misfits(file: &str, subtree: &Valid) -> Vec<String> {
    let mut misfits = Vec::new();
    let expected = file_name(&subtree.name);
    if file != expected {
        misfits.push(format!("{file}: name: the file of {:?} should be {expected}", subtree.name));
    }
    if let Err(violation) = Mapper::new(subtree.clone(), 1, Assignments::default()) {
        misfits.push(format!("{file}: {violation}"));
    }
    misfits
}

/// Scrapes once, and prints each instance to standard output; faults go to standard error.
///
/// # Errors
/// The configuration cannot be used, or standard output not written.
pub async fn walk(args: &WalkArgs) -> anyhow::Result<ExitCode> {
    let mut watch = Watch::new(args.config.clone(), args.labels.clone());
    // As if later: files that were just written are taken as they are, and their faults told.
    let selection = watch.poll(SystemTime::now() + Duration::from_mins(1)).cloned();
    let Some(selection) = selection else {
        anyhow::bail!("{}", watch.errors().collect::<Vec<_>>().join("\n"));
    };
    let pod_name = pod::name(args.pod_name.as_deref());
    let pod_index = mapping::pod_index(watch.labels(), &pod_name);
    let documents = selection.documents.values();
    let place = Place { folder: args.config.clone(), ports: args.ports.clone(), roots: args.roots.roots() };
    let snapshot = snapshot::take(documents, &place, pod_index, args.timeout).await;
    let snapshot = snapshot.map_err(|(file, violation)| anyhow::anyhow!("{file}: {violation}"))?;
    print(&snapshot, args.context.as_deref()).or_else(closed_pipe)?;
    Ok(report(&selection, &snapshot, args.context.as_deref()))
}

fn print(snapshot: &Snapshot, context: Option<&str>) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for (name, views) in snapshot.contexts.iter().filter(|(name, _)| context.is_none_or(|c| c == *name)) {
        if context.is_none() && !name.is_empty() {
            writeln!(out, "# context {name:?}")?;
        }
        for piece in walk::pieces(views.clone()) {
            out.write_all(&piece)?;
        }
    }
    out.flush()
}

fn report(selection: &Selection, snapshot: &Snapshot, context: Option<&str>) -> ExitCode {
    let mut sound = true;
    let mut complain = |complaint: String| {
        eprintln!("{complaint}");
        sound = false;
    };
    for (file, fault) in &selection.faults {
        complain(format!("{file}: {fault}"));
    }
    for (subtree, error) in &snapshot.errors {
        complain(format!("{subtree}: {error}"));
    }
    if let Some(context) = context.filter(|context| !snapshot.contexts.contains_key(*context)) {
        let known: Vec<_> = snapshot.contexts.keys().map(|name| format!("{name:?}")).collect();
        complain(format!("no document is served in the context {context:?}, only in: {}", known.join(", ")));
    }
    if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A reader that has seen enough is no error.
fn closed_pipe(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const GOOD: &str = r#"{"version": 1, "namespace": "acme", "name": "a", "oid": "1.3.6.1.4.1.5.1.1", "contexts": [""],
        "sources": [], "scalars": [{"name": "x", "oid": "1", "syntax": "Gauge32", "value": {"constant": "5"}}]}"#;

    fn faults_of(documents: &[(&str, &str)]) -> Vec<String> {
        let files = documents.iter().map(|(file, text)| ((*file).to_owned(), Ok(text.as_bytes().to_vec())));
        faults(&files.collect())
    }

    #[test]
    fn a_good_document_has_no_faults() {
        assert_eq!(faults_of(&[("subtree.a.json", GOOD)]), [""; 0]);
    }

    #[rstest]
    #[case::not_json("{", "subtree.a.json: line 1, column 1: ")]
    #[case::unknown_field(&GOOD.replace("\"sources\"", "\"souces\": 1, \"sources\""), "subtree.a.json: souces: ")]
    #[case::outside_the_rules(&GOOD.replace("\"5\"", "\"five\""), "subtree.a.json: scalars[0].value")]
    #[case::another_name(&GOOD.replace("\"a\"", "\"b\""), "subtree.a.json: name: the file of \"b\" should be subtree.b.json")]
    fn a_fault_is_told_with_file_and_field(#[case] text: &str, #[case] begin: &str) {
        let faults = faults_of(&[("subtree.a.json", text)]);
        assert!(faults.len() == 1 && faults[0].starts_with(begin), "{faults:#?}");
    }

    #[test]
    fn overlapping_documents_are_a_fault_of_the_second() {
        let inner = GOOD.replace("\"a\"", "\"b\"").replace("1.5.1.1", "1.5.1.1.7");
        let faults = faults_of(&[("subtree.a.json", GOOD), ("subtree.b.json", &inner)]);
        assert!(
            faults.len() == 1 && faults[0].starts_with("subtree.b.json: 1.3.6.1.4.1.5.1.1.7 overlaps"),
            "{faults:#?}"
        );
    }
}
