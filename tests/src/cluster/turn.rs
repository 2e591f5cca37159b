//! Shared and exclusive use of a cluster by tests.

use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use anyhow::Result;

use super::Cluster;

static TURN: RwLock<()> = RwLock::new(());

/// The right of a test to use the cluster, shared with other tests of this process or exclusively.
#[derive(Debug)]
pub struct Turn {
    cluster: Cluster,
    _guard: Guard,
}

#[derive(Debug)]
#[allow(dead_code)] // The guards are held, not read.
enum Guard {
    Shared(RwLockReadGuard<'static, ()>),
    Alone(RwLockWriteGuard<'static, ()>),
}

impl Cluster {
    /// Returns the running cluster for shared use.
    pub fn shared() -> Result<Turn> {
        // A test that panicked during its turn reports its own failure.
        let guard = TURN.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        Ok(Turn { cluster: Self::attach()?, _guard: Guard::Shared(guard) })
    }

    /// Returns the running cluster for exclusive use by a test that stops components or changes the installation.
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
