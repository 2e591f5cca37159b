//! Tests of the dispatcher with subagents that the test controls.

mod administration;
mod bulk;
mod dispatcher_harness;
mod fuzzed;
mod get;
mod hostile;
mod next;
mod subagent_model;
mod tenants;
mod time;
mod walks;
mod writing;
