//! sendfile(2): file → anything, in one call.
//!
//! Decides nothing but the cut to [`MAX_COUNT`]. How much to ask for in one turn, and what to try
//! when a file system refuses, is the engine's.

use std::os::fd::AsFd;

use nix::sys::sendfile::sendfile64;

use super::Result;
use super::error::retry;
use super::offset::Offset;

/// The most bytes that Linux moves in one call: `INT_MAX` rounded down to a page.
pub const MAX_COUNT: usize = 0x7fff_f000;

/// Sends up to `count` bytes of `source` into `sink`; 0 at the end of the file.
///
/// The sink receives references to the pages of the file: what is written to the file before the
/// receiver has read shows. On a short count, also one that an error cut short, `offset` stands
/// exactly behind what the sink took.
///
/// - Blocks while the file comes from the disk, whatever is nonblocking; blocks on a full sink
///   unless that is `O_NONBLOCK`. A fast reader keeps one call busy for as long as `count` lasts.
/// - `EAGAIN`: the sink is full. `EINVAL`: the source cannot be mapped (a socket, a pipe, much of
///   /proc), or the sink is `O_APPEND`. `ESPIPE`: an offset for a source that has none. `EPIPE`
///   raises SIGPIPE, reaching `RLIMIT_FSIZE` SIGXFSZ, even when some bytes went through: see
///   [`without_signals`](super::without_signals).
/// - A file in /proc or /sys says it is empty but is not; one that shrinks ends early with 0.
pub fn sendfile(sink: impl AsFd, source: impl AsFd, offset: Option<&mut u64>, count: usize) -> Result<usize> {
    let mut offset = Offset::lend(offset)?;
    let count = count.min(MAX_COUNT);
    let sent = retry(|| sendfile64(&sink, &source, offset.as_kernel(), count))?;
    offset.store();
    Ok(sent)
}
