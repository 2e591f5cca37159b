//! ConfigMap sources. The keys are files in the configuration directory, and each key is a sample with its text.

use std::{io, path::PathBuf};

use sidecar_config::ConfigMap;

use super::{collection::Collection, error::SourceError, file, name_filter::NameFilter};
use crate::sample::Samples;

/// A ConfigMap source.
pub(super) struct ConfigMapReader {
    config_map: ConfigMap,
    directory: PathBuf,
}

impl ConfigMapReader {
    pub(super) fn new(mut config_map: ConfigMap, wanted: &NameFilter, directory: PathBuf) -> Self {
        config_map.keys.retain(|key, _| wanted.keeps(key));
        Self { config_map, directory }
    }

    pub(super) fn location(&self) -> String {
        format!("ConfigMap {}", self.config_map.name)
    }

    /// Reads the keys. A key without a file makes no sample.
    pub(super) fn read(&self) -> Result<Collection, SourceError> {
        let mut samples = Samples::new();
        for (key, name) in &self.config_map.keys {
            let contents = match file::read(&self.directory, name) {
                Err(SourceError::UnreadableFile { error: io::ErrorKind::NotFound, .. }) => continue,
                contents => contents?,
            };
            let text = String::from_utf8(contents)
                .map_err(|_| SourceError::BadFile { name: name.clone(), problem: "is not UTF-8" })?;
            samples.push_text(key, [], &text)?;
        }
        Ok(Collection { samples, duplicates: 0 })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn each_existing_key_is_a_sample_with_a_text() {
        let directory = tempfile::tempdir().unwrap();
        let keys = ["host_name", "limit", "gone", "unmapped"].map(|key| (key.to_owned(), format!("configmap.s.{key}")));
        for (key, text) in [("host_name", "web\n1"), ("limit", "10"), ("unmapped", "x")] {
            fs::write(directory.path().join(format!("configmap.s.{key}")), text).unwrap();
        }
        let config_map = ConfigMap { name: "s".to_owned(), keys: keys.into() };
        let wanted = NameFilter::new(["host_name", "limit", "gone"].map(str::to_owned));
        let samples = ConfigMapReader::new(config_map, &wanted, directory.path().to_owned()).read().unwrap().samples;
        let read: Vec<_> = samples.iter().map(|s| (s.name, s.text(), s.value.as_integer())).collect();
        assert_eq!(read, [("host_name", Some("web\n1"), None), ("limit", Some("10"), Some(10))]);
    }

    #[test]
    fn a_key_that_is_not_utf_8_is_an_error_with_the_file_name() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("configmap.s.a"), [0xff]).unwrap();
        let config_map =
            ConfigMap { name: "s".to_owned(), keys: [("a".to_owned(), "configmap.s.a".to_owned())].into() };
        let error =
            ConfigMapReader::new(config_map, &NameFilter::all(), directory.path().to_owned()).read().unwrap_err();
        assert_eq!(error.to_string(), r#"the file "configmap.s.a" is not UTF-8"#);
    }
}
