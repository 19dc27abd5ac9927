//! fcntl(2): what a descriptor is, and having another one for the same thing.
//!
//! Decides that a duplicate is close-on-exec and never takes the number of a standard stream. Whose
//! flags may be changed is the engine's rule: only those of descriptors we made.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Arc;

use bitflags::bitflags;
use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::error::retry;
use super::{OpenFlags, Result, open};

/// A descriptor as the engine holds it: owned, shared by two directions, or borrowed for a call.
#[derive(Debug)]
pub enum Fd<'fd> {
    /// Closed with this value.
    Owned(OwnedFd),
    /// Closed with the last of its holders, as the two directions of a bridge.
    Shared(Arc<OwnedFd>),
    /// The caller's, who keeps it open.
    Borrowed(BorrowedFd<'fd>),
}

impl<'fd> Fd<'fd> {
    /// The same descriptor twice, as for both directions of a bridge.
    #[must_use]
    pub fn twice(self) -> [Fd<'fd>; 2] {
        match self {
            Self::Owned(fd) => Self::Shared(Arc::new(fd)).twice(),
            Self::Shared(fd) => [Self::Shared(Arc::clone(&fd)), Self::Shared(fd)],
            Self::Borrowed(fd) => [Self::Borrowed(fd), Self::Borrowed(fd)],
        }
    }
}

impl Fd<'_> {
    /// The same for a holder who outlives the lender: what is borrowed is duplicated.
    pub fn into_shared(self) -> Result<Fd<'static>> {
        let fd = match self {
            Self::Owned(fd) => Arc::new(fd),
            Self::Shared(fd) => fd,
            Self::Borrowed(fd) => Arc::new(duplicate(fd)?),
        };
        Ok(Fd::Shared(fd))
    }
}

impl AsFd for Fd<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Owned(fd) => fd.as_fd(),
            Self::Shared(fd) => fd.as_fd(),
            Self::Borrowed(fd) => *fd,
        }
    }
}

impl From<OwnedFd> for Fd<'_> {
    fn from(fd: OwnedFd) -> Self {
        Self::Owned(fd)
    }
}

impl From<Arc<OwnedFd>> for Fd<'_> {
    fn from(fd: Arc<OwnedFd>) -> Self {
        Self::Shared(fd)
    }
}

impl<'fd> From<BorrowedFd<'fd>> for Fd<'fd> {
    fn from(fd: BorrowedFd<'fd>) -> Self {
        Self::Borrowed(fd)
    }
}

bitflags! {
    /// How a descriptor was opened and what was set since, as far as it matters here.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct StatusFlags: i32 {
        /// Reads and writes answer `EAGAIN` instead of waiting.
        const NONBLOCK = libc::O_NONBLOCK;
        /// Writes go to the end: no splice, sendfile or `copy_file_range` into such a file.
        const APPEND = libc::O_APPEND;
        /// A file that goes round the page cache; a pipe in packet mode.
        const DIRECT = libc::O_DIRECT;
        /// Names a file without having it open: every call that moves bytes answers `EBADF`.
        const PATH = libc::O_PATH;

        const _ = !0;
    }
}

impl StatusFlags {
    /// Whether bytes can be read from it.
    pub const fn readable(self) -> bool {
        self.opened() && matches!(self.access_mode(), libc::O_RDONLY | libc::O_RDWR)
    }

    /// Whether bytes can be written to it.
    pub const fn writable(self) -> bool {
        self.opened() && matches!(self.access_mode(), libc::O_WRONLY | libc::O_RDWR)
    }

    const fn opened(self) -> bool {
        !self.contains(Self::PATH)
    }

    const fn access_mode(self) -> i32 {
        self.bits() & libc::O_ACCMODE
    }
}

/// The status flags and access mode (`F_GETFL`). `EBADF`: not open.
pub fn status_flags(fd: impl AsFd) -> Result<StatusFlags> {
    retry(|| fcntl(&fd, FcntlArg::F_GETFL)).map(StatusFlags::from_bits_retain)
}

/// Sets or clears `O_NONBLOCK` (`F_SETFL`).
///
/// The flag is kept by what is open, not by the descriptor: every duplicate of it, in every
/// process, changes too. So this is for descriptors we made ourselves.
pub fn set_nonblocking(fd: impl AsFd, nonblocking: bool) -> Result<()> {
    let mut flags = status_flags(&fd)?;
    flags.set(StatusFlags::NONBLOCK, nonblocking);
    let flags = OFlag::from_bits_retain(flags.bits());
    retry(|| fcntl(&fd, FcntlArg::F_SETFL(flags))).map(drop)
}

/// A second descriptor for the same open file, socket or pipe (`F_DUPFD_CLOEXEC`).
///
/// Position and status flags are shared with the first; a socket sends its FIN only when the last
/// duplicate is closed. `EMFILE`: no descriptor left.
pub fn duplicate(fd: impl AsFd) -> Result<OwnedFd> {
    // The first number behind the standard streams, whose numbers others write to unasked.
    const LOWEST: i32 = 3;
    let number = retry(|| fcntl(&fd, FcntlArg::F_DUPFD_CLOEXEC(LOWEST)))?;
    // SAFETY: the kernel has just made this descriptor, and nobody else knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Opens what `fd` refers to anew, through /proc/self/fd: with flags and a position of its own.
///
/// `ENXIO`: a socket, which cannot be. `EACCES`: the file's mode forbids it now. `ENOENT`: there is
/// no /proc, or it has been unlinked and lies on a file system that minds.
pub fn reopen(fd: impl AsFd, flags: OpenFlags) -> Result<OwnedFd> {
    open(format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd()), flags, 0)
}
