//! Calls to the API server, with a timeout. Errors never contain the contents of a response.

use std::{future::Future, time::Duration};

use kube::core::Status;

/// Timeout of a call.
pub(crate) const CALL: Duration = Duration::from_millis(1_500);

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The API server did not respond in time.
    #[error("the API server did not respond in time")]
    Timeout,
    /// The API server refused the call, or cannot be reached.
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

    /// Returns whether another client changed or created the object at the same time.
    pub(crate) fn is_conflict(&self) -> bool {
        self.status().is_some_and(|status| status.is_conflict() || status.is_already_exists())
    }

    /// Returns whether the object does not exist.
    pub(crate) fn is_not_found(&self) -> bool {
        self.status().is_some_and(Status::is_not_found)
    }
}

/// Awaits a call with a timeout.
///
/// # Errors
/// Returns an error if the call fails or times out.
pub(crate) async fn bounded<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, CallError> {
    match tokio::time::timeout(CALL, call).await {
        Ok(result) => result.map_err(|error| CallError::Failed(Box::new(error))),
        Err(_) => Err(CallError::Timeout),
    }
}

/// Describes an error of kube. A response that cannot be parsed may be a Secret, so its contents are left out.
pub(crate) fn explain(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.message.is_empty() => {
            format!("the API server responded with status {}", status.code)
        }
        kube::Error::Api(status) => status.message.clone(),
        kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => {
            "the response of the API server cannot be parsed".to_owned()
        }
        // The last error of the chain names the reason.
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
    fn the_contents_of_an_unparsable_response_are_not_in_the_error() {
        let error = serde_json::from_str::<u32>("\"hidden-passphrase\"").unwrap_err();
        assert!(error.to_string().contains("hidden"));
        let said = CallError::Failed(Box::new(kube::Error::SerdeError(error))).to_string();
        assert_eq!(said, "the response of the API server cannot be parsed");
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_without_response_times_out() {
        let called = bounded(std::future::pending::<kube::Result<()>>()).await;
        assert!(matches!(called, Err(CallError::Timeout)));
    }

    #[test]
    fn conflicts_differ_from_missing_objects() {
        let failed = |reason: &str, code| {
            let status = Status::failure("it failed", reason).with_code(code);
            CallError::Failed(Box::new(kube::Error::Api(status.boxed())))
        };
        for conflict in [failed("Conflict", 409), failed("AlreadyExists", 409)] {
            assert_eq!((conflict.is_conflict(), conflict.is_not_found()), (true, false));
        }
        let missing = failed("NotFound", 404);
        assert_eq!((missing.is_conflict(), missing.is_not_found()), (false, true));
        assert_eq!(missing.to_string(), "it failed");
    }
}
