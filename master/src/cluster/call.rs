//! Calls of the API server: each is bounded, and what went wrong is told without what was read.

use std::{future::Future, time::Duration};

use kube::core::Status;

/// The longest that a call may take.
pub(crate) const CALL: Duration = Duration::from_millis(1_500);

/// What came of a call.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No answer in time.
    #[error("the API server does not answer")]
    Timeout,
    /// It, or the way to it, says no.
    #[error("{}", explain(.0))]
    Failed(#[source] Box<kube::Error>),
}

impl CallError {
    fn status(&self) -> Option<&Status> {
        match self {
            Self::Failed(error) => match &**error {
                kube::Error::Api(status) => Some(status),
                _ => None,
            },
            Self::Timeout => None,
        }
    }

    /// Whether the object was changed, or made, by another one.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.status().is_some_and(|status| status.is_conflict() || status.is_already_exists())
    }

    /// Whether there is no such object.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.status().is_some_and(Status::is_not_found)
    }
}

/// Waits for the call, for as long as it may take.
///
/// # Errors
/// [`CallError`].
pub(crate) async fn bounded<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, CallError> {
    match tokio::time::timeout(CALL, call).await {
        Ok(called) => called.map_err(|error| CallError::Failed(Box::new(error))),
        Err(_) => Err(CallError::Timeout),
    }
}

/// An error of kube's in few words. An answer that cannot be read may be a Secret: nothing of it is told.
pub(crate) fn explain(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.message.is_empty() => format!("the API server answers {}", status.code),
        kube::Error::Api(status) => status.message.clone(),
        kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => "the API server's answer cannot be read".to_owned(),
        // The reason is at the end of the chain.
        error => {
            let mut cause: &dyn std::error::Error = error;
            while let Some(source) = cause.source() {
                cause = source;
            }
            format!("the API server cannot be reached: {cause}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_cannot_be_read_is_not_told() {
        let error = serde_json::from_str::<u32>("\"hidden-passphrase\"").unwrap_err();
        assert!(error.to_string().contains("hidden"));
        let said = CallError::Failed(Box::new(kube::Error::SerdeError(error))).to_string();
        assert_eq!(said, "the API server's answer cannot be read");
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_is_not_answered_is_given_up() {
        let called = bounded(std::future::pending::<kube::Result<()>>()).await;
        assert!(matches!(called, Err(CallError::Timeout)));
    }

    #[test]
    fn conflicts_are_known_from_what_is_not_there() {
        let failed = |reason: &str, code| {
            let status = Status::failure("it did not work", reason).with_code(code);
            CallError::Failed(Box::new(kube::Error::Api(status.boxed())))
        };
        for conflict in [failed("Conflict", 409), failed("AlreadyExists", 409)] {
            assert_eq!((conflict.is_conflict(), conflict.is_not_found()), (true, false));
        }
        let missing = failed("NotFound", 404);
        assert_eq!((missing.is_conflict(), missing.is_not_found()), (false, true));
        assert_eq!(missing.to_string(), "it did not work");
    }
}
