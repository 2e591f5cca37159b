//! Whose turn it is: tests share a cluster, but one that breaks a part of it has it alone.

use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use anyhow::Result;

use super::Cluster;

static TURN: RwLock<()> = RwLock::new(());

/// While this lives, the cluster is shared with other tests of this process, or is one test's alone.
#[derive(Debug)]
pub struct Turn {
    cluster: Cluster,
    _guard: Guard,
}

#[derive(Debug)]
#[allow(dead_code)] // They are held, not read.
enum Guard {
    Shared(RwLockReadGuard<'static, ()>),
    Alone(RwLockWriteGuard<'static, ()>),
}

impl Cluster {
    /// The running cluster, with other tests in it.
    pub fn shared() -> Result<Turn> {
        // A test that failed while it had its turn says so itself.
        let guard = TURN.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        Ok(Turn { cluster: Self::attach()?, _guard: Guard::Shared(guard) })
    }

    /// The running cluster, with no other test in it: for tests that end parts of it, and start them again.
    pub fn alone() -> Result<Turn> {
        let guard = TURN.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        Ok(Turn { cluster: Self::attach()?, _guard: Guard::Alone(guard) })
    }
}

impl std::ops::Deref for Turn {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}
