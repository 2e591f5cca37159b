//! The labels of a pod, as the downward API mounts them.

use std::fmt::Write as _;

/// Returns the content of a file of labels, with one `name="value"` per line.
pub fn pod_labels(labels: &[(&str, &str)]) -> String {
    labels.iter().fold(String::new(), |mut file, (name, value)| {
        // Writing to a string cannot fail.
        let _ = writeln!(file, "{name}={value:?}");
        file
    })
}
