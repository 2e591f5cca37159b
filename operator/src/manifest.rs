//! Manifests: from files to the API's objects. Every byte of them may be anything.

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

/// The largest file that is read, in bytes.
const MAX_FILE: usize = 16 << 20;

/// Where an object stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file; `-` for standard input.
    pub file: PathBuf,
    /// Which document of it, from 1; empty ones do not count.
    pub document: usize,
    /// Which item of a List, from 1.
    pub item: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, document, item } = self;
        write!(f, "{}, document {document}", file.display())?;
        item.map_or(Ok(()), |item| write!(f, ", item {item}"))
    }
}

/// One thing that is wrong with manifests.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A file or folder that cannot be read.
    #[error("{}: {message}", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// A document that is not YAML.
    #[error("{place}: {message}")]
    Syntax {
        /// Where it stands.
        place: Place,
        /// What is wrong, with line and column.
        message: String,
    },
    /// An object that is refused.
    #[error("{place}, {object}: {}{message}", if path.is_empty() { String::new() } else { format!("{path}: ") })]
    Object {
        /// Where it stands.
        place: Place,
        /// Its kind and name as far as known.
        object: String,
        /// The field; empty for the object itself.
        path: String,
        /// What is wrong with it.
        message: String,
    },
}

impl Problem {
    /// The file and, where it got that far, the document: what problems are sorted by.
    #[must_use]
    pub fn place(&self) -> (&Path, usize, Option<usize>) {
        match self {
            Self::Unreadable { path, .. } => (path, 0, None),
            Self::Syntax { place, .. } | Self::Object { place, .. } => (&place.file, place.document, place.item),
        }
    }
}

/// What files hold.
#[derive(Debug, Default)]
pub struct Manifests {
    /// The objects, in the order of the files.
    pub objects: Objects,
    /// Where each stands.
    pub places: HashMap<ObjectId, Place>,
    /// How many documents of other groups were passed by.
    pub passed_by: usize,
    /// All that is wrong with them.
    pub problems: Vec<Problem>,
}

/// Reads all manifests of `paths`: files, folders and all below them, `-` for standard input. Objects that name no
/// namespace are in `namespace`.
#[must_use]
pub fn read(paths: &[PathBuf], namespace: &str) -> Manifests {
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
            Ok(files) if files.is_empty() => self.unreadable(path, "holds no *.yaml, *.yml or *.json"),
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
            let place = Place { file: file.to_owned(), document: i + 1, item: None };
            match document {
                Ok(document) => self.document(place, document),
                Err(error) => {
                    let message = error.without_snippet().render_with_formatter(&serde_saphyr::UserMessageFormatter);
                    self.found.problems.push(Problem::Syntax { place, message });
                }
            }
        }
    }

    fn document(&mut self, place: Place, mut document: Json) {
        let text = |field: &str| document.get(field).and_then(Json::as_str).unwrap_or_default().to_owned();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
        let ours = group == GROUP;
        if ours && version != VERSION {
            let message = format!("{api_version} is not known; {GROUP}/{VERSION} is");
            self.refuse(place, &document, "apiVersion", message);
        } else if ours && self.admission.knows(&kind) {
            self.object(place, &kind, document);
        } else if ours {
            self.refuse(place, &document, "kind", format!("{GROUP} has no kind {kind:?}"));
        } else if self.admission.knows(&kind) {
            self.refuse(
                place,
                &document,
                "apiVersion",
                format!("{api_version:?} has no {kind}; {GROUP}/{VERSION} has"),
            );
        } else if group.is_empty() && kind == "Namespace" {
            self.namespace(&document);
        } else if api_version == "v1" && kind == "Secret" {
            self.secret(place, &document);
        } else if group.is_empty() && kind.ends_with("List") && document.get("items").is_some_and(Json::is_array) {
            let items = document.get_mut("items").map(Json::take);
            for (i, item) in items.as_ref().and_then(Json::as_array).into_iter().flatten().enumerate() {
                self.document(Place { item: Some(i + 1), ..place.clone() }, item.clone());
            }
        } else {
            self.found.passed_by += 1;
        }
    }

    fn refuse(&mut self, place: Place, object: &Json, path: &str, message: String) {
        let object = describe(object);
        self.found.problems.push(Problem::Object { place, object, path: path.to_owned(), message });
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

    /// A Secret, which may hold what objects of ours refer to.
    fn secret(&mut self, place: Place, secret: &Json) {
        let text = |pointer: &str| secret.pointer(pointer).and_then(Json::as_str);
        let namespace = text("/metadata/namespace").unwrap_or(self.namespace);
        let Some(name) = text("/metadata/name") else {
            return self.refuse(place, secret, "metadata.name", "is missing".to_owned());
        };
        let id = ObjectId { kind: Kind::Secret, namespace: namespace.to_owned(), name: name.to_owned() };
        if let Some(other) = self.found.places.get(&id) {
            let message = format!("is in {other} already");
            return self.refuse(place, secret, "", message);
        }
        match secret::read(secret) {
            Ok(data) => self.found.objects.secrets.insert(namespace, name, data),
            Err(faults) => {
                for (path, message) in faults {
                    self.refuse(place.clone(), secret, &path, message.to_owned());
                }
            }
        }
        self.found.places.insert(id, place);
    }

    /// An object of ours: what an API server would refuse is refused, defaults are filled in.
    fn object(&mut self, place: Place, kind: &str, mut object: Json) {
        let cluster_scoped = kind == "SnmpContext";
        if let Some(metadata) = object.get_mut("metadata").and_then(Json::as_object_mut)
            && !cluster_scoped
        {
            metadata.entry("namespace").or_insert_with(|| self.namespace.into());
        }
        if cluster_scoped && object.pointer("/metadata/namespace").is_some() {
            let message = "SnmpContexts belong to no namespace".to_owned();
            self.refuse(place.clone(), &object, "metadata.namespace", message);
        }
        match self.admission.admit(kind, &object, None) {
            Ok(admitted) => match kind {
                "SnmpSubtree" => self.keep(place, &object, admitted, |objects| &mut objects.subtrees),
                "SnmpContext" => self.keep(place, &object, admitted, |objects| &mut objects.contexts),
                _ => self.keep(place, &object, admitted, |objects| &mut objects.trap_targets),
            },
            Err(faults) => {
                for fault in faults {
                    self.refuse(place.clone(), &object, &fault.path, fault.message);
                }
            }
        }
    }

    fn keep<T>(&mut self, place: Place, object: &Json, admitted: Json, list: fn(&mut Objects) -> &mut Vec<Arc<T>>)
    where
        T: serde::de::DeserializeOwned,
        for<'t> ObjectId: From<&'t T>,
    {
        match serde_path_to_error::deserialize::<_, T>(admitted) {
            Ok(read) => {
                let id = ObjectId::from(&read);
                if let Some(other) = self.found.places.get(&id) {
                    let message = format!("is in {other} already");
                    self.refuse(place, object, "", message);
                } else {
                    self.found.places.insert(id, place);
                    list(&mut self.found.objects).push(Arc::new(read));
                }
            }
            Err(error) => self.refuse(place, object, &error.path().to_string(), error.inner().to_string()),
        }
    }
}

/// An object's kind and name, as far as it has them.
fn describe(object: &Json) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Json::as_str);
    let kind = text("/kind").unwrap_or("an object");
    match (text("/metadata/namespace"), text("/metadata/name")) {
        (Some(namespace), Some(name)) => format!("{kind} {namespace}/{name}"),
        (_, name) => format!("{kind} {}", name.unwrap_or("without a name")),
    }
}

/// The file itself, or all manifests in a folder and below, sorted. What begins with a dot is passed by, and no link
/// to a folder is followed.
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
