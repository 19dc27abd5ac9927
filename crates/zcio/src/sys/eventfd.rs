//! eventfd(2): a bell that one thread rings and another waits for.
//!
//! Decides that it has no count worth knowing: it is waited for by its edges, of which each ring is one, so nobody
//! ever reads it.

use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::eventfd::{self, EfdFlags};

use super::Result;
use super::error::retry;

/// A bell: an edge for epoll(7) at each [`wake`](Self::wake).
#[derive(Debug)]
pub struct EventFd(eventfd::EventFd);

impl EventFd {
    /// A silent bell.
    pub fn new() -> Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        retry(|| eventfd::EventFd::from_flags(flags)).map(Self)
    }

    /// Rings it, from any thread. `EAGAIN`: for the 2^64th time.
    pub fn wake(&self) -> Result<()> {
        retry(|| self.0.write(1)).map(drop)
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
