//! ConfigMaps, mirrored as files beside the documents: each key a sample with its text.

use std::{io, path::PathBuf};

use sidecar_config::ConfigMap;

use super::{Cause, NameFilter, file, reader::Reading};
use crate::sample::Samples;

/// The files of a ConfigMap's keys.
pub(super) struct Files {
    config_map: ConfigMap,
    folder: PathBuf,
}

impl Files {
    pub(super) fn new(mut config_map: ConfigMap, wanted: &NameFilter, folder: PathBuf) -> Self {
        config_map.keys.retain(|key, _| wanted.keeps(key));
        Self { config_map, folder }
    }

    pub(super) fn location(&self) -> String {
        format!("ConfigMap {}", self.config_map.name)
    }

    /// Reads the files that are there: a key that is not is no sample.
    pub(super) fn read(&self) -> Result<Reading, Cause> {
        let mut samples = Samples::new();
        for (key, name) in &self.config_map.keys {
            let contents = match file::read(&self.folder, name) {
                Err(Cause::UnreadableFile { error: io::ErrorKind::NotFound, .. }) => continue,
                contents => contents?,
            };
            let text = String::from_utf8(contents)
                .map_err(|_| Cause::BadFile { name: name.clone(), problem: "is not UTF-8" })?;
            samples.push_text(key, [], &text)?;
        }
        Ok(Reading { samples, duplicates: 0 })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn each_key_that_is_there_is_a_text_sample() {
        let folder = tempfile::tempdir().unwrap();
        let keys = ["host_name", "limit", "gone", "unmapped"].map(|key| (key.to_owned(), format!("configmap.s.{key}")));
        for (key, text) in [("host_name", "web\n1"), ("limit", "10"), ("unmapped", "x")] {
            fs::write(folder.path().join(format!("configmap.s.{key}")), text).unwrap();
        }
        let config_map = ConfigMap { name: "s".to_owned(), keys: keys.into() };
        let wanted = NameFilter::new(["host_name", "limit", "gone"].map(str::to_owned));
        let samples = Files::new(config_map, &wanted, folder.path().to_owned()).read().unwrap().samples;
        let read: Vec<_> = samples.iter().map(|s| (s.name, s.text(), s.value.as_integer())).collect();
        assert_eq!(read, [("host_name", Some("web\n1"), None), ("limit", Some("10"), Some(10))]);
    }

    #[test]
    fn what_is_no_text_is_refused_with_its_file() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("configmap.s.a"), [0xff]).unwrap();
        let config_map =
            ConfigMap { name: "s".to_owned(), keys: [("a".to_owned(), "configmap.s.a".to_owned())].into() };
        let error = Files::new(config_map, &NameFilter::all(), folder.path().to_owned()).read().unwrap_err();
        assert_eq!(error.to_string(), r#"the file "configmap.s.a" is not UTF-8"#);
    }
}
