//! Views: immutable snapshots of the instances that an NMS reads, the table of exported subtrees, and walks as text.

pub(crate) mod exports;
mod mib_view;
mod store;
pub(crate) mod text;

pub(crate) use mib_view::{Cursor, Instance, MibView, Size};
pub(crate) use store::PushError;
