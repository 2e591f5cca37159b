//! The dispatcher among subagents whose every move a test decides.

mod administration;
mod bulk;
mod get;
mod hostile;
mod model;
mod next;
mod rig;
mod time;
mod walks;
mod writing;
