//! The AgentX master (RFC 2741), without I/O.
//!
//! | module | content |
//! |---|---|
//! | `dispatch` | sessions, and requests to subagents and back |
//! | `registry` | registered regions, and the lookup of the subagent that serves a name |
//! | `authority` | authorization of subagents |
//! | `capabilities` | sysORTable |
//! | `index_allocation` | index values of tables that several subagents share |

pub mod authority;
mod capabilities;
pub mod dispatch;
mod index_allocation;
mod registry;
