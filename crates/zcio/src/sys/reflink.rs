//! ioctl_ficlone(2), ioctl_ficlonerange(2): two files that share their blocks until one is written.
//!
//! Decides nothing; that a whole-file clone does not truncate is for the caller to mind.

use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno as NixErrno;

use super::Result;
use super::error::retry;
use super::offset::checked;

/// Makes all of `sink` share the blocks of `source`, in time that does not grow with the file.
///
/// The sink is not truncated: a longer one keeps its tail, and answers `EINVAL` if the source does
/// not end on a block. Both files are independent afterwards.
///
/// - `EOPNOTSUPP` (ext4, tmpfs), `ENOTTY`, `EINVAL`: no sharing here. `EXDEV`: not one file system.
/// - `EBADF`: the sink is `O_APPEND` or not writable, or the source is not readable.
/// - `EISDIR`, `EPERM` (immutable), `ETXTBSY` (a swap file).
pub fn reflink(sink: impl AsFd, source: impl AsFd) -> Result<()> {
    let (sink, source) = (sink.as_fd().as_raw_fd(), source.as_fd().as_raw_fd());
    retry(|| {
        // SAFETY: FICLONE takes a descriptor by value; no memory is involved.
        NixErrno::result(unsafe { libc::ioctl(sink, libc::FICLONE, source) }).map(drop)
    })
}

/// Makes `length` bytes of `sink` share the blocks of `source`; a `length` of 0 reaches to its end.
///
/// Offsets and length are multiples of the file system's block, except a length that ends where the
/// source ends; else `EINVAL`, as for ranges of one file that overlap. Errors as [`reflink`].
pub fn reflink_range(
    sink: impl AsFd,
    sink_offset: u64,
    source: impl AsFd,
    source_offset: u64,
    length: u64,
) -> Result<()> {
    let range = libc::file_clone_range {
        src_fd: i64::from(source.as_fd().as_raw_fd()),
        src_offset: checked::<i64>(source_offset)?.cast_unsigned(),
        src_length: checked::<i64>(length)?.cast_unsigned(),
        dest_offset: checked::<i64>(sink_offset)?.cast_unsigned(),
    };
    let sink = sink.as_fd().as_raw_fd();
    retry(|| {
        // SAFETY: FICLONERANGE reads the struct it is pointed at, which lives through the call.
        NixErrno::result(unsafe { libc::ioctl(sink, libc::FICLONERANGE, &raw const range) }).map(drop)
    })
}
