//! lseek(2): the position that every duplicate of a descriptor shares.
//!
//! Decides nothing; the engine gives explicit offsets wherever it can and comes here only for a
//! caller who asked for the position to move. `ESPIPE` everywhere: a pipe, a socket, a terminal.

use std::os::fd::AsFd;

use nix::unistd::{Whence, lseek64};

use super::Result;
use super::error::retry;
use super::offset::checked;

/// Where the next read or write begins.
pub fn seek_position(fd: impl AsFd) -> Result<u64> {
    seek(fd, 0, Whence::SeekCur)
}

/// Moves the position by `distance` and returns where it is now. `EINVAL`: it would be negative.
pub fn seek_by(fd: impl AsFd, distance: i64) -> Result<u64> {
    seek(fd, distance, Whence::SeekCur)
}

/// Moves the position to `offset`, which may lie behind the end.
pub fn seek_to(fd: impl AsFd, offset: u64) -> Result<u64> {
    seek(fd, checked(offset)?, Whence::SeekSet)
}

/// Moves the position to the first byte of data at or behind `offset`.
///
/// `ENXIO`: there is none, only a hole up to the end. `EINVAL`: the file system keeps no holes.
pub fn seek_data(fd: impl AsFd, offset: u64) -> Result<u64> {
    seek(fd, checked(offset)?, Whence::SeekData)
}

/// Moves the position to the next hole at or behind `offset`; the end of the file counts as one.
///
/// `ENXIO`: `offset` is behind the end.
pub fn seek_hole(fd: impl AsFd, offset: u64) -> Result<u64> {
    seek(fd, checked(offset)?, Whence::SeekHole)
}

fn seek(fd: impl AsFd, offset: i64, whence: Whence) -> Result<u64> {
    retry(|| lseek64(&fd, offset, whence)).map(i64::cast_unsigned)
}
