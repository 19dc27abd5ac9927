//! vmsplice(2): a pipe that refers to our own memory.
//!
//! Decides nothing; owning memory that outlives the bytes in the pipe is the work of
//! [`Pages`](super::Pages).

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno as NixErrno;
use nix::fcntl;

use super::error::{count, retry};
use super::file::IOV_MAX;
use super::{Result, SpliceFlags};

/// Puts references to `pages` into the writing end of `pipe`; returns how many bytes of them.
///
/// The pipe does not copy. Long after this returns, also when the pipe is empty again but its bytes
/// are on their way through a socket, the kernel reads what the memory holds *then*. A reader sees
/// every later write; where the memory was freed and handed out anew, it sees its next owner's
/// secrets. So pass only memory that is neither written nor handed out again: see
/// [`Pages`](super::Pages).
///
/// - Each page that is touched takes a slot of the pipe, however few of its bytes are meant.
/// - Only [`SpliceFlags::NONBLOCK`] keeps it from waiting for room: this call does not look at the
///   pipe's `O_NONBLOCK`. `EAGAIN`: the pipe is full.
/// - More than 1024 slices are cut to that, the kernel's `IOV_MAX`.
/// - `EBADF`: not a pipe. `EPIPE` raises SIGPIPE. `EPERM`, `ENOSYS`: a sandbox forbids it.
pub fn vmsplice(pipe: impl AsFd, pages: &[IoSlice<'_>], flags: SpliceFlags) -> Result<usize> {
    let pages = &pages[..pages.len().min(IOV_MAX)];
    retry(|| fcntl::vmsplice(&pipe, pages, flags.to_nix()))
}

/// Fills `pages` from the reading end of `pipe`: a plain copy, as by readv(2).
///
/// 0 when the pipe is empty and has no writer. Waits, as [`vmsplice`] does, unless
/// [`SpliceFlags::NONBLOCK`] is given; then `EAGAIN` says that the pipe is empty.
pub fn vmsplice_read(pipe: impl AsFd, pages: &mut [IoSliceMut<'_>], flags: SpliceFlags) -> Result<usize> {
    let (pipe, slices) = (pipe.as_fd().as_raw_fd(), pages.len().min(IOV_MAX));
    retry(|| {
        // SAFETY: an `IoSliceMut` is an `iovec` over memory that is borrowed mutably for the call,
        // and a reading end only copies into it: no reference to it stays in the kernel.
        let filled = unsafe { libc::vmsplice(pipe, pages.as_ptr().cast(), slices, flags.bits()) };
        NixErrno::result(filled).map(count)
    })
}
