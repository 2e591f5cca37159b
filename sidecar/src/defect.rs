//! A defect in a task is one of whoever runs it.

use tokio::task::JoinError;

/// Goes on with the panic that ended a task, if one did: nothing may live on without what it has lost.
pub(crate) fn resume_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}
