//! The pod's labels, as the downward API mounts them.

use std::fmt::Write as _;

/// A file of labels: `name="value"` per line.
pub fn pod_labels(labels: &[(&str, &str)]) -> String {
    labels.iter().fold(String::new(), |mut file, (name, value)| {
        // Writing to a string cannot fail.
        let _ = writeln!(file, "{name}={value:?}");
        file
    })
}
