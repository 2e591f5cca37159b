//! `check`: validates the documents of a directory.

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
    time::SystemTime,
};

use anyhow::Context as _;
use sidecar_config::{ParseError, Valid, file_name};

use super::pipe::ignore_closed_pipe;
use crate::{
    cli::CheckArgs,
    config::{
        DocumentSet,
        directory::{Change, ConfigDirectory, Files},
    },
    mapping::{Assignments, Mapper},
};

/// Checks all documents of a directory strictly, and prints every error to standard error.
///
/// # Errors
/// Returns an error if the directory cannot be read or standard output cannot be written.
pub(crate) fn check(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let files = read(&args.config)?;
    let errors = errors(&files);
    for error in &errors {
        eprintln!("{error}");
    }
    if !errors.is_empty() {
        return Ok(ExitCode::FAILURE);
    }
    let documents = if files.len() == 1 { "document is" } else { "documents are" };
    writeln!(io::stdout(), "{} {documents} valid", files.len()).or_else(ignore_closed_pipe)?;
    Ok(ExitCode::SUCCESS)
}

fn read(directory: &Path) -> anyhow::Result<Files> {
    let change = ConfigDirectory::new(directory.to_owned()).poll(SystemTime::now());
    let change = change.with_context(|| format!("cannot read the directory {}", directory.display()))?;
    Ok(change.with_context(|| format!("{} changed while it was read", directory.display()))?.files)
}

/// Returns all errors of the files, each as one line with the file, the field if there is one, and the reason.
fn errors(files: &Files) -> Vec<String> {
    let mut errors = Vec::new();
    for (file, contents) in files {
        let contents = match contents {
            Ok(contents) => contents,
            Err(error) => {
                errors.push(format!("{file}: {error}"));
                continue;
            }
        };
        match sidecar_config::parse_strict(contents) {
            Ok(subtree) => errors.extend(document_errors(file, &subtree)),
            Err(ParseError::Invalid(violations)) => errors.extend(violations.iter().map(|v| format!("{file}: {v}"))),
            Err(error) => errors.push(format!("{file}: {error}")),
        }
    }
    if errors.is_empty() {
        let mut documents = DocumentSet::default();
        documents.update(Change { files: files.clone(), settled: true });
        errors.extend(documents.select(None).errors.iter().map(|(file, error)| format!("{file}: {error}")));
    }
    errors
}

/// Returns the errors of a document that the contract does not cover: its file name, and what its mapping needs.
fn document_errors(file: &str, subtree: &Valid) -> Vec<String> {
    let mut errors = Vec::new();
    let expected = file_name(&subtree.name);
    if file != expected {
        errors.push(format!("{file}: name: the file of {:?} should be {expected}", subtree.name));
    }
    if let Err(violation) = Mapper::new(subtree.clone(), 1, Assignments::default()) {
        errors.push(format!("{file}: {violation}"));
    }
    errors
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const GOOD: &str = r#"{"version": 1, "namespace": "acme", "name": "a", "oid": "1.3.6.1.4.1.5.1.1", "contexts": [""],
        "sources": [], "scalars": [{"name": "x", "oid": "1", "syntax": "Gauge32", "value": {"constant": "5"}}]}"#;

    fn errors_of(documents: &[(&str, &str)]) -> Vec<String> {
        let files = documents.iter().map(|(file, text)| ((*file).to_owned(), Ok(text.as_bytes().to_vec())));
        errors(&files.collect())
    }

    #[test]
    fn valid_document_has_no_errors() {
        assert_eq!(errors_of(&[("subtree.a.json", GOOD)]), [""; 0]);
    }

    #[rstest]
    #[case::not_json("{", "subtree.a.json: line 1, column 1: ")]
    #[case::unknown_field(&GOOD.replace("\"sources\"", "\"souces\": 1, \"sources\""), "subtree.a.json: souces: ")]
    #[case::outside_the_rules(&GOOD.replace("\"5\"", "\"five\""), "subtree.a.json: scalars[0].value")]
    #[case::another_name(&GOOD.replace("\"a\"", "\"b\""), "subtree.a.json: name: the file of \"b\" should be subtree.b.json")]
    fn error_names_the_file_and_the_field(#[case] text: &str, #[case] begin: &str) {
        let faults = errors_of(&[("subtree.a.json", text)]);
        assert!(faults.len() == 1 && faults[0].starts_with(begin), "{faults:#?}");
    }

    #[test]
    fn second_of_two_overlapping_documents_has_an_error() {
        let inner = GOOD.replace("\"a\"", "\"b\"").replace("1.5.1.1", "1.5.1.1.7");
        let faults = errors_of(&[("subtree.a.json", GOOD), ("subtree.b.json", &inner)]);
        assert!(
            faults.len() == 1 && faults[0].starts_with("subtree.b.json: 1.3.6.1.4.1.5.1.1.7 overlaps"),
            "{faults:#?}"
        );
    }
}
