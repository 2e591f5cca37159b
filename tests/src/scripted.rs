//! Masters and subagents whose PDUs a test chooses, and the faults that they make.

pub(crate) mod master_fault;
pub(crate) mod mib;
pub(crate) mod random;
pub(crate) mod scripted_master;
pub(crate) mod scripted_subagent;
pub(crate) mod source_fault;
pub(crate) mod subagent_fault;
