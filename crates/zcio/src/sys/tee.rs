//! tee(2): the same bytes into a second pipe.
//!
//! Decides nothing. That each byte teed is consumed from the source exactly once is up to the
//! caller, and that no other reader of the source comes between.

use std::os::fd::AsFd;

use nix::fcntl;

use super::error::retry;
use super::{MAX_COUNT, Result, SpliceFlags};

/// Lets the pipe `sink` refer to the first `length` bytes in the pipe `source`, consuming nothing.
///
/// A second call gives the same bytes again: whoever does not take the count out of the source
/// before it goes on duplicates for ever. 0 is the end: the source is empty and has no writer.
///
/// - `EAGAIN` (with [`SpliceFlags::NONBLOCK`], or `O_NONBLOCK` on kernels that look at it): the
///   source is empty or the sink is full, it does not say which.
/// - Short when the sink has fewer free slots than the source has full ones: only an empty sink
///   with at least the source's [`pipe_capacity`](super::pipe_capacity) takes everything.
/// - `EINVAL`: one is not a pipe, or both are the same. `EPIPE` raises SIGPIPE.
pub fn tee(source: impl AsFd, sink: impl AsFd, length: usize, flags: SpliceFlags) -> Result<usize> {
    retry(|| fcntl::tee(&source, &sink, length.min(MAX_COUNT), flags.to_nix()))
}
