//! The common part of the contracts between the operator and the programs that it configures.
//!
//! Each contract is a type of JSON document with a version. A program parses a document ([`parse()`]), checks it
//! ([`Contract::check`]) and uses it only if it is [`Valid`].

mod parse;
mod valid;
mod violation;

pub use parse::{ParseError, parse, parse_strict, read};
pub use valid::{Contract, Valid};
pub use violation::{Violation, Violations};
