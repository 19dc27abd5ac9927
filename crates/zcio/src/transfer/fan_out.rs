//! One source, many sinks: what is in one pipe is duplicated by `tee(2)`, and no byte is copied.
//!
//! A round: what the source gives is taken into a pipe for the last sink, duplicated from there into a pipe for each of
//! the others, and goes out of all of them; the next begins when the slowest has accepted its share. Where no pipe can
//! be had, or the kernel will not duplicate, each round is read once and written to every sink.

use std::time::{Duration, Instant};

use crate::endpoint::{Endpoint, Facts, Kind};
use crate::kernel::Kernel;
use crate::pool::Plumbing;
use crate::stats;
use crate::sys::{Errno, Events, Interest};

use super::branch::{Branch, State};
use super::buffered::{self, Carry};
use super::flow::{self, Move};
use super::outcome::{Cause, Fallback, Mechanism, Patience};
use super::{Task, Turn, relay, residency};

/// The most that one turn takes from the source.
const TURN: u64 = 1 << 20;

/// The most that one round takes: what a pipe holds that has not been grown.
const ROUND: usize = 64 * 1024;

/// A pipe had fewer slots than the one that was to be duplicated into it.
const SHORT_TEE: &str = "SHORT_TEE";

/// What is wanted of a fan-out. The default: everything from here on, to all sinks or to none.
#[derive(Debug, Clone, Copy, Default)]
pub struct FanOutRequest {
    /// First byte of a file source, whose position then stays; `None`: from its position, which moves.
    pub start: Option<u64>,
    /// At most so many bytes; `None`: to the end of the source.
    pub length: Option<u64>,
    /// Go on without a sink that fails, as long as there is another. Off: the first failure ends it.
    pub drop_failed: bool,
    /// Go on without a sink that has accepted nothing for so long while the others wait for it.
    pub sink_timeout: Option<Duration>,
}

/// One source on its way to many sinks.
#[derive(Debug)]
pub struct FanOut<K: Kernel> {
    source: Endpoint<K::Handle>,
    source_offset: Option<u64>,
    branches: Vec<Branch<K>>,
    remaining: Option<u64>,
    /// Bytes taken from the source.
    taken: u64,
    /// The bytes of this round, where it is copied.
    shared: Carry,
    /// Why rounds are copied.
    copies: Option<&'static str>,
    waits_for_source: bool,
    drop_failed: bool,
    sink_timeout: Option<Duration>,
    running: stats::Running,
}

/// How a fan-out ended.
#[derive(Debug)]
pub struct FanOutEnding {
    /// Bytes taken from the source and accepted by every sink that stayed.
    pub bytes: u64,
    /// What became of each sink, in the order in which they were given.
    pub sinks: Vec<SinkEnding>,
    /// Why it ended before the end of the source, and which end is to blame: 0 the source, then the sinks.
    pub failure: Option<(Cause, Option<usize>)>,
    /// Why bytes were copied, where they were.
    pub fallbacks: Vec<Fallback>,
    /// Bytes taken from a source that cannot be read again which a sink that stayed has not accepted.
    pub residual: Vec<u8>,
}

/// What became of one sink.
#[derive(Debug, Clone, Copy)]
pub struct SinkEnding {
    /// Bytes that it accepted.
    pub bytes: u64,
    /// How they came to it.
    pub mechanism: Mechanism,
    /// Why it was left out.
    pub failure: Option<Cause>,
}

impl<K: Kernel> FanOut<K> {
    /// Prepares a fan-out; nothing moves yet.
    ///
    /// # Errors
    /// Where it could only fail: no sink, ends that are not open for reading or writing (0: the source, then the
    /// sinks), an offset on what has none.
    pub fn new(
        source: Endpoint<K::Handle>,
        sinks: Vec<Endpoint<K::Handle>>,
        request: FanOutRequest,
    ) -> Result<Self, (Cause, Option<usize>)> {
        let system = |errno, call, end| Err((Cause::System { errno, call }, Some(end)));
        if sinks.is_empty() {
            return Err((Cause::Unsupported("a fan-out without a sink"), None));
        }
        if !source.facts.readable {
            return system(Errno::BADF, "read", 0);
        }
        if request.start.is_some() && matches!(source.facts.kind, Kind::Pipe | Kind::Socket) {
            return system(Errno::SPIPE, "lseek", 0);
        }
        if let Some(sink) = sinks.iter().position(|sink| !sink.facts.writable) {
            return system(Errno::BADF, "write", sink + 1);
        }
        Ok(Self {
            source,
            source_offset: request.start,
            branches: sinks.into_iter().map(Branch::new).collect(),
            remaining: request.length,
            taken: 0,
            shared: Carry::default(),
            copies: None,
            waits_for_source: false,
            drop_failed: request.drop_failed,
            sink_timeout: request.sink_timeout,
            running: stats::Running::start(),
        })
    }

    /// The same after bytes that were read from the source before: they go first, and count. They must not be more than
    /// the request's length.
    #[must_use]
    pub fn with_head(mut self, head: Vec<u8>) -> Self {
        self.taken = head.len() as u64;
        self.remaining = self.remaining.map(|remaining| remaining.saturating_sub(self.taken));
        self.shared = head.into();
        self.hand_out_copy();
        self
    }

    /// Gives every sink what it can take now. Ends the fan-out where one has failed and may not.
    fn drain(&mut self, plumbing: &Plumbing<K>, patience: Patience) -> Result<(), (Cause, Option<usize>)> {
        for (index, branch) in self.branches.iter_mut().enumerate() {
            let may_wait_for_disk = branch.sink.facts.kind == Kind::File;
            if patience == Patience::Disk || !may_wait_for_disk {
                branch.drain(plumbing, self.shared.pending());
            }
            if let (Some(limit), Some(since)) = (self.sink_timeout, branch.waiting_since)
                && since.elapsed() >= limit
            {
                branch.fail(Cause::TimedOut);
            }
            if let State::Failed(cause) = branch.state
                && !self.drop_failed
                && cause != Cause::TimedOut
            {
                return Err((cause, Some(index + 1)));
            }
        }
        match self.branches.iter().rposition(Branch::is_alive) {
            Some(_) => Ok(()),
            None => Err(self.last_failure()),
        }
    }

    fn last_failure(&self) -> (Cause, Option<usize>) {
        let failed = |(index, branch): (usize, &Branch<K>)| match branch.state {
            State::Failed(cause) => Some((cause, Some(index + 1))),
            _ => None,
        };
        self.branches.iter().enumerate().filter_map(failed).next_back().unwrap_or((Cause::Canceled, None))
    }

    /// Takes what the source gives now, and hands it out to the sinks.
    fn fill(&mut self, plumbing: &Plumbing<K>) -> Move {
        let Some(last) = self.branches.iter().rposition(Branch::is_alive) else { return Move::Nothing };
        let most =
            self.remaining.map_or(ROUND, |remaining| usize::try_from(remaining).unwrap_or(ROUND).min(ROUND));
        let source = (&self.source, &mut self.source_offset);
        let relay = &mut self.branches[last].sink.relay;
        let filled = if self.copies.is_none() {
            relay::fill(plumbing, source, relay, most)
        } else {
            buffered::fill(&plumbing.kernel, source, &mut self.shared, most)
        };
        if !matches!(filled, Move::Taken) {
            return filled;
        }
        let held = self.branches[last].sink.relay.held();
        let taken = if held > 0 { held } else { self.shared.pending().len() };
        self.taken += taken as u64;
        if let Some(remaining) = &mut self.remaining {
            *remaining -= taken as u64;
        }
        if held == 0 {
            self.hand_out_copy();
        } else if let Err(code) = self.hand_out(plumbing, last, held) {
            self.copy(plumbing, last, code);
        }
        Move::Bytes(taken as u64)
    }

    /// Duplicates what the last sink's pipe holds into one for each other.
    fn hand_out(&mut self, plumbing: &Plumbing<K>, last: usize, held: usize) -> Result<(), &'static str> {
        let Plumbing { kernel, pipes } = plumbing;
        let (others, rest) = self.branches.split_at_mut(last);
        let Some(full) = rest[0].sink.relay.conduit() else { return Err("EMPTY") };
        for branch in others.iter_mut().filter(|branch| branch.is_alive()) {
            let mut conduit = pipes.lend(kernel).map_err(Errno::name)?;
            if conduit.capacity < full.capacity {
                pipes.grow(kernel, &mut conduit);
            }
            match kernel.tee(&full.reader, &conduit.writer, held) {
                Ok(bytes) if bytes == held => branch.sink.relay.hold(conduit, held),
                // The rest cannot be duplicated any more, since tee(2) always begins at the beginning.
                Ok(_) => return Err(SHORT_TEE),
                Err(errno) => return Err(errno.name()),
            }
        }
        Ok(())
    }

    /// Nothing of this round has gone out: reads it back, for every sink to be written. So are later rounds, unless it
    /// was just that a larger pipe held more than a smaller one can.
    fn copy(&mut self, plumbing: &Plumbing<K>, last: usize, code: &'static str) {
        if code != SHORT_TEE {
            self.copies = Some(code);
        }
        relay::pour_out(plumbing, &mut self.branches[last].sink);
        self.shared = std::mem::take(&mut self.branches[last].sink.carry);
        for branch in &mut self.branches[..last] {
            branch.sink.relay = relay::Relay::default();
        }
        self.hand_out_copy();
    }

    fn hand_out_copy(&mut self) {
        let length = self.shared.pending().len();
        for branch in self.branches.iter_mut().filter(|branch| branch.is_alive()) {
            branch.behind = length;
        }
    }

    /// Whether the next fill can be made on a thread that must not wait for a disk.
    fn source_is_ready(&self, kernel: &K) -> bool {
        let Endpoint { facts, .. } = &self.source;
        let position = self.source_offset.unwrap_or(facts.position + self.taken);
        let length = (ROUND as u64).min(facts.size.saturating_sub(position));
        facts.kind != Kind::File || residency::is_resident(kernel, &self.source, position, length)
    }

    /// Bytes that every sink that stays has accepted.
    fn bytes(&self) -> u64 {
        let behind = self.branches.iter().filter(|branch| branch.is_alive()).map(Branch::pending).max();
        self.taken - behind.unwrap_or(0) as u64
    }

    fn end(&mut self, plumbing: &Plumbing<K>, failure: Option<(Cause, Option<usize>)>) -> FanOutEnding {
        if failure.is_none() {
            self.running.complete();
        }
        if let Some(code) = self.copies {
            stats::count_fallback(code);
        }
        let bytes = self.bytes();
        let residual = self.take_back(plumbing);
        let fallback = |code| Fallback { mechanism: Mechanism::Splice, code };
        FanOutEnding {
            bytes,
            sinks: self.branches.iter().map(Branch::ending).collect(),
            failure,
            fallbacks: self.copies.map(fallback).into_iter().collect(),
            residual,
        }
    }

    /// What the slowest sink has not accepted is more than what any other has not.
    fn take_back(&mut self, plumbing: &Plumbing<K>) -> Vec<u8> {
        let alive = self.branches.iter_mut().filter(|branch| branch.is_alive());
        let Some(slowest) = alive.max_by_key(|branch| branch.pending()) else { return Vec::new() };
        let pending = slowest.take(plumbing, self.shared.pending());
        if pending.is_empty() || self.source_offset.is_some() {
            return Vec::new();
        }
        let distance = -(pending.len().cast_signed() as i64);
        let seekable = self.source.facts.kind == Kind::File;
        let stepped_back = seekable && plumbing.kernel.seek_by(&self.source.handle, distance).is_ok();
        if stepped_back { Vec::new() } else { pending }
    }
}

/// End 0 is the source; the sinks follow.
impl<K: Kernel> Task<K> for FanOut<K> {
    type Ending = FanOutEnding;

    fn turn(&mut self, plumbing: &Plumbing<K>, patience: Patience) -> Turn<FanOutEnding> {
        let mut turn = TURN;
        self.waits_for_source = false;
        // Invariant: a round begins when every sink that stays has accepted all of the one before.
        loop {
            if let Err(failure) = self.drain(plumbing, patience) {
                return Turn::End(self.end(plumbing, Some(failure)));
            }
            if self.branches.iter().any(Branch::is_behind) {
                let ready = |branch: &Branch<K>| branch.is_behind() && branch.state == State::Ready;
                return if self.branches.iter().any(ready) { Turn::Disk } else { Turn::Wait };
            }
            if self.remaining == Some(0) {
                return Turn::End(self.end(plumbing, None));
            }
            if turn == 0 {
                return Turn::Again;
            }
            if patience == Patience::None && !self.source_is_ready(&plumbing.kernel) {
                return Turn::Disk;
            }
            let filled = match self.fill(plumbing) {
                Move::End => flow::ended(&plumbing.kernel, &self.source, self.taken),
                filled => filled,
            };
            match filled {
                Move::Bytes(bytes) => turn = turn.saturating_sub(bytes),
                Move::Refused(errno) => self.copies = Some(errno.name()),
                Move::Blocked(_) => {
                    self.waits_for_source = true;
                    return Turn::Wait;
                }
                Move::Failed(_, errno, call) => {
                    let failure = (Cause::System { errno, call }, Some(0));
                    return Turn::End(self.end(plumbing, Some(failure)));
                }
                Move::End | Move::Taken | Move::Nothing => return Turn::End(self.end(plumbing, None)),
            }
        }
    }

    fn give_up(&mut self, plumbing: &Plumbing<K>, cause: Cause, end: Option<usize>) -> FanOutEnding {
        self.end(plumbing, Some((cause, end)))
    }

    fn blame_cancel(ending: &mut FanOutEnding) {
        if let Some((cause, _)) = &mut ending.failure {
            *cause = Cause::Canceled;
        }
    }

    fn ends(&self) -> usize {
        1 + self.branches.len()
    }

    fn handle_of(&self, end: usize) -> &K::Handle {
        if end == 0 { &self.source.handle } else { &self.branches[end - 1].sink.handle }
    }

    fn facts_of(&self, end: usize) -> &Facts {
        if end == 0 { &self.source.facts } else { &self.branches[end - 1].sink.facts }
    }

    fn interest(&self, end: usize) -> Interest {
        if end == 0 { Interest::READABLE } else { Interest::WRITABLE }
    }

    fn waits_for(&self, end: usize) -> bool {
        if end == 0 { self.waits_for_source } else { self.branches[end - 1].state == State::Waiting }
    }

    fn notice(&mut self, end: usize, events: Events) {
        if let Some(branch) = end.checked_sub(1).and_then(|index| self.branches.get_mut(index)) {
            branch.notice(events);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let since = self.branches.iter().filter_map(|branch| branch.waiting_since).min()?;
        since.checked_add(self.sink_timeout?)
    }

    fn progress(&self) -> [u64; 2] {
        [self.bytes(), 0]
    }
}
