//! One source, many sinks: what is in one pipe is duplicated by `tee(2)`, or read once and written to each.
//!
//! A round: what the source gives is taken into a pipe for the last sink, duplicated from there into a pipe for each of
//! the others, and goes out of all of them; the next begins when the slowest has accepted its share. Where the
//! [`route`] finds a copy cheaper, no pipe can be had, or the kernel will not duplicate, each round is read once and
//! written to every sink.

mod branch;
mod ending;
mod round;

use std::time::{Duration, Instant};

use crate::config;
use crate::endpoint::{Endpoint, Facts, Kind};
use crate::kernel::Kernel;
use crate::pool::Plumbing;
use crate::stats;
use crate::sys::{Errno, Events, Interest};

use super::buffered::Carry;
use super::flow::{self, Move};
use super::outcome::{Cause, Mechanism, Patience};
use super::route::{self, Fan};
use super::task::side;
use super::{Task, Turn};

use branch::{Branch, State};
use ending::Listener;
pub use ending::{FanOutEnding, SinkEnding};

/// The most rounds in one turn: a source that gives byte by byte must not keep the thread for a megabyte of them.
const ROUNDS: u32 = 16;

/// The most that all sinks together are given in one turn, some 5 ms where they take it.
const TURN: usize = 16 << 20;

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
    /// What was read from the source before and lies beyond the length.
    beyond: Vec<u8>,
    /// Why rounds are copied.
    copies: Option<&'static str>,
    /// Bytes of the last round.
    last_round: usize,
    waits_for_source: bool,
    drop_failed: bool,
    sink_timeout: Option<Duration>,
    on_leave: Listener,
    running: stats::Running,
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
        if let Some(sink) = sinks.iter().position(|sink| sink.facts.is_one_with(&source.facts)) {
            return Err((Cause::Unsupported("it would write its own source"), Some(sink + 1)));
        }
        let facts: Vec<&Facts> = sinks.iter().map(|sink| &*sink.facts).collect();
        let fan = Fan { source: &source.facts, sinks: &facts, switched_off: config::switched_off() };
        let copies = route::copies(fan).map(|rule| rule.code);
        let mechanism = if copies.is_some() { Mechanism::ReadWrite } else { Mechanism::Splice };
        Ok(Self {
            source,
            source_offset: request.start,
            branches: sinks.into_iter().map(|sink| Branch::new(sink, mechanism)).collect(),
            remaining: request.length,
            taken: 0,
            shared: Carry::default(),
            beyond: Vec::new(),
            copies,
            last_round: 0,
            waits_for_source: false,
            drop_failed: request.drop_failed,
            sink_timeout: request.sink_timeout,
            on_leave: Listener::default(),
            running: stats::Running::start(),
        })
    }

    /// The same after bytes that were read from the source before: they go first, and count. What of them lies beyond
    /// the request's length comes back as the ending's residual.
    #[must_use]
    pub fn with_head(mut self, mut head: Vec<u8>) -> Self {
        let wanted =
            self.remaining.map_or(usize::MAX, |length| usize::try_from(length).unwrap_or(usize::MAX));
        self.beyond = head.split_off(head.len().min(wanted));
        self.taken = head.len() as u64;
        self.remaining = self.remaining.map(|remaining| remaining - self.taken);
        self.shared = head.into();
        self.hand_out_copy();
        self
    }

    /// Gives every sink what it can take now. Ends the fan-out where one has failed and may not, or none is left.
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
        if !self.branches.iter().any(Branch::is_alive) {
            return Err(self.last_failure());
        }
        for (number, branch) in self.branches.iter_mut().enumerate() {
            if !branch.is_alive() && branch.leave() {
                self.on_leave.tell(number, branch.ending());
            }
        }
        Ok(())
    }

    fn last_failure(&self) -> (Cause, Option<usize>) {
        let failed = |(index, branch): (usize, &Branch<K>)| match branch.state {
            State::Failed(cause) => Some((cause, Some(index + 1))),
            _ => None,
        };
        self.branches.iter().enumerate().filter_map(failed).next_back().unwrap_or((Cause::Canceled, None))
    }
}

/// End 0 is the source; the sinks follow.
impl<K: Kernel> Task<K> for FanOut<K> {
    type Ending = FanOutEnding;

    fn turn(&mut self, plumbing: &Plumbing<K>, patience: Patience) -> Turn<FanOutEnding> {
        let (mut rounds, mut turn) = (ROUNDS, TURN);
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
            if rounds == 0 || turn == 0 {
                return Turn::Again;
            }
            rounds -= 1;
            if patience == Patience::None && !self.source_is_ready(&plumbing.kernel) {
                return Turn::Disk;
            }
            let filled = match self.fill(plumbing) {
                Move::End => flow::ended(&plumbing.kernel, &self.source, self.taken),
                filled => filled,
            };
            match filled {
                Move::Bytes(_) => turn = turn.saturating_sub(self.last_round * self.branches.len()),
                Move::Refused(errno) => self.copies = Some(errno.name()),
                Move::Blocked(_) => {
                    self.waits_for_source = true;
                    return Turn::Wait;
                }
                Move::Failed(_, errno, call) => {
                    let failure = (Cause::System { errno, call }, Some(0));
                    return Turn::End(self.end(plumbing, Some(failure)));
                }
                Move::Nothing => {}
                Move::End | Move::Taken => return Turn::End(self.end(plumbing, None)),
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
        side(end).interest()
    }

    fn waits_for(&self, end: usize) -> Interest {
        let waits =
            if end == 0 { self.waits_for_source } else { self.branches[end - 1].state == State::Waiting };
        if waits { self.interest(end) } else { Interest::empty() }
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

    fn parts(&self) -> usize {
        self.branches.len()
    }

    fn progress_of(&self, part: usize) -> u64 {
        self.branches[part].bytes()
    }
}
