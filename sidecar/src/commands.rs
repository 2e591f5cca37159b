//! The commands that run once and exit: `check` and `walk`.

mod check;
mod pipe;
mod snapshot;
mod walk;

pub(crate) use check::check;
pub(crate) use walk::walk;
