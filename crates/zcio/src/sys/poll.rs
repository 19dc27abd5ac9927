//! poll(2), and the words for readiness that it shares with epoll(7).
//!
//! Decides that an interrupted wait goes on with the time that is left, and that a timeout is never
//! rounded down to a busy loop. Who waits for what is the drivers'.

use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use bitflags::bitflags;
use nix::errno::Errno as NixErrno;
use nix::poll::PollTimeout;

use super::Result;
use super::error::{count, retry};

bitflags! {
    /// What to wait for. Errors and hang-ups are reported without being asked for.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Interest: u32 {
        /// Something to read, or the end of it, or of the peer's half.
        const READABLE = IN | RDHUP;
        /// Room to write.
        const WRITABLE = OUT;
        /// Only when it becomes so, not while it is: for epoll. poll(2) has no edges.
        const EDGE = libc::EPOLLET.cast_unsigned();
    }
}

bitflags! {
    /// What the kernel reports. Ask with the methods: the bits do not mean what one would think.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Events: u32 {
        /// Something to read.
        const IN = IN;
        /// Room to write.
        const OUT = OUT;
        /// An error; at a pipe's writing end: its reader has gone.
        const ERR = libc::EPOLLERR.cast_unsigned();
        /// Both directions have ended; at a pipe's reading end: its last writer has gone.
        const HUP = libc::EPOLLHUP.cast_unsigned();
        /// The peer sends no more.
        const RDHUP = RDHUP;
        /// Not open: from poll(2) only.
        const NVAL = 0x20;

        const _ = !0;
    }
}

const IN: u32 = libc::EPOLLIN.cast_unsigned();
const OUT: u32 = libc::EPOLLOUT.cast_unsigned();
const RDHUP: u32 = libc::EPOLLRDHUP.cast_unsigned();

// One set of words is enough only because both calls have the same bits.
const _: () = assert!(
    libc::POLLIN as u32 == IN
        && libc::POLLOUT as u32 == OUT
        && libc::POLLRDHUP as u32 == RDHUP
        && libc::POLLERR as u32 == Events::ERR.bits()
        && libc::POLLHUP as u32 == Events::HUP.bits()
        && libc::POLLNVAL as u32 == Events::NVAL.bits()
);

impl Events {
    /// Whether a read would not wait. A pipe whose writers have gone reports `HUP` without `IN`,
    /// and only a read tells that this is the end; the same for an error.
    pub const fn readable(self) -> bool {
        self.intersects(Self::IN.union(Self::RDHUP).union(Self::ENDED))
    }

    /// Whether a write would not wait, be it that it fails: `ERR` is how a pipe says that its
    /// reader has gone.
    pub const fn writable(self) -> bool {
        self.intersects(Self::OUT.union(Self::ENDED))
    }

    const ENDED: Self = Self::ERR.union(Self::HUP).union(Self::NVAL);
}

/// One descriptor to wait for, and what [`poll`] has found about it.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct PollFd<'fd> {
    entry: libc::pollfd,
    fd: PhantomData<BorrowedFd<'fd>>,
}

impl<'fd> PollFd<'fd> {
    /// Waits for `interest` in `fd`.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "all bits of poll(2) fit; epoll's EDGE falls off, as it should"
    )]
    pub fn new(fd: BorrowedFd<'fd>, interest: Interest) -> Self {
        let events = interest.bits() as libc::c_short;
        Self { entry: libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 }, fd: PhantomData }
    }

    /// What was found, empty for nothing.
    pub fn events(&self) -> Events {
        Events::from_bits_retain(self.entry.revents.cast_unsigned().into())
    }
}

/// Waits until something happens at one of `fds`, for at most `timeout`; returns at how many.
///
/// 0 is the timeout; `None` waits for ever. `EINVAL`: more entries than the process may have open.
#[allow(clippy::cast_possible_truncation, reason = "nfds_t holds every length where int has 32 bits")]
pub fn poll(fds: &mut [PollFd<'_>], timeout: Option<Duration>) -> Result<usize> {
    let deadline = Deadline::after(timeout);
    let entries = fds.as_mut_ptr().cast::<libc::pollfd>();
    retry(|| {
        let left = deadline.left().into();
        // SAFETY: `PollFd` is a transparent `pollfd`, and the slice is borrowed for the call.
        NixErrno::result(unsafe { libc::poll(entries, fds.len() as libc::nfds_t, left) })
    })
    .map(count)
}

/// Waits until `fd` can be read, or has ended; `false` after `timeout`.
pub fn wait_readable(fd: impl AsFd, timeout: Option<Duration>) -> Result<bool> {
    wait(fd, Interest::READABLE, timeout)
}

/// Waits until `fd` can be written, or has failed; `false` after `timeout`.
pub fn wait_writable(fd: impl AsFd, timeout: Option<Duration>) -> Result<bool> {
    wait(fd, Interest::WRITABLE, timeout)
}

/// What can be said of `fd` now, without waiting. A descriptor that poll(2) refuses has every readiness.
pub fn readiness(fd: impl AsFd) -> Events {
    let mut asked = [PollFd::new(fd.as_fd(), Interest::READABLE | Interest::WRITABLE)];
    if poll(&mut asked, Some(Duration::ZERO)).is_err() {
        return Events::all();
    }
    asked[0].events()
}

fn wait(fd: impl AsFd, interest: Interest, timeout: Option<Duration>) -> Result<bool> {
    poll(&mut [PollFd::new(fd.as_fd(), interest)], timeout).map(|ready| ready > 0)
}

/// When a wait is over, so that one that was interrupted can go on with what is left.
pub(super) struct Deadline(Option<Instant>);

impl Deadline {
    /// `None`, and what lies too far ahead to be told, is never.
    pub(super) fn after(timeout: Option<Duration>) -> Self {
        Self(timeout.and_then(|timeout| Instant::now().checked_add(timeout)))
    }

    /// Rounded up to milliseconds: half a one is not 0, which would not wait at all. The kernel
    /// counts up to 24 days; who waits longer is told a timeout then.
    pub(super) fn left(&self) -> PollTimeout {
        let Some(end) = self.0 else {
            return PollTimeout::NONE;
        };
        let left = end.saturating_duration_since(Instant::now());
        let milliseconds = left.as_nanos().div_ceil(1_000_000);
        PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX)
    }
}
