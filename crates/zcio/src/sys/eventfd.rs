//! eventfd(2): a bell that one thread rings and another waits for.
//!
//! Decides that it has no count worth knowing: rung or not.

use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::eventfd::{self, EfdFlags};

use super::error::retry;
use super::{Errno, Result};

/// A bell: readable from [`wake`](Self::wake) until [`clear`](Self::clear).
#[derive(Debug)]
pub struct EventFd(eventfd::EventFd);

impl EventFd {
    /// A silent bell.
    pub fn new() -> Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        retry(|| eventfd::EventFd::from_flags(flags)).map(Self)
    }

    /// Rings it, from any thread.
    pub fn wake(&self) -> Result<()> {
        retry(|| self.0.write(1)).map(drop).or_else(settled)
    }

    /// Silences it. Clear first and then look at what it was rung for, or a ring gets lost.
    pub fn clear(&self) -> Result<()> {
        retry(|| self.0.read()).map(drop).or_else(settled)
    }
}

/// `EAGAIN` means that it is as it should be: a full counter rings, an empty one is silent.
fn settled(error: Errno) -> Result<()> {
    match error {
        Errno::AGAIN => Ok(()),
        other => Err(other),
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
