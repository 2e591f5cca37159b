//! The measured programs, ours and their peers, and the objects that all of them serve.

pub mod bare;
pub mod contestants;
pub mod crowd;
pub mod floor;
pub mod objects;
pub mod tenants;
