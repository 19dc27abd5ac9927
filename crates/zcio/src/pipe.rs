//! A pipe of our own: two descriptors and the ring of page references between them.
//!
//! The kernel counts a pipe's capacity in slots of one page reference each, not in bytes, and may refuse to enlarge
//! it (`pipe-user-pages-soft`, `pipe-max-size`): what [`Pipe::set_capacity`] returns is what there is.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::sys::{self, Result};

/// A pipe, close-on-exec, both ends nonblocking.
#[derive(Debug)]
pub struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
}

impl Pipe {
    /// Makes a pipe of the default capacity: 64 KiB, or 8 KiB for a user who holds too many: `pipe2(2)`.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`.
    pub fn new() -> Result<Self> {
        sys::pipe().map(|(reader, writer)| Self { reader, writer })
    }

    /// The end to read from.
    #[must_use]
    pub fn reader(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }

    /// The end to write to.
    #[must_use]
    pub fn writer(&self) -> BorrowedFd<'_> {
        self.writer.as_fd()
    }

    /// Capacity in bytes, if every slot held a full page: `F_GETPIPE_SZ`.
    ///
    /// # Errors
    /// None on a pipe.
    pub fn capacity(&self) -> Result<usize> {
        sys::pipe_capacity(&self.writer)
    }

    /// Asks for a capacity in bytes and returns the one there is then, a power of two of pages: `F_SETPIPE_SZ`.
    ///
    /// # Errors
    /// `EBUSY`: what the pipe holds would not fit; `EPERM`: past the user's limits; `EINVAL`: more than 2 GiB.
    pub fn set_capacity(&self, bytes: usize) -> Result<usize> {
        sys::set_pipe_capacity(&self.writer, bytes)
    }

    /// Bytes in it: `FIONREAD`. Waits while another thread is inside a call on this pipe.
    ///
    /// # Errors
    /// None on a pipe.
    pub fn buffered(&self) -> Result<usize> {
        sys::buffered(&self.reader)
    }

    /// The two ends, reader first.
    #[must_use]
    pub fn into_ends(self) -> (OwnedFd, OwnedFd) {
        (self.reader, self.writer)
    }
}
