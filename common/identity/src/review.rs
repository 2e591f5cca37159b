//! Reviews of tokens by the API server.

use std::time::Duration;

use futures::future::BoxFuture;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::{Api, Client, api::PostParams};
use tokio::time::timeout;

use crate::{AUDIENCE, Token};

/// The longest time that a review may take.
const REVIEW_TIMEOUT: Duration = Duration::from_secs(4);

/// Reviews tokens.
pub trait Reviewer: Send + Sync {
    /// Reviews `token` for our audience.
    fn review<'a>(&'a self, token: &'a Token) -> BoxFuture<'a, Result<TokenReviewStatus, ReviewError>>;
}

/// The API server did not review a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the TokenReview failed: {0}")]
pub struct ReviewError(pub String);

/// Reviews tokens with the TokenReview API of an API server.
#[derive(Clone)]
pub struct KubeReviewer(Api<TokenReview>);

impl KubeReviewer {
    /// Returns a reviewer that uses the API server of `client`.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self(Api::all(client))
    }
}

impl Reviewer for KubeReviewer {
    fn review<'a>(&'a self, token: &'a Token) -> BoxFuture<'a, Result<TokenReviewStatus, ReviewError>> {
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: Some(token.expose().to_owned()),
                audiences: Some(vec![AUDIENCE.to_owned()]),
            },
            ..TokenReview::default()
        };
        Box::pin(async move {
            let params = PostParams::default();
            match timeout(REVIEW_TIMEOUT, self.0.create(&params, &review)).await {
                Ok(Ok(review)) => review.status.ok_or_else(|| ReviewError("the response has no status".to_owned())),
                Ok(Err(kube::Error::Api(status))) => Err(ReviewError(format!("{} {}", status.code, status.reason))),
                Ok(Err(error)) => Err(ReviewError(error.to_string())),
                Err(_) => Err(ReviewError(format!("no response within {REVIEW_TIMEOUT:?}"))),
            }
        })
    }
}
