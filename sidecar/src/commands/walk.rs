//! `walk`: collects from every source once and prints the instances.

use std::{
    io::{self, Write},
    process::ExitCode,
    time::{Duration, SystemTime},
};

use super::{
    pipe::ignore_closed_pipe,
    snapshot::{self, Snapshot},
};
use crate::{
    cli::WalkArgs,
    config::{Selection, Watch, pod},
    mapping,
    source::SourceSettings,
    view::text,
};

/// Collects from every source once, and prints each instance to standard output and each error to standard error.
///
/// # Errors
/// Returns an error if the configuration cannot be used or standard output cannot be written.
pub(crate) async fn walk(args: &WalkArgs) -> anyhow::Result<ExitCode> {
    let mut watch = Watch::new(args.config.clone(), args.labels.clone());
    // With a later time, files that were just written are treated as complete, so that their errors are reported.
    let selection = watch.poll(SystemTime::now() + Duration::from_mins(1)).cloned();
    let Some(selection) = selection else {
        anyhow::bail!("{}", watch.errors().collect::<Vec<_>>().join("\n"));
    };
    let pod_name = pod::name(args.pod_name.as_deref());
    let pod_index = mapping::pod_index(watch.labels(), &pod_name);
    let documents = selection.documents.values();
    let settings =
        SourceSettings { directory: args.config.clone(), ports: args.ports.clone(), roots: args.roots.roots() };
    let snapshot = snapshot::collect(documents, &settings, pod_index, args.timeout).await;
    let snapshot = snapshot.map_err(|(file, violation)| anyhow::anyhow!("{file}: {violation}"))?;
    print(&snapshot, args.context.as_deref()).or_else(ignore_closed_pipe)?;
    Ok(report(&selection, &snapshot, args.context.as_deref()))
}

fn print(snapshot: &Snapshot, context: Option<&str>) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for (name, views) in snapshot.contexts.iter().filter(|(name, _)| context.is_none_or(|c| c == *name)) {
        if context.is_none() && !name.is_empty() {
            writeln!(out, "# context {name:?}")?;
        }
        for chunk in text::chunks(views.clone()) {
            out.write_all(&chunk)?;
        }
    }
    out.flush()
}

fn report(selection: &Selection, snapshot: &Snapshot, context: Option<&str>) -> ExitCode {
    let mut succeeded = true;
    let mut print_error = |error: String| {
        eprintln!("{error}");
        succeeded = false;
    };
    for (file, error) in &selection.errors {
        print_error(format!("{file}: {error}"));
    }
    for (subtree, error) in &snapshot.errors {
        print_error(format!("{subtree}: {error}"));
    }
    if let Some(context) = context.filter(|context| !snapshot.contexts.contains_key(*context)) {
        let contexts: Vec<_> = snapshot.contexts.keys().map(|name| format!("{name:?}")).collect();
        print_error(format!("no document is served in the context {context:?}, only in: {}", contexts.join(", ")));
    }
    if succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
