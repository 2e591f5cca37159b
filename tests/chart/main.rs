//! The Helm chart: what it renders, what it refuses, and that what is generated of it is up to date. Without a cluster.

mod generated;
mod guide;
mod helm;
mod objects;
mod privileges;
mod renderings;
mod values;
