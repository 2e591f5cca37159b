//! The subcommands.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use master_config::Listeners;

use crate::{
    cli::{Cli, Command, Format, Input},
    config_map::{self, Documents},
    manifest::{self, Manifests, Problem},
    master_secret,
    output::{self, Content, Files, Replaced},
    plan::{self, Credentials, Origin, Plan, Refusal, Settings},
    run,
};

/// Carries out a command.
///
/// # Errors
/// What was refused or could not be done, a line for each reason.
pub fn run(Cli { command }: Cli) -> anyhow::Result<()> {
    match command {
        Command::Run(args) => run::start(*args),
        Command::Render { input, output, format, listeners } => render(&input, &output, format, listeners.into()),
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
    // Quotas are the cluster's to set.
    let settings = Settings {
        system_namespace: input.system_namespace.clone(),
        subtrees_per_namespace: usize::MAX,
        targets_per_namespace: usize::MAX,
        ..Settings::default()
    };
    let mut plan = plan::plan(&objects, &settings);
    let documents = config_map::documents(&mut plan)?;
    plan.refuse_targets();
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

fn render(input: &Input, folder: &Path, format: Format, listeners: Listeners) -> anyhow::Result<()> {
    let Rendered { plan, documents } = prepare(input)?;
    let mut files = Files::new();
    for (namespace, documents) in &documents {
        let folder = PathBuf::from(namespace);
        match format {
            Format::Manifests => {
                let yaml = serde_saphyr::to_string(&config_map::build(namespace, documents))
                    .with_context(|| format!("the ConfigMap of {namespace} cannot be written as YAML"))?;
                files.insert(folder.join(format!("configmap-{}.yaml", config_map::NAME)), Content::Open(yaml));
            }
            Format::Mounted => {
                let folder = folder.join(config_map::NAME);
                let content = |text: &String| Content::Open(text.clone());
                files.extend(documents.iter().map(|(name, text)| (folder.join(name), content(text))));
            }
        }
    }
    let master = master(&plan, listeners)?;
    let (path, text) = match format {
        Format::Manifests => {
            let secret = master_secret::build(&input.system_namespace, &master)?;
            (master_secret::file(), serde_saphyr::to_string(&secret).context("the Secret cannot be written as YAML")?)
        }
        Format::Mounted => (Path::new(master_secret::NAME).join(master_secret::KEY), master),
    };
    files.insert(path, Content::Secret(text));
    let done = match output::replace(folder, &files)? {
        Replaced::Written => "wrote",
        Replaced::Unchanged => "unchanged:",
    };
    let mut told = String::new();
    for path in files.keys() {
        writeln!(told, "{done} {}", folder.join(path).display())?;
    }
    told += &needed(&plan, folder, format)?;
    print(&told)
}

/// The master's document as it is written.
fn master(plan: &Plan, listeners: Listeners) -> anyhow::Result<String> {
    let document = plan.master(listeners).map_err(|violations| {
        let violations: Vec<_> = violations.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("the master would refuse its configuration: {}", violations.join("; "))
    })?;
    let text = serde_json::to_string_pretty(&document)? + "\n";
    if text.len() > master_config::MAX_OCTETS {
        bail!(
            "the master would refuse its configuration: {}",
            master_config::ParseError::TooLong { octets: text.len() }
        );
    }
    Ok(text)
}

/// What someone has still to do, a line for each thing.
fn needed(plan: &Plan, folder: &Path, format: Format) -> Result<String, std::fmt::Error> {
    let mut told = String::new();
    for (namespace, credentials) in credentials(plan) {
        for (file, origin) in credentials {
            match format {
                Format::Manifests => {
                    let kind = match origin {
                        Origin::Secret(_) => "Secret",
                        Origin::ConfigMap(_) => "ConfigMap",
                    };
                    writeln!(told, "{kind} {namespace}/{} needs the key {file}: {origin}", config_map::NAME)?;
                }
                Format::Mounted => {
                    let path = folder.join(&namespace).join(config_map::NAME).join(file);
                    writeln!(told, "needed: {}: {origin}", path.display())?;
                }
            }
        }
    }
    let served: BTreeSet<_> = plan.subtrees.iter().flat_map(|planned| &planned.document.contexts).collect();
    for context in plan.contexts.iter().filter(|context| served.contains(&context.name)) {
        if context.communities.is_empty() && context.users.is_empty() {
            let name = &context.name;
            writeln!(
                told,
                "no one may read the context {name:?} from the master: it has neither communities nor users"
            )?;
        }
    }
    Ok(told)
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
