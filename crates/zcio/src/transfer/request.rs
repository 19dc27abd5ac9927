//! What is wanted of a transfer, and whether it can be had: what could only fail is refused before anything moves.

use crate::config;
use crate::endpoint::{Facts, Kind};
use crate::mechanism::Mechanisms;
use crate::sys::Errno;

use super::outcome::{Cause, Failure, Side};
use super::route::Pair;

/// What is wanted of a transfer. The default: everything from here on, the best way there is, else by copying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// First byte of a file source, whose position then stays; `None`: from its position, which moves.
    pub start: Option<u64>,
    /// The same for a file sink.
    pub sink_start: Option<u64>,
    /// At most so many bytes; `None`: to the end of the source.
    pub length: Option<u64>,
    /// Go through user space where the kernel offers no other way, or where that costs less. Off: fail with
    /// [`Cause::CopyRequired`].
    pub fallback: bool,
    /// Never pass pages by reference, so that the receiver does not see later writes to the source.
    pub snapshot: bool,
    /// The driver must not be held up by a descriptor without `O_NONBLOCK`.
    pub asynchronous: bool,
    /// Not to be used, nor what the [configuration](config::Switch) switches off. Read and write is always there.
    pub switched_off: Mechanisms,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            start: None,
            sink_start: None,
            length: None,
            fallback: true,
            snapshot: false,
            asynchronous: false,
            switched_off: Mechanisms::NONE,
        }
    }
}

/// Why a transfer is refused, and which end is to blame.
pub(super) type Refused = (Cause, Option<Side>);

/// The request as it holds for these two ends: what it leaves to the configuration and to the ends filled in.
///
/// # Errors
/// What could only fail, before anything has moved.
pub(super) fn settle(source: &Facts, sink: &Facts, mut request: Request) -> Result<Request, Failure> {
    let early = |(cause, side)| Failure::early(cause, side);
    request.length = bound_to_itself(Pair { source, sink, request: &request }).map_err(early)?;
    check(Pair { source, sink, request: &request }).map_err(early)?;
    request.switched_off = request.switched_off | config::switched_off();
    Ok(request)
}

/// Refuses what could only fail.
fn check(pair: Pair<'_>) -> Result<(), Refused> {
    let Pair { source, sink, request } = pair;
    let system = |errno, call, side| Err((Cause::System { errno, call }, Some(side)));
    if !source.readable {
        return system(Errno::BADF, "read", Side::Source);
    }
    if !sink.writable {
        return system(Errno::BADF, "write", Side::Sink);
    }
    for (facts, offset, side) in
        [(source, request.start, Side::Source), (sink, request.sink_start, Side::Sink)]
    {
        if offset.is_some() && matches!(facts.kind, Kind::Pipe | Kind::Socket) {
            return system(Errno::SPIPE, "lseek", side);
        }
        if offset.is_some() && side == Side::Sink && facts.append {
            return Err((Cause::Unsupported("O_APPEND writes at the end, whatever the offset"), Some(side)));
        }
        if request.asynchronous && facts.can_block() && facts.kind != Kind::Socket {
            return Err((Cause::Blocking, Some(side)));
        }
    }
    Ok(())
}

/// The length of a transfer within one file, which must end where the file ends now (it would chase its own tail)
/// and must not write what it has yet to read.
fn bound_to_itself(pair: Pair<'_>) -> Result<Option<u64>, Refused> {
    let Pair { source, sink, request } = pair;
    if !source.is_one_with(sink) {
        return Ok(request.length);
    }
    if source.kind == Kind::Pipe {
        return Err((Cause::Unsupported("source and sink are one pipe"), None));
    }
    let start = request.start.unwrap_or(source.position);
    let length = source.size.saturating_sub(start).min(request.length.unwrap_or(u64::MAX));
    let sink_start = if sink.append { sink.size } else { request.sink_start.unwrap_or(sink.position) };
    if start < sink_start.saturating_add(length) && sink_start < start.saturating_add(length) {
        return Err((Cause::Unsupported("source and sink overlap in one file"), None));
    }
    Ok(Some(length))
}
