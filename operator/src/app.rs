//! The subcommands.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};

use crate::{
    cli::{Cli, Command, Format, Input},
    config_map::{self, Documents},
    manifest::{self, Manifests, Problem},
    output::{self, Files},
    plan::{self, Credentials, Plan, Refusal, Settings},
};

/// Carries out a command.
///
/// # Errors
/// What was refused or could not be done, a line for each reason.
pub fn run(Cli { command }: Cli) -> anyhow::Result<()> {
    match command {
        Command::Render { input, output, format } => render(&input, &output, format),
        Command::Check { input } => check(&input),
        Command::Crds { output } => crds(output.as_deref()),
    }
}

/// What manifests come to: the plan, and the documents of each namespace.
struct Rendered {
    plan: Plan,
    documents: BTreeMap<String, Documents>,
}

fn prepare(input: &Input) -> anyhow::Result<Rendered> {
    let Manifests { objects, places, passed_by, mut problems } = manifest::read(&input.paths, &input.namespace);
    if objects.subtrees.is_empty() && problems.is_empty() {
        bail!("there is no SnmpSubtree among the manifests ({passed_by} objects of other kinds were passed by)");
    }
    let mut plan = plan::plan(&objects, Settings::default());
    let documents = config_map::documents(&mut plan)?;
    for Refusal { object, path, message, .. } in &plan.refusals {
        if let Some(place) = places.get(object).cloned() {
            let (object, path, message) = (object.to_string(), path.clone(), message.clone());
            problems.push(Problem::Object { place, object, path, message });
        }
    }
    if !problems.is_empty() {
        problems.sort_by(|a, b| a.place().cmp(&b.place()));
        let mut text = String::new();
        for problem in &problems {
            writeln!(text, "{}", printable(&problem.to_string()))?;
        }
        let what = if problems.len() == 1 { "problem" } else { "problems" };
        bail!("{text}{} {what}", problems.len());
    }
    Ok(Rendered { plan, documents })
}

/// The text without anything that could steer a terminal: manifests may hold any character.
fn printable(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut printable, c| {
        if c.is_control() {
            printable.extend(c.escape_default());
        } else {
            printable.push(c);
        }
        printable
    })
}

fn render(input: &Input, folder: &Path, format: Format) -> anyhow::Result<()> {
    let Rendered { plan, documents } = prepare(input)?;
    let mut files = Files::new();
    for (namespace, documents) in &documents {
        let folder = PathBuf::from(namespace);
        match format {
            Format::Manifests => {
                let yaml = serde_saphyr::to_string(&config_map::build(namespace, documents))
                    .with_context(|| format!("the ConfigMap of {namespace} cannot be written as YAML"))?;
                files.insert(folder.join(format!("configmap-{}.yaml", config_map::NAME)), yaml);
            }
            Format::Mounted => {
                let folder = folder.join(config_map::NAME);
                files.extend(documents.iter().map(|(name, text)| (folder.join(name), text.clone())));
            }
        }
    }
    output::replace(folder, &files)?;
    let mut told = String::new();
    for path in files.keys() {
        writeln!(told, "wrote {}", folder.join(path).display())?;
    }
    for (namespace, credentials) in credentials(&plan) {
        for (file, origin) in credentials {
            let needed = match format {
                Format::Manifests => format!("Secret {namespace}/{} needs the key {file}: {origin}", config_map::NAME),
                Format::Mounted => {
                    let path = folder.join(&namespace).join(config_map::NAME).join(file);
                    format!("needed: {}: {origin}", path.display())
                }
            };
            writeln!(told, "{needed}")?;
        }
    }
    print(&told)
}

/// Files that must lie beside the documents, by namespace.
fn credentials(plan: &Plan) -> BTreeMap<String, Credentials> {
    let mut namespaces = BTreeMap::<_, Credentials>::new();
    for planned in &plan.subtrees {
        namespaces.entry(planned.document.namespace.clone()).or_default().extend(planned.credentials.clone());
    }
    namespaces
}

fn check(input: &Input) -> anyhow::Result<()> {
    let Rendered { plan, .. } = prepare(input)?;
    let subtrees = plan.subtrees.len();
    let namespaces: BTreeSet<_> = plan.subtrees.iter().map(|planned| &planned.document.namespace).collect();
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    print(&format!("{} in {}: all is well\n", count(subtrees, "subtree"), count(namespaces.len(), "namespace")))
}

fn crds(folder: Option<&Path>) -> anyhow::Result<()> {
    let mut told = String::new();
    for (file, yaml) in crds::manifests()? {
        match folder {
            Some(folder) => {
                let path = folder.join(file);
                output::replace_file(&path, &yaml)?;
                writeln!(told, "wrote {}", path.display())?;
            }
            None => write!(told, "---\n{yaml}")?,
        }
    }
    print(&told)
}

/// Prints to standard output. A reader that has gone away, as `head` does, is no error.
fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed.context("standard output"),
    }
}
