//! Standard output that the reader closes early.

use std::io;

/// Treats a closed pipe as success: the reader needs no more output.
pub(super) fn ignore_closed_pipe(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) }
}
