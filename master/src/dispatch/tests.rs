//! The dispatcher among subagents whose every move a test decides.

mod administration;
mod bulk;
mod fuzzed;
mod get;
mod hostile;
mod model;
mod next;
mod rig;
mod tenants;
mod time;
mod walks;
mod writing;
