//! The moves that are one call: nothing is ever in flight between source and sink.

use crate::kernel::Kernel;
use crate::sys::{Errno, Result};

use super::flow::{Flow, Move};
use super::outcome::Side;
use super::route;

/// Clones the whole source, once. The positions move as if the bytes had been copied.
pub fn reflink<K: Kernel>(kernel: &K, flow: &mut Flow<K>) -> Move {
    if flow.moved > 0 {
        return Move::End;
    }
    // By its size and not just «all»: what has grown since would be more than was asked for and is counted.
    let size = flow.source.facts.size;
    match kernel.reflink(&flow.sink.handle, &flow.source.handle, size) {
        Ok(()) => flow
            .skip(kernel, size)
            .map_or_else(|errno| Move::Failed(None, errno, "lseek"), |()| Move::Bytes(size)),
        Err(errno) => failed(errno, "ioctl_ficlonerange"),
    }
}

/// One `copy_file_range(2)` of at most `most` bytes.
pub fn copy_file_range<K: Kernel>(kernel: &K, flow: &mut Flow<K>, most: u64) -> Move {
    let length = flow.at_most(most);
    let Flow { source, sink, source_offset, sink_offset, .. } = flow;
    let moved = kernel.copy_file_range(
        &source.handle,
        source_offset.as_mut(),
        &sink.handle,
        sink_offset.as_mut(),
        length,
    );
    moved_by(moved, "copy_file_range")
}

/// One `sendfile(2)` of at most `most` bytes.
pub fn sendfile<K: Kernel>(kernel: &K, flow: &mut Flow<K>, most: u64) -> Move {
    let count = flow.at_most(most);
    let moved = kernel.sendfile(&flow.sink.handle, &flow.source.handle, flow.source_offset.as_mut(), count);
    moved_by(moved, "sendfile")
}

/// What an attempt came to. The source of these calls is a file, which never answers `EAGAIN`: the sink is full.
fn moved_by(moved: Result<usize>, call: &'static str) -> Move {
    match moved {
        Ok(0) => Move::End,
        Ok(bytes) => Move::Bytes(bytes as u64),
        Err(Errno::AGAIN) => Move::Blocked(Side::Sink),
        Err(errno) => failed(errno, call),
    }
}

/// What does not mean «not this way» can only come from the sink: no space, a limit, a peer that is gone.
fn failed(errno: Errno, call: &'static str) -> Move {
    if route::demotes(errno) { Move::Refused(errno) } else { Move::Failed(Some(Side::Sink), errno, call) }
}
