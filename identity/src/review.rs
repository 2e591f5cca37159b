//! Who knows whose a token is.

use std::time::Duration;

use futures::future::BoxFuture;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::{Api, Client, api::PostParams};
use tokio::time::timeout;

use crate::{AUDIENCE, Token};

/// How long the API server may take.
const PATIENCE: Duration = Duration::from_secs(4);

/// Says whose a token is.
pub trait Reviewer: Send + Sync {
    /// What it says of `token`, asked for our audience.
    fn review<'a>(&'a self, token: &'a Token) -> BoxFuture<'a, Result<TokenReviewStatus, Unreachable>>;
}

/// The API server gave no review.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no TokenReview: {0}")]
pub struct Unreachable(pub String);

/// The API server's TokenReview.
#[derive(Clone)]
pub struct KubeReviewer(Api<TokenReview>);

impl KubeReviewer {
    /// Of the API server of `client`.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self(Api::all(client))
    }
}

impl Reviewer for KubeReviewer {
    fn review<'a>(&'a self, token: &'a Token) -> BoxFuture<'a, Result<TokenReviewStatus, Unreachable>> {
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: Some(token.expose().to_owned()),
                audiences: Some(vec![AUDIENCE.to_owned()]),
            },
            ..TokenReview::default()
        };
        Box::pin(async move {
            let params = PostParams::default();
            match timeout(PATIENCE, self.0.create(&params, &review)).await {
                Ok(Ok(review)) => review.status.ok_or_else(|| Unreachable("it has no status".to_owned())),
                Ok(Err(kube::Error::Api(status))) => Err(Unreachable(format!("{} {}", status.code, status.reason))),
                Ok(Err(error)) => Err(Unreachable(error.to_string())),
                Err(_) => Err(Unreachable(format!("not within {PATIENCE:?}"))),
            }
        })
    }
}
