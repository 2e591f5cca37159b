//! SET: from what a master asks to what is written, and back if need be (RFC 2741 section 7.2.4, RFC 3416 section 4.2.5).
//!
//! The sessions hand every step over to the [`Desk`], on the main thread, and go on answering reads. For each connection
//! a conversation takes the steps in their order: a test looks at everything and changes nothing, a commit writes all or
//! nothing, an undo puts back. What is under way is in the journal of the state folder first, so that it is put back
//! after a crash.

mod conversation;
mod desk;
mod journal;
mod outside;
mod overlay;
mod target;
mod text;

#[cfg(test)]
mod tests;

pub use desk::{Asked, Connection, Counts, Desk, Doing, Served};
pub use outside::{Operator, OperatorUrl, Outside};
pub use overlay::Overlay;
pub use target::Target;
pub use text::Text;
