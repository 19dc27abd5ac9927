//! read(2), write(2), pread(2), writev(2), preadv2(2): through user space, where nothing else goes.
//!
//! Decides nothing. Also truncate(2) and posix_fadvise(2), which move no bytes but belong to files.

use std::ffi::c_long;
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno as NixErrno;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::sys::uio;
use nix::unistd;

use super::Result;
use super::error::{count, retry};
use super::offset::checked;

/// The most slices one call takes (`UIO_MAXIOV` in the kernel's headers); longer lists are cut.
pub(super) const IOV_MAX: usize = 1024;

/// Reads into `buffer` from the descriptor's position; 0 at the end.
///
/// `EAGAIN`: nonblocking and nothing there. `EISDIR`: a directory.
pub fn read(source: impl AsFd, buffer: &mut [u8]) -> Result<usize> {
    retry(|| unistd::read(&source, buffer))
}

/// Writes from `bytes`, possibly only the beginning, at the descriptor's position.
///
/// `EAGAIN`: nonblocking and full; a pipe takes up to 4096 bytes whole or not at all. `EPIPE`
/// raises SIGPIPE, `EFBIG` SIGXFSZ. `ENOSPC`, `EDQUOT`, `EIO`: the disk's, perhaps late.
pub fn write(sink: impl AsFd, bytes: &[u8]) -> Result<usize> {
    retry(|| unistd::write(&sink, bytes))
}

/// Writes the slices one behind the other, as [`write()`]; no more than the first 1024 of them.
pub fn write_vectored(sink: impl AsFd, slices: &[IoSlice<'_>]) -> Result<usize> {
    let slices = &slices[..slices.len().min(IOV_MAX)];
    retry(|| uio::writev(&sink, slices))
}

/// Reads into `buffer` from `offset`, leaving the position alone; 0 at or past the end.
///
/// `ESPIPE`: a pipe, a socket, a terminal.
pub fn pread(source: impl AsFd, buffer: &mut [u8], offset: u64) -> Result<usize> {
    let offset = checked(offset)?;
    retry(|| uio::pread(&source, buffer, offset))
}

/// Writes from `bytes` at `offset`, leaving the position alone.
///
/// Trap: on an `O_APPEND` file Linux writes at the end, whatever the offset says.
pub fn pwrite(sink: impl AsFd, bytes: &[u8], offset: u64) -> Result<usize> {
    let offset = checked(offset)?;
    retry(|| uio::pwrite(&sink, bytes, offset))
}

/// Reads only what is in the page cache (preadv2 with `RWF_NOWAIT`); 0 at the end. At `offset`, leaving the
/// position alone, or from the position if `None`.
///
/// The one probe for "would this wait for a disk?" that tells an unprivileged reader the truth: one
/// byte is enough to ask. Short where the cache ends.
///
/// - `EAGAIN`: not there; the kernel has begun to read it ahead. A fast disk may be done with that
///   before the call returns: data then, although it was not there.
/// - `EOPNOTSUPP`: the file system cannot say. tmpfs, ramfs and /proc always have it; overlayfs and
///   FUSE may not. `EINVAL`, `ENOSYS`: a kernel before 4.14, a sandbox.
#[allow(clippy::cast_possible_truncation, reason = "the halves of an offset, where long has 32 bits")]
pub fn read_resident(source: impl AsFd, buffer: &mut [u8], offset: Option<u64>) -> Result<usize> {
    // -1: the position.
    let offset: i64 = offset.map_or(Ok(-1), checked)?;
    let source = source.as_fd().as_raw_fd();
    let slice = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    retry(|| {
        // By number, because musl has had no preadv2 until 1.2.5: there the whole addon would fail
        // to load. The offset goes in two halves, of which a 64-bit kernel ignores the upper one.
        // SAFETY: the only slice covers `buffer`, which is borrowed mutably through the call.
        let read = unsafe {
            libc::syscall(
                libc::SYS_preadv2,
                source,
                &raw const slice,
                1,
                offset as c_long,
                (offset >> 32) as c_long,
                libc::RWF_NOWAIT,
            )
        };
        NixErrno::result(read).map(count)
    })
}

/// Makes the file `length` bytes long: cut, or grown by a hole.
///
/// Pages of a cut part that a pipe or a socket still refers to are read as zeros from now on.
pub fn truncate(file: impl AsFd, length: u64) -> Result<()> {
    let length = checked(length)?;
    retry(|| unistd::ftruncate(&file, length))
}

/// Asks for `length` bytes from `offset` to be read ahead, all of the rest if 0; waits for nothing.
pub fn advise_willneed(file: impl AsFd, offset: u64, length: u64) -> Result<()> {
    advise(file, offset, length, PosixFadviseAdvice::POSIX_FADV_WILLNEED)
}

/// Lets the clean pages of `length` bytes from `offset` go, all of the rest if 0.
///
/// Dirty ones stay, and so do those a pipe or a socket refers to.
pub fn advise_dontneed(file: impl AsFd, offset: u64, length: u64) -> Result<()> {
    advise(file, offset, length, PosixFadviseAdvice::POSIX_FADV_DONTNEED)
}

/// `ESPIPE`: a pipe. Other files take any advice, and most ignore it.
fn advise(file: impl AsFd, offset: u64, length: u64, advice: PosixFadviseAdvice) -> Result<()> {
    let (offset, length) = (checked(offset)?, checked(length)?);
    retry(|| posix_fadvise(&file, offset, length, advice))
}
