//! pipe2(2), and what pipe(7) lets one ask of a pipe.
//!
//! Decides that a pipe of ours is born nonblocking. How large it should be, and how many there may
//! be, is the pool's.

use std::ffi::c_int;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno as NixErrno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::pipe2;

use super::error::{count, retry};
use super::{Errno, Result};

/// A new pipe, reader first, both ends `O_NONBLOCK` and `O_CLOEXEC`.
///
/// It has 16 slots of a page, 64 KiB, but silently only 2 once the pipes of this user hold more
/// than `/proc/sys/fs/pipe-user-pages-soft`: ask [`pipe_capacity`]. `EMFILE`, `ENFILE`: no
/// descriptors left in the process, in the system.
pub fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    retry(|| pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC))
}

/// How many bytes the pipe holds if every slot is a full page (`F_GETPIPE_SZ`).
///
/// Not an upper bound: a slot that refers to a socket's buffer can be larger than a page, and a
/// 64 KiB pipe has been seen with 280 KiB. `EBADF`: not a pipe.
pub fn pipe_capacity(pipe: impl AsFd) -> Result<usize> {
    retry(|| fcntl(&pipe, FcntlArg::F_GETPIPE_SZ)).map(count)
}

/// Resizes the pipe (`F_SETPIPE_SZ`) and returns what it became: `capacity` rounded up to pages, a
/// power of two of them.
///
/// `EBUSY`: more is in it than would fit. `EPERM`: above `/proc/sys/fs/pipe-max-size`, or the
/// pipes of this user hold too much already. `EINVAL`: not representable.
pub fn set_pipe_capacity(pipe: impl AsFd, capacity: usize) -> Result<usize> {
    let capacity = c_int::try_from(capacity).map_err(|_| Errno::INVAL)?;
    retry(|| fcntl(&pipe, FcntlArg::F_SETPIPE_SZ(capacity))).map(count)
}

/// How many bytes wait to be read (`FIONREAD`), from either end of a pipe or from a socket.
///
/// Takes the pipe's lock: hangs while another thread waits inside a splice on the same pipe.
pub fn buffered(fd: impl AsFd) -> Result<usize> {
    let fd = fd.as_fd().as_raw_fd();
    let mut waiting: c_int = 0;
    // SAFETY: FIONREAD stores one `int` where it is pointed, and `waiting` outlives the call.
    retry(|| NixErrno::result(unsafe { libc::ioctl(fd, libc::FIONREAD, &raw mut waiting) }))?;
    Ok(count(waiting))
}
