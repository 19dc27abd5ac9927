//! splice(2): between a pipe and anything, without a copy.
//!
//! Decides nothing: which end is the pipe, whether to wait and whether more follows are the
//! caller's to know.

use std::os::fd::AsFd;

use bitflags::bitflags;
use nix::fcntl::{self, SpliceFFlags};

use super::error::retry;
use super::offset::Offset;
use super::{MAX_COUNT, Result};

bitflags! {
    /// How [`splice`], [`tee`](super::tee()) and [`vmsplice`](super::vmsplice()) go about it.
    /// Unknown bits are kept: the kernel answers them with `EINVAL`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct SpliceFlags: u32 {
        /// Move pages instead of copying them: a wish, ignored since Linux 2.6.21.
        const MOVE = libc::SPLICE_F_MOVE;
        /// Do not wait for the pipe. Says nothing to the other end, which must be `O_NONBLOCK`
        /// itself, and nothing to a disk: a file that is not in the page cache always blocks.
        const NONBLOCK = libc::SPLICE_F_NONBLOCK;
        /// More will follow at once, so a TCP sink may hold the last part of a packet back: for
        /// 200 ms if nothing comes, `TCP_NODELAY` or not. Never on the last piece, never on UDP.
        const MORE = libc::SPLICE_F_MORE;
        /// For vmsplice(2): the pages are a gift. They are never to be written again.
        const GIFT = libc::SPLICE_F_GIFT;

        const _ = !0;
    }
}

impl SpliceFlags {
    pub(super) fn to_nix(self) -> SpliceFFlags {
        SpliceFFlags::from_bits_retain(self.bits())
    }
}

/// Moves up to `length` bytes from `source` to `sink`, at least one of which is a pipe.
///
/// 0 is the end of the source: end of file, every writer gone, the peer's FIN. It is also the
/// answer to a `length` of 0, to which Linux does not even look at the descriptors, and, as is
/// `EAGAIN`, to an urgent byte of TCP: only [`receive`](super::receive) goes past that.
///
/// - `EAGAIN` does not say which side: no data, or no free slot in the pipe. A pipe counts slots,
///   not bytes: 16 splices of one byte fill 64 KiB. Fill an empty pipe only and it can only be the
///   source.
/// - Waits on an empty TCP source unless that is `O_NONBLOCK`, even with [`SpliceFlags::NONBLOCK`];
///   waits on a full sink unless that is. While it waits it holds the pipe's lock, and anything
///   else done with that pipe (even asking [`buffered`](super::buffered)) hangs with it.
/// - `EINVAL`: neither is a pipe, both are the same pipe, a flag is unknown, the sink is
///   `O_APPEND`, or that kind of file cannot. `ESPIPE`: an offset for a pipe. `EPIPE` raises
///   SIGPIPE and leaves the bytes in the pipe; reaching `RLIMIT_FSIZE` raises SIGXFSZ, even when
///   some bytes went through.
/// - One datagram a call from and to UDP: a `length` shorter than the datagram discards its tail.
///   Descriptors that travel over an `AF_UNIX` socket are dropped without a word.
pub fn splice(
    source: impl AsFd,
    source_offset: Option<&mut u64>,
    sink: impl AsFd,
    sink_offset: Option<&mut u64>,
    length: usize,
    flags: SpliceFlags,
) -> Result<usize> {
    let mut from = Offset::lend(source_offset)?;
    let mut to = Offset::lend(sink_offset)?;
    let length = length.min(MAX_COUNT);
    let moved = retry(|| {
        let (from, to) = (from.as_kernel(), to.as_kernel());
        fcntl::splice(&source, from, &sink, to, length, flags.to_nix())
    })?;
    from.store();
    to.store();
    Ok(moved)
}
