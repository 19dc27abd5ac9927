//! The moves that are one call: nothing is ever in flight between source and sink.

use crate::endpoint::{Endpoint, Kind};
use crate::kernel::Kernel;
use crate::sys::{Errno, Result};

use super::flow::{Flow, Move};
use super::outcome::Side;
use super::relay::PAST_MARK;
use super::{buffered, route};

/// Clones the whole source into a sink that has no head yet. The positions move as if the bytes had been copied.
pub fn reflink<K: Kernel>(kernel: &K, flow: &mut Flow<K>) -> Move {
    if flow.moved > 0 {
        return Move::Refused(Errno::INVAL);
    }
    // By its size and not just «all»: what has grown since would be more than was asked for and is counted.
    let size = flow.source.facts.size;
    match kernel.reflink(&flow.sink.handle, &flow.source.handle, size) {
        Ok(()) => flow
            .skip(kernel, size)
            .map_or_else(|errno| Move::Failed(None, errno, "lseek"), |()| flow.end_after(size)),
        Err(errno) => failed(errno, "ioctl_ficlonerange"),
    }
}

/// One `copy_file_range(2)` of at most `most` bytes.
pub fn copy_file_range<K: Kernel>(kernel: &K, flow: &mut Flow<K>, most: u64) -> Move {
    let length = flow.at_most(most);
    let Flow { source, sink, source_offset, .. } = flow;
    let moved = kernel.copy_file_range(
        &source.handle,
        source_offset.as_mut(),
        &sink.handle,
        sink.offset.as_mut(),
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

/// One `splice(2)` of at most `most` bytes where an end is a pipe already.
pub fn splice<K: Kernel>(kernel: &K, flow: &mut Flow<K>, most: u64) -> Move {
    if would_lock_the_pipe(kernel, flow) {
        return Move::Blocked(Side::Source);
    }
    let length = flow.at_most(most);
    let Flow { source, source_offset, sink, .. } = flow;
    let spliced =
        kernel.splice(&source.handle, source_offset.as_mut(), &sink.handle, sink.offset.as_mut(), length);
    match spliced {
        // Or an urgent byte, which to receive leaves out.
        Ok(0) if source.facts.kind == Kind::Socket => {
            buffered::fill(kernel, (source, source_offset), &mut sink.carry, length.min(PAST_MARK))
        }
        Ok(0) => flow.ended(kernel),
        Ok(bytes) => Move::Bytes(bytes as u64),
        Err(Errno::AGAIN) => blocked(kernel, flow),
        Err(Errno::IO) if source.facts.is_terminal_master => Move::End,
        Err(errno) if route::demotes(errno) => Move::Refused(errno),
        Err(Errno::PIPE) => Move::Failed(Some(Side::Sink), Errno::PIPE, "splice"),
        Err(errno) => Move::Failed(Some(blamed(flow)), errno, "splice"),
    }
}

/// While a call waits for a source without `O_NONBLOCK`, it keeps everybody from the pipe, and whoever would read what
/// is in it hangs beyond the reach of signals. So it is not made before there is something.
fn would_lock_the_pipe<K: Kernel>(kernel: &K, flow: &Flow<K>) -> bool {
    let Endpoint { handle, facts } = &flow.source;
    facts.kind != Kind::Pipe && facts.can_block() && !kernel.readiness(handle).readable()
}

/// `EAGAIN` does not say which end is not ready.
fn blocked<K: Kernel>(kernel: &K, flow: &Flow<K>) -> Move {
    if flow.source.facts.kind != Kind::File && !kernel.readiness(&flow.source.handle).readable() {
        return Move::Blocked(Side::Source);
    }
    let sink_is_ready = kernel.readiness(&flow.sink.handle).writable();
    if sink_is_ready { Move::Nothing } else { Move::Blocked(Side::Sink) }
}

/// A pipe has no errors of its own but `EPIPE`: what else goes wrong is the other end's.
fn blamed<K: Kernel>(flow: &Flow<K>) -> Side {
    if flow.source.facts.kind == Kind::Pipe { Side::Sink } else { Side::Source }
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

/// The source is a file: no space, a limit, a peer that is gone can only be the sink's. Of the rest the call does not
/// tell whose it is: `ESTALE`, say, or a server that does not answer.
fn failed(errno: Errno, call: &'static str) -> Move {
    const OF_THE_SINK: [Errno; 5] = [Errno::NOSPC, Errno::DQUOT, Errno::FBIG, Errno::PIPE, Errno::CONNRESET];
    if route::demotes(errno) {
        return Move::Refused(errno);
    }
    Move::Failed(OF_THE_SINK.contains(&errno).then_some(Side::Sink), errno, call)
}
