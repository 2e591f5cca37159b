//! Get, GetNext and GetBulk requests.

mod column;
mod driver;
mod response;
mod state;

pub(super) use self::state::{RangeQuery, Read};
