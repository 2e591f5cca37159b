//! SET requests.

mod driver;
mod state;

pub(super) use self::state::Write;
