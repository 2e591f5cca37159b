//! The session against scripted masters, and its responses against a model.

mod answers;
mod fuzzed;
mod hostile;
mod lifetime;
mod registering;
mod rig;
mod walks;
