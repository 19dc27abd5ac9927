//! One transfer, from a source to a sink, as a state machine that never waits.
//!
//! [`Transfer::advance`] makes the calls of one turn and says where the transfer then stands; a
//! [driver](crate::drivers) waits for what it names, and calls again. All control flow of a transfer is in this
//! file: the [`route`] says which mechanisms to try, [`direct`] and [`buffered`] make one attempt each and decide
//! nothing. One mechanism hands over to the next only with nothing in flight, at the exact byte.

mod buffered;
mod direct;
mod flow;
pub mod outcome;
pub mod residency;
pub mod route;

use std::sync::Arc;

use crate::endpoint::{Endpoint, Facts, Kind};
use crate::kernel::{Kernel, Linux};
use crate::sys::{self, Errno, Fd};

use flow::{Flow, Move};
pub use outcome::{Cause, Ending, Failure, Fallback, Mechanism, Outcome, Patience, Side, Step};
use route::Pair;

/// What is wanted of a transfer. The default: everything from here on, the best way there is, else by copying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// First byte of a file source, whose position then stays; `None`: from its position, which moves.
    pub start: Option<u64>,
    /// The same for a file sink.
    pub sink_start: Option<u64>,
    /// At most so many bytes; `None`: to the end of the source.
    pub length: Option<u64>,
    /// Go through user space where the kernel offers no other way. Off: fail with [`Cause::CopyRequired`].
    pub fallback: bool,
    /// Never pass pages by reference, so that the receiver does not see later writes to the source.
    pub snapshot: bool,
    /// The driver must not be held up by a descriptor without `O_NONBLOCK`.
    pub asynchronous: bool,
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
        }
    }
}

/// The most one call moves to something that is not a file, and one turn of a transfer: one call's worth keeps a
/// fast receiver from holding its thread (nginx stops at 2 MiB for the same reason).
const TURN: u64 = 1 << 20;

/// The most one call copies between files: some 10 ms, so that progress and abort are prompt, and the call's own
/// cost is nothing.
const FILE_TURN: u64 = 32 << 20;

/// A transfer under way.
#[derive(Debug)]
pub struct Transfer<K: Kernel> {
    flow: Flow<K>,
    request: Request,
    ladder: &'static [Mechanism],
    rung: usize,
    /// Bytes moved by the present rung: tells «not this way» from «no more».
    moved_by_rung: u64,
    fallbacks: Vec<Fallback>,
}

impl<K: Kernel> Transfer<K> {
    /// Prepares a transfer; nothing moves yet.
    ///
    /// # Errors
    /// Where it could only fail: ends that are not open for reading and writing, offsets on what has none, a file
    /// copied onto its own bytes, ends that would hold up an asynchronous driver, `fallback: false` where only a
    /// copy is left.
    pub fn new(
        source: Endpoint<K::Handle>,
        sink: Endpoint<K::Handle>,
        mut request: Request,
    ) -> Result<Self, Failure> {
        let (from, to) = (&source.facts, &sink.facts);
        let ladder = route::ladder(from.kind, to.kind);
        bound_to_itself(Pair { source: from, sink: to, request: &request })
            .map(|length| request.length = length)
            .and_then(|()| check(Pair { source: from, sink: to, request: &request }))
            .map_err(|(cause, side)| Failure::early(cause, side))?;
        let flow = Flow {
            source,
            sink,
            source_offset: request.start,
            sink_offset: request.sink_start,
            remaining: request.length,
            moved: 0,
            carry: buffered::Carry::default(),
        };
        let mut transfer = Self { flow, request, ladder, rung: 0, moved_by_rung: 0, fallbacks: Vec::new() };
        match transfer.skip_ruled_out() {
            Ok(()) => Ok(transfer),
            Err(cause) => Err(transfer.failure(cause, None, Vec::new())),
        }
    }

    /// Bytes that the sink has accepted so far.
    #[must_use]
    pub const fn moved(&self) -> u64 {
        self.flow.moved
    }

    /// The handle of an end, for a driver to wait on.
    #[must_use]
    pub const fn handle(&self, side: Side) -> &K::Handle {
        match side {
            Side::Source => &self.flow.source.handle,
            Side::Sink => &self.flow.sink.handle,
        }
    }

    /// What is known about an end.
    #[must_use]
    pub const fn facts(&self, side: Side) -> &Facts {
        match side {
            Side::Source => &self.flow.source.facts,
            Side::Sink => &self.flow.sink.facts,
        }
    }

    /// An end whose calls can wait for a peer, where the request did not say that the driver must not be held up.
    #[must_use]
    pub fn blocking_end(&self) -> Option<Side> {
        let blocks = |side: &Side| !self.request.asynchronous && self.facts(*side).can_block();
        [Side::Source, Side::Sink].into_iter().find(blocks)
    }

    /// Whether its calls may wait for a disk even where nothing is to be read from one: writing a file can be
    /// throttled, cloning and copying are the file system's own affair.
    #[must_use]
    pub fn belongs_on_disk_thread(&self) -> bool {
        self.flow.sink.facts.kind == Kind::File
    }

    /// Makes the calls of one turn.
    pub fn advance(&mut self, kernel: &K, patience: Patience) -> Step {
        let mut turn = if self.belongs_on_disk_thread() { FILE_TURN } else { TURN };
        // Invariant: nothing is in flight but `flow.carry`; `flow.moved` bytes have reached the sink.
        loop {
            if self.flow.remaining == Some(0) {
                return self.finish(kernel, patience);
            }
            if turn == 0 {
                return Step::Again;
            }
            if patience == Patience::None && !self.is_ready(kernel, turn) {
                return Step::Disk;
            }
            match self.attempt(kernel, turn) {
                Move::Bytes(bytes) => {
                    self.flow.count(bytes);
                    self.moved_by_rung += bytes;
                    turn = turn.saturating_sub(bytes);
                }
                Move::End if self.is_really_over(kernel) => return self.finish(kernel, patience),
                Move::End => {
                    if let Err(cause) = self.demote("EMPTY") {
                        return Step::End(Err(self.stop(kernel, cause, None)));
                    }
                }
                Move::Blocked(side) => return Step::Wait(side),
                Move::Refused(errno) => {
                    if let Err(cause) = self.demote(errno.name()) {
                        return Step::End(Err(self.stop(kernel, cause, None)));
                    }
                }
                Move::Failed(side, errno, call) => {
                    return Step::End(Err(self.stop(kernel, Cause::System { errno, call }, side)));
                }
            }
        }
    }

    /// Ends it early: what was taken from the source and not accepted by the sink is given back.
    pub fn stop(&mut self, kernel: &K, cause: Cause, side: Option<Side>) -> Failure {
        let residual = self.flow.take_back(kernel);
        self.failure(cause, side, residual)
    }

    fn attempt(&mut self, kernel: &K, most: u64) -> Move {
        match self.mechanism() {
            Mechanism::Reflink => direct::reflink(kernel, &mut self.flow),
            Mechanism::CopyFileRange => direct::copy_file_range(kernel, &mut self.flow, most),
            Mechanism::Sendfile => direct::sendfile(kernel, &mut self.flow, most),
            Mechanism::ReadWrite => buffered::read_write(kernel, &mut self.flow),
        }
    }

    fn mechanism(&self) -> Mechanism {
        self.ladder[self.rung.min(self.ladder.len() - 1)]
    }

    /// Whether the next attempt can be made on a thread that must not wait for a disk.
    fn is_ready(&self, kernel: &K, turn: u64) -> bool {
        if self.belongs_on_disk_thread() {
            return false;
        }
        let source = &self.flow.source;
        source.facts.kind != Kind::File || !self.flow.carry.pending().is_empty() || {
            let position = self.flow.source_position();
            let to_the_end = source.facts.size.saturating_sub(position);
            let length = (self.flow.at_most(turn) as u64).min(to_the_end);
            residency::is_resident(kernel, source, position, length)
        }
    }

    /// A call that has moved nothing and says «end» may just not know how to read this file: those of /proc have
    /// no size, and some kernels' `copy_file_range` returns 0 there. Only `read(2)` is believed.
    fn is_really_over(&self, kernel: &K) -> bool {
        self.moved_by_rung > 0
            || self.mechanism() == Mechanism::ReadWrite
            || kernel.read(&self.flow.source.handle, &mut [0], Some(self.flow.source_position())) == Ok(0)
    }

    /// Gives up the present rung for the next that fits, at the byte where it stood.
    fn demote(&mut self, code: &'static str) -> Result<(), Cause> {
        self.fallbacks.push(Fallback { mechanism: self.mechanism(), code });
        self.rung += 1;
        self.moved_by_rung = 0;
        self.skip_ruled_out()
    }

    /// Moves on to the first rung, from the present one, that no rule excludes.
    fn skip_ruled_out(&mut self) -> Result<(), Cause> {
        while let Some(&mechanism) = self.ladder.get(self.rung) {
            let pair =
                Pair { source: &self.flow.source.facts, sink: &self.flow.sink.facts, request: &self.request };
            let Some(rule) = route::ruled_out(mechanism, pair) else { break };
            self.fallbacks.push(Fallback { mechanism, code: rule.code });
            self.rung += 1;
        }
        let copies = self.mechanism() == Mechanism::ReadWrite;
        if copies && !self.request.fallback { Err(Cause::CopyRequired) } else { Ok(()) }
    }

    fn finish(&mut self, kernel: &K, patience: Patience) -> Step {
        if patience == Patience::Disk
            && self.flow.source.facts.kind == Kind::File
            && !self.belongs_on_disk_thread()
        {
            residency::remember(kernel, &self.flow.source);
        }
        Step::End(Ok(self.outcome(Vec::new())))
    }

    fn failure(&mut self, cause: Cause, side: Option<Side>, residual: Vec<u8>) -> Failure {
        Failure { cause, side, outcome: self.outcome(residual) }
    }

    fn outcome(&mut self, residual: Vec<u8>) -> Outcome {
        Outcome {
            bytes: self.flow.moved,
            mechanism: self.mechanism(),
            fallbacks: std::mem::take(&mut self.fallbacks),
            residual,
        }
    }
}

impl Transfer<Linux<'_>> {
    /// Makes it independent of the descriptors it has borrowed, by duplicating them.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`; the transfer has then been stopped.
    pub fn into_owned(mut self) -> Result<Transfer<Linux<'static>>, Failure> {
        let share = |side| match self.handle(side) {
            Fd::Shared(fd) => Ok(Arc::clone(fd)),
            fd => sys::duplicate(fd).map(Arc::new),
        };
        match share(Side::Source).and_then(|source| Ok((source, share(Side::Sink)?))) {
            Ok((source, sink)) => {
                let Self { flow, request, ladder, rung, moved_by_rung, fallbacks } = self;
                let flow = flow.with_handles(source.into(), sink.into());
                Ok(Transfer { flow, request, ladder, rung, moved_by_rung, fallbacks })
            }
            Err(errno) => Err(self.stop(&Linux::new(), Cause::System { errno, call: "fcntl" }, None)),
        }
    }

    /// Gives it a descriptor of its own for this end, in place of one that others have too.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`.
    pub fn unshare(&mut self, side: Side) -> sys::Result<()> {
        let own = sys::duplicate(self.handle(side))?;
        match side {
            Side::Source => self.flow.source.handle = own.into(),
            Side::Sink => self.flow.sink.handle = own.into(),
        }
        Ok(())
    }
}

/// Refuses what could only fail, before anything has moved.
fn check(pair: Pair<'_>) -> Result<(), (Cause, Option<Side>)> {
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
        if request.asynchronous && facts.can_block() && facts.kind != Kind::Socket {
            return Err((Cause::Blocking, Some(side)));
        }
    }
    Ok(())
}

/// The length of a transfer within one file, which must end where the file ends now (it would chase its own tail)
/// and must not write what it has yet to read.
fn bound_to_itself(pair: Pair<'_>) -> Result<Option<u64>, (Cause, Option<Side>)> {
    let Pair { source, sink, request } = pair;
    let same =
        source.kind == Kind::File && sink.kind == Kind::File && source.identity.is_same_file(&sink.identity);
    if !same {
        return Ok(request.length);
    }
    let start = request.start.unwrap_or(source.position);
    let length = source.size.saturating_sub(start).min(request.length.unwrap_or(u64::MAX));
    let sink_start = if sink.append { sink.size } else { request.sink_start.unwrap_or(sink.position) };
    if start < sink_start.saturating_add(length) && sink_start < start.saturating_add(length) {
        return Err((Cause::Unsupported("source and sink overlap in one file"), None));
    }
    Ok(Some(length))
}
