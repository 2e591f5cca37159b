//! Manifests: reads API objects from files. The content of the files is untrusted.

mod secret;

use std::{
    collections::HashMap,
    fmt,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use crds::{Admission, GROUP, VERSION};
use serde_json::Value as Json;

use crate::plan::{Kind, ObjectId, Objects};

/// The maximum size of a file, in bytes.
const MAX_FILE: usize = 16 << 20;

/// The location of an object in the manifests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Location {
    /// The file; `-` for standard input.
    pub(crate) file: PathBuf,
    /// The number of the YAML document in the file, from 1. Empty documents do not count.
    pub(crate) document: usize,
    /// The number of the item in a List, from 1.
    pub(crate) item: Option<usize>,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, document, item } = self;
        write!(f, "{}, document {document}", file.display())?;
        item.map_or(Ok(()), |item| write!(f, ", item {item}"))
    }
}

/// A problem in the manifests.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Problem {
    /// A file or folder cannot be read.
    #[error("{}: {message}", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        message: String,
    },
    /// A document is not valid YAML.
    #[error("{location}: {message}")]
    Syntax {
        /// The location.
        location: Location,
        /// The cause, with line and column.
        message: String,
    },
    /// An object is refused.
    #[error("{location}, {object}: {}{message}", if path.is_empty() { String::new() } else { format!("{path}: ") })]
    Object {
        /// The location.
        location: Location,
        /// The kind and name, as far as known.
        object: String,
        /// The path of the field; empty for the object itself.
        path: String,
        /// The cause.
        message: String,
    },
}

impl Problem {
    /// Returns a key that sorts problems by file, document and item.
    #[must_use]
    pub(crate) fn sort_key(&self) -> (&Path, usize, Option<usize>) {
        match self {
            Self::Unreadable { path, .. } => (path, 0, None),
            Self::Syntax { location, .. } | Self::Object { location, .. } => {
                (&location.file, location.document, location.item)
            }
        }
    }
}

/// The content of the manifests.
#[derive(Debug, Default)]
pub(crate) struct Manifests {
    /// The objects, in the order of the files.
    pub(crate) objects: Objects,
    /// The location of each object.
    pub(crate) locations: HashMap<ObjectId, Location>,
    /// The number of skipped documents, which belong to other API groups.
    pub(crate) skipped: usize,
    /// All problems.
    pub(crate) problems: Vec<Problem>,
}

/// Reads all manifests in `paths`: files, folders at any depth, and `-` for standard input. Objects without a namespace
/// are put into `namespace`.
#[must_use]
pub(crate) fn read(paths: &[PathBuf], namespace: &str) -> Manifests {
    let mut reader = Reader { admission: Admission::new(), namespace, found: Manifests::default() };
    for path in paths {
        if path.as_os_str() == "-" {
            reader.documents(path, &mut io::stdin().lock());
        } else {
            reader.path(path);
        }
    }
    reader.found
}

struct Reader<'a> {
    admission: Admission,
    namespace: &'a str,
    found: Manifests,
}

impl Reader<'_> {
    fn path(&mut self, path: &Path) {
        match files(path) {
            Ok(files) if files.is_empty() => self.unreadable(path, "contains no *.yaml, *.yml or *.json file"),
            Ok(files) => files.iter().for_each(|file| match File::open(file) {
                Ok(mut reader) => self.documents(file, &mut reader),
                Err(error) => self.unreadable(file, &error),
            }),
            Err((path, error)) => self.unreadable(&path, &error),
        }
    }

    fn unreadable(&mut self, path: &Path, message: &(impl ToString + ?Sized)) {
        self.found.problems.push(Problem::Unreadable { path: path.to_owned(), message: message.to_string() });
    }

    fn documents(&mut self, file: &Path, reader: &mut impl Read) {
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! {
                max_reader_input_bytes: Some(MAX_FILE),
                max_aliases: 1000,
                max_anchors: 1000,
                max_recorded_anchor_events: 100_000,
            },
            alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 100_000 },
            duplicate_keys: serde_saphyr::DuplicateKeyPolicy::Error,
        };
        for (i, document) in serde_saphyr::read_with_options::<_, Json>(reader, options).enumerate() {
            let location = Location { file: file.to_owned(), document: i + 1, item: None };
            match document {
                Ok(document) => self.document(location, document),
                Err(error) => {
                    let message = error.without_snippet().render_with_formatter(&serde_saphyr::UserMessageFormatter);
                    self.found.problems.push(Problem::Syntax { location, message });
                }
            }
        }
    }

    fn document(&mut self, location: Location, mut document: Json) {
        let text = |field: &str| document.get(field).and_then(Json::as_str).unwrap_or_default().to_owned();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
        let ours = group == GROUP;
        if ours && version != VERSION {
            let message = format!("{api_version} is not supported; use {GROUP}/{VERSION}");
            self.refuse(location, &document, "apiVersion", message);
        } else if ours && self.admission.knows(&kind) {
            self.object(location, &kind, document);
        } else if ours {
            self.refuse(location, &document, "kind", format!("{GROUP} has no kind {kind:?}"));
        } else if self.admission.knows(&kind) {
            self.refuse(
                location,
                &document,
                "apiVersion",
                format!("{api_version:?} has no kind {kind}; use {GROUP}/{VERSION}"),
            );
        } else if group.is_empty() && kind == "Namespace" {
            self.namespace(&document);
        } else if api_version == "v1" && kind == "Secret" {
            self.secret(location, &document);
        } else if group.is_empty() && kind.ends_with("List") && document.get("items").is_some_and(Json::is_array) {
            let items = document.get_mut("items").map(Json::take);
            for (i, item) in items.as_ref().and_then(Json::as_array).into_iter().flatten().enumerate() {
                self.document(Location { item: Some(i + 1), ..location.clone() }, item.clone());
            }
        } else {
            self.found.skipped += 1;
        }
    }

    fn refuse(&mut self, location: Location, object: &Json, path: &str, message: String) {
        let object = describe(object);
        self.found.problems.push(Problem::Object { location, object, path: path.to_owned(), message });
    }

    fn namespace(&mut self, namespace: &Json) {
        let name = namespace.pointer("/metadata/name").and_then(Json::as_str);
        let labels = namespace.pointer("/metadata/labels").and_then(Json::as_object);
        let labels =
            labels.into_iter().flatten().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
        if let Some(name) = name {
            self.found.objects.namespaces.entry(name.to_owned()).or_default().extend(labels);
        }
    }

    /// Reads a Secret, which SnmpContexts can refer to.
    fn secret(&mut self, location: Location, secret: &Json) {
        let text = |pointer: &str| secret.pointer(pointer).and_then(Json::as_str);
        let namespace = text("/metadata/namespace").unwrap_or(self.namespace);
        let Some(name) = text("/metadata/name") else {
            return self.refuse(location, secret, "metadata.name", "is missing".to_owned());
        };
        let id = ObjectId { kind: Kind::Secret, namespace: namespace.to_owned(), name: name.to_owned() };
        if let Some(other) = self.found.locations.get(&id) {
            let message = format!("is already defined in {other}");
            return self.refuse(location, secret, "", message);
        }
        match secret::read(secret) {
            Ok(data) => self.found.objects.secrets.insert(namespace, name, data),
            Err(errors) => {
                for (path, message) in errors {
                    self.refuse(location.clone(), secret, &path, message.to_owned());
                }
            }
        }
        self.found.locations.insert(id, location);
    }

    /// Reads an object of the group snmp-operator.dev. Applies the same validation and defaults as an API server.
    fn object(&mut self, location: Location, kind: &str, mut object: Json) {
        let cluster_scoped = kind == "SnmpContext";
        if let Some(metadata) = object.get_mut("metadata").and_then(Json::as_object_mut)
            && !cluster_scoped
        {
            metadata.entry("namespace").or_insert_with(|| self.namespace.into());
        }
        if cluster_scoped && object.pointer("/metadata/namespace").is_some() {
            let message = "SnmpContext is cluster-scoped: remove the namespace".to_owned();
            self.refuse(location.clone(), &object, "metadata.namespace", message);
        }
        match self.admission.admit(kind, &object, None) {
            Ok(admitted) => match kind {
                "SnmpSubtree" => self.keep(location, &object, admitted, |objects| &mut objects.subtrees),
                "SnmpContext" => self.keep(location, &object, admitted, |objects| &mut objects.contexts),
                _ => self.keep(location, &object, admitted, |objects| &mut objects.trap_targets),
            },
            Err(violations) => {
                for violation in violations {
                    self.refuse(location.clone(), &object, &violation.path, violation.message);
                }
            }
        }
    }

    fn keep<T>(&mut self, location: Location, object: &Json, admitted: Json, list: fn(&mut Objects) -> &mut Vec<Arc<T>>)
    where
        T: serde::de::DeserializeOwned,
        for<'t> ObjectId: From<&'t T>,
    {
        match serde_path_to_error::deserialize::<_, T>(admitted) {
            Ok(read) => {
                let id = ObjectId::from(&read);
                if let Some(other) = self.found.locations.get(&id) {
                    let message = format!("is already defined in {other}");
                    self.refuse(location, object, "", message);
                } else {
                    self.found.locations.insert(id, location);
                    list(&mut self.found.objects).push(Arc::new(read));
                }
            }
            Err(error) => self.refuse(location, object, &error.path().to_string(), error.inner().to_string()),
        }
    }
}

/// Returns the kind and name of an object, as far as it has them.
fn describe(object: &Json) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Json::as_str);
    let kind = text("/kind").unwrap_or("an object");
    match (text("/metadata/namespace"), text("/metadata/name")) {
        (Some(namespace), Some(name)) => format!("{kind} {namespace}/{name}"),
        (_, name) => format!("{kind} {}", name.unwrap_or("without a name")),
    }
}

/// Returns the file itself, or all manifests in the folder, at any depth and sorted. Names that start with a dot are
/// skipped, and symbolic links to folders are not followed.
fn files(path: &Path) -> Result<Vec<PathBuf>, (PathBuf, io::Error)> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |error| (path, error)
    };
    if !fs::metadata(path).map_err(at(path))?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut entries = fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(at(path))?;
    entries.retain(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."));
    entries.sort_by_key(fs::DirEntry::file_name);
    let mut all = Vec::new();
    for entry in entries {
        let path = entry.path();
        let is_manifest =
            path.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|e| extension == *e));
        if entry.file_type().map_err(at(&path))?.is_dir() {
            all.extend(files(&path)?);
        } else if is_manifest {
            all.push(path);
        }
    }
    Ok(all)
}
