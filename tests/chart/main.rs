//! Tests of the Helm chart without a cluster: its renderings, its schema of values, its privileges, and its generated files.

mod generated;
mod guide;
mod helm;
mod objects;
mod privileges;
mod renderings;
mod values;
