//! epoll(7): waiting for many descriptors on one thread.
//!
//! Decides nothing; tokens are the reactor's, and so is the order of deleting and closing.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::sys::epoll::{self, EpollCreateFlags, EpollEvent, EpollFlags};

use super::error::retry;
use super::poll::Deadline;
use super::{Events, Interest, Result};

/// A set of descriptors to wait for.
///
/// What it watches is the open file behind a descriptor, not the number: as long as a duplicate
/// lives events keep coming, and [`delete`](Self::delete) through a closed number is `EBADF`. So
/// delete first, then close.
#[derive(Debug)]
pub struct Epoll(epoll::Epoll);

/// One descriptor that something has happened at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// What [`Epoll::add`] was given for it.
    pub token: u64,
    /// What has happened.
    pub events: Events,
}

/// Room for the events of one [`Epoll::wait`], to be used again for the next.
#[derive(Debug)]
pub struct EventBuffer {
    events: Box<[EpollEvent]>,
    filled: usize,
}

impl Epoll {
    /// An empty set.
    pub fn new() -> Result<Self> {
        retry(|| epoll::Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)).map(Self)
    }

    /// Watches `fd`; its events carry `token`.
    ///
    /// `EPERM`: a regular file or directory, which is always ready. `EEXIST`: watched already.
    pub fn add(&self, fd: impl AsFd, token: u64, interest: Interest) -> Result<()> {
        retry(|| self.0.add(&fd, to_nix(token, interest)))
    }

    /// Replaces token and interest; an edge that is there already is reported anew. `ENOENT`: not
    /// watched.
    pub fn modify(&self, fd: impl AsFd, token: u64, interest: Interest) -> Result<()> {
        retry(|| self.0.modify(&fd, &mut to_nix(token, interest)))
    }

    /// Watches `fd` no longer. Events of it that were already fetched are still in the buffer.
    pub fn delete(&self, fd: impl AsFd) -> Result<()> {
        retry(|| self.0.delete(&fd))
    }

    /// Waits for events, for at most `timeout`, and returns how many there are now in `buffer`.
    ///
    /// 0 is the timeout; `None` waits for ever.
    pub fn wait(&self, buffer: &mut EventBuffer, timeout: Option<Duration>) -> Result<usize> {
        let deadline = Deadline::after(timeout);
        buffer.filled = 0;
        buffer.filled = retry(|| self.0.wait(&mut buffer.events, deadline.left()))?;
        Ok(buffer.filled)
    }
}

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.0.as_fd()
    }
}

impl EventBuffer {
    /// Room for `capacity` events a wait, at least one; what does not fit comes with the next wait.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { events: vec![EpollEvent::empty(); capacity.max(1)].into(), filled: 0 }
    }

    /// The events of the last wait.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Event> + '_ {
        self.events[..self.filled].iter().map(|event| Event {
            token: event.data(),
            events: Events::from_bits_retain(event.events().bits().cast_unsigned()),
        })
    }
}

fn to_nix(token: u64, interest: Interest) -> EpollEvent {
    EpollEvent::new(EpollFlags::from_bits_retain(interest.bits().cast_signed()), token)
}
