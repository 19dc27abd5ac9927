//! One transfer, from a source to a sink, as a state machine that never waits.
//!
//! [`Transfer::advance`] makes the calls of one turn and says where the transfer then stands; a
//! [driver](crate::drivers) waits for what it names, and calls again. All control flow of a transfer is in this
//! file: the [`route`] says which mechanisms to try; `direct`, `relay` and `buffered` make one attempt each and
//! decide nothing. One mechanism hands over to the next only with nothing in flight, at the exact byte.

mod bridge;
mod buffered;
mod call;
mod descent;
mod direct;
mod fan_out;
mod flow;
mod gift;
pub mod outcome;
mod owned;
pub mod plan;
mod relay;
mod request;
pub mod residency;
pub mod route;
mod task;

use crate::endpoint::{Endpoint, Facts, Kind};
use crate::kernel::Kernel;
use crate::pool::Plumbing;
use crate::stats;

pub use bridge::{Bridge, BridgeEnding};
pub use call::{Call, Operation};
use descent::Descent;
pub use fan_out::{FanOut, FanOutEnding, FanOutRequest, SinkEnding};
use flow::{Flow, Move, Outlet};
pub use gift::Gift;
pub use outcome::{Cause, Ending, Failure, Fallback, Mechanism, Outcome, Patience, Side, Step};
pub use request::Request;
use request::{Refused, settle};
use route::Pair;
pub use task::{Task, Turn};

/// The most one call moves from a file to something else, and one turn of such a transfer: one call's worth keeps a
/// fast receiver from holding its thread (nginx stops at 2 MiB for the same reason).
const TURN: u64 = 1 << 20;

/// The most one turn moves from what is not a file: until there is no more, mostly. What is left in a socket's queue has
/// left the processor's caches when the next turn comes, and queues grow while they wait: for 1 GB over 16 connections
/// through one thread, turns of 1 MiB took 0.4 to 0.9 s of CPU from run to run, and these 0.4.
const STREAM_TURN: u64 = 4 << 20;

/// The most one call copies between files: some 10 ms, so that progress and abort are prompt, and the call's own
/// cost is nothing.
const FILE_TURN: u64 = 32 << 20;

/// The most calls in one turn: a peer that sends byte by byte must not keep the thread for a megabyte of them.
const CALLS: u32 = 128;

/// A transfer under way.
#[derive(Debug)]
pub struct Transfer<K: Kernel> {
    flow: Flow<K>,
    descent: Descent,
    /// The end that a task's driver waits for.
    waiting: Option<Side>,
    /// A driver that waits for no disk has left it to one that does.
    was_cold: bool,
    running: stats::Running,
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
        request: Request,
    ) -> Result<Self, Failure> {
        let request = settle(&source.facts, &sink.facts, request)?;
        let pair = Pair { source: &source.facts, sink: &sink.facts, request: &request };
        let descent = Descent::begin(pair)?;
        let flow = Flow {
            source,
            source_offset: request.start,
            sink: Outlet::new(sink, request.sink_start),
            remaining: request.length,
            moved: 0,
        };
        Ok(Self { flow, descent, waiting: None, was_cold: false, running: stats::Running::start() })
    }

    /// The same after bytes that were read from the source before: they go first, and count. What of them lies
    /// beyond the request's length comes back as the outcome's residual.
    #[must_use]
    pub fn with_head(mut self, head: Vec<u8>) -> Self {
        self.flow.sink.carry = head.into();
        self
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
    pub fn facts(&self, side: Side) -> &Facts {
        match side {
            Side::Source => &self.flow.source.facts,
            Side::Sink => &self.flow.sink.facts,
        }
    }

    /// An end whose calls can wait for a peer, where the request did not say that the driver must not be held up.
    #[must_use]
    pub fn blocking_end(&self) -> Option<Side> {
        let blocks = |side: &Side| !self.descent.is_asynchronous() && self.facts(*side).can_block();
        [Side::Source, Side::Sink].into_iter().find(blocks)
    }

    /// Whether both ends are files: then every call may wait for a disk, and none for a peer.
    #[must_use]
    pub fn is_between_files(&self) -> bool {
        self.flow.source.facts.kind == Kind::File && self.flow.sink.facts.kind == Kind::File
    }

    /// Makes the calls of one turn.
    pub fn advance(&mut self, plumbing: &Plumbing<K>, patience: Patience) -> Step {
        let kernel = &plumbing.kernel;
        let mut turn = self.most_of_a_turn();
        let mut calls = CALLS;
        // Invariant: what has been taken from the source and not reached the sink is in `flow`, and nowhere else.
        loop {
            if self.flow.remaining == Some(0) {
                return self.finish(kernel, patience);
            }
            if turn == 0 || calls == 0 {
                return Step::Again;
            }
            calls -= 1;
            if patience == Patience::None && !self.is_ready(kernel, turn) {
                self.was_cold = true;
                return Step::Disk;
            }
            let ended = match self.attempt(plumbing, turn) {
                Move::Bytes(bytes) => {
                    self.count(bytes);
                    turn = turn.saturating_sub(bytes);
                    continue;
                }
                Move::Taken => continue,
                Move::Blocked(side) => return Step::Wait(side),
                Move::End if self.is_really_over(kernel) => return self.finish(kernel, patience),
                Move::End => self.demote("EMPTY"),
                Move::Refused(errno) => self.demote(errno.name()),
                Move::Nothing => self.try_once_more(),
                Move::Failed(side, errno, call) => Err((Cause::System { errno, call }, side)),
            };
            if let Err((cause, side)) = ended {
                return Step::End(Err(self.stop(plumbing, cause, side)));
            }
        }
    }

    fn most_of_a_turn(&self) -> u64 {
        match (self.flow.source.facts.kind, self.flow.sink.facts.kind) {
            (Kind::File, Kind::File) => FILE_TURN,
            (Kind::File, _) => TURN,
            _ => STREAM_TURN,
        }
    }

    /// Ends it early: what was taken from the source and not accepted by the sink is given back.
    pub fn stop(&mut self, plumbing: &Plumbing<K>, cause: Cause, side: Option<Side>) -> Failure {
        relay::pour_out(plumbing, &mut self.flow.sink);
        let residual = self.flow.take_back(&plumbing.kernel);
        self.failure(cause, side, residual)
    }

    fn attempt(&mut self, plumbing: &Plumbing<K>, most: u64) -> Move {
        let kernel = &plumbing.kernel;
        if self.flow.sink.carry.is_pending() {
            let most = self.flow.at_most(u64::MAX);
            return buffered::drain(kernel, &mut self.flow.sink, most);
        }
        match self.descent.mechanism() {
            Mechanism::Reflink => direct::reflink(kernel, &mut self.flow),
            Mechanism::CopyFileRange => direct::copy_file_range(kernel, &mut self.flow, most),
            Mechanism::Sendfile => direct::sendfile(kernel, &mut self.flow, most),
            Mechanism::Splice if self.has_pipe() => direct::splice(kernel, &mut self.flow, most),
            Mechanism::Splice => relay::splice(plumbing, &mut self.flow, most),
            Mechanism::ReadWrite => {
                let length = self.flow.at_most(buffered::CAPACITY as u64);
                let Flow { source, source_offset, sink, .. } = &mut self.flow;
                match buffered::fill(kernel, (source, source_offset), &mut sink.carry, length) {
                    Move::End => self.flow.ended(kernel),
                    filled => filled,
                }
            }
        }
    }

    fn count(&mut self, bytes: u64) {
        self.flow.count(bytes);
        self.descent.count(bytes);
    }

    fn has_pipe(&self) -> bool {
        route::has_pipe(&self.flow.source.facts, &self.flow.sink.facts)
    }

    /// Whether the next attempt can be made on a thread that must not wait for a disk.
    fn is_ready(&self, kernel: &K, turn: u64) -> bool {
        let Flow { source, sink, .. } = &self.flow;
        let writes_now = sink.is_carrying() || self.has_pipe();
        if sink.facts.kind == Kind::File && (writes_now || source.facts.kind == Kind::File) {
            return false;
        }
        source.facts.kind != Kind::File || sink.is_carrying() || {
            // Behind the end nothing is cold: what is asked for must not reach there.
            let position = self.flow.source_position();
            let to_the_end = source.facts.size.saturating_sub(position);
            let length = (self.flow.at_most(turn) as u64).min(to_the_end);
            residency::is_resident(kernel, source, position, length)
        }
    }

    /// A call that has moved nothing and says «end» may just not know how to read this file: those of /proc have
    /// no size, and some kernels' `copy_file_range` returns 0 there. Only `read(2)` is believed. A stream's end can
    /// be read only once, and is what it says.
    fn is_really_over(&self, kernel: &K) -> bool {
        let Endpoint { handle, facts } = &self.flow.source;
        self.descent.has_moved()
            || self.descent.mechanism() == Mechanism::ReadWrite
            || matches!(facts.kind, Kind::Pipe | Kind::Socket | Kind::CharDevice)
            || kernel.read(handle, &mut [0], Some(self.flow.source_position())) == Ok(0)
    }

    fn try_once_more(&mut self) -> Result<(), Refused> {
        if self.descent.is_stuck() { self.demote("NO_PROGRESS") } else { Ok(()) }
    }

    /// Gives up the present rung for the next that fits, at the byte where it stood.
    fn demote(&mut self, code: &'static str) -> Result<(), Refused> {
        let Flow { source, source_offset, sink, remaining, .. } = &self.flow;
        let request = self.descent.request(*source_offset, sink.offset, *remaining);
        let pair = Pair { source: &source.facts, sink: &sink.facts, request: &request };
        self.descent.demote(pair, code).map_err(|cause| (cause, None))
    }

    fn finish(&mut self, kernel: &K, patience: Patience) -> Step {
        let Endpoint { facts, .. } = &self.flow.source;
        if self.was_cold && patience == Patience::Disk && facts.kind == Kind::File && !self.is_between_files()
        {
            residency::remember(kernel, &self.flow.source);
        }
        self.running.complete();
        let beyond = self.flow.sink.carry.take();
        Step::End(Ok(self.outcome(beyond)))
    }

    fn failure(&mut self, cause: Cause, side: Option<Side>, residual: Vec<u8>) -> Failure {
        Failure { cause, side, outcome: self.outcome(residual) }
    }

    fn outcome(&mut self, residual: Vec<u8>) -> Outcome {
        Outcome {
            bytes: self.flow.moved,
            mechanism: self.descent.mechanism(),
            fallbacks: self.descent.take_fallbacks(),
            residual,
        }
    }
}
