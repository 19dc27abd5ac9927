//! One sink of a fan-out, and what of the present round it has still to accept.

use std::time::Instant;

use crate::endpoint::Endpoint;
use crate::kernel::Kernel;
use crate::pool::Plumbing;
use crate::stats;
use crate::sys::{Errno, Events};

use super::super::flow::{Move, Outlet};
use super::super::outcome::{Cause, Mechanism};
use super::super::{buffered, relay};
use super::SinkEnding;

/// A sink and its share.
#[derive(Debug)]
pub struct Branch<K: Kernel> {
    /// The sink, and what is on its way to it alone.
    pub sink: Outlet<K::Handle>,
    /// Of the bytes that all sinks share, those at the end that it has not accepted.
    pub behind: usize,
    /// Whether it can be written.
    pub state: State,
    /// Since when it has accepted nothing of what there is.
    pub waiting_since: Option<Instant>,
    bytes: u64,
    mechanism: Mechanism,
    has_left: bool,
}

/// How a sink is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It may accept something.
    Ready,
    /// It is full.
    Waiting,
    /// It gets no more.
    Failed(Cause),
}

impl<K: Kernel> Branch<K> {
    /// A sink that nothing is on its way to; `mechanism` is how it would go.
    pub fn new(sink: Endpoint<K::Handle>, mechanism: Mechanism) -> Self {
        Self {
            sink: Outlet::new(sink, None),
            behind: 0,
            state: State::Ready,
            waiting_since: None,
            bytes: 0,
            mechanism,
            has_left: false,
        }
    }

    pub const fn is_alive(&self) -> bool {
        !matches!(self.state, State::Failed(_))
    }

    /// Bytes that it has accepted.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of this round that it has not accepted.
    pub fn pending(&self) -> usize {
        self.sink.relay.held() + self.sink.carry.pending().len() + self.behind
    }

    pub fn is_behind(&self) -> bool {
        self.is_alive() && self.pending() > 0
    }

    /// Gives it what it can take now, of its own and then of what all share.
    pub fn drain(&mut self, plumbing: &Plumbing<K>, shared: &[u8]) {
        while self.state == State::Ready && self.pending() > 0 {
            match self.attempt(plumbing, shared) {
                Move::Bytes(bytes) => {
                    self.bytes += bytes;
                    stats::count_bytes(self.mechanism, bytes);
                    self.waiting_since = None;
                }
                Move::Blocked(_) => {
                    self.state = State::Waiting;
                    self.waiting_since.get_or_insert_with(Instant::now);
                }
                Move::Failed(_, errno, call) => self.fail(Cause::System { errno, call }),
                // What the pipe held is in the carry now.
                Move::Refused(_) => self.mechanism = Mechanism::ReadWrite,
                // Not an answer that a drain or a write gives; to try again would be to spin.
                Move::Taken | Move::Nothing | Move::End => {
                    self.fail(Cause::System { errno: Errno::IO, call: "write" });
                }
            }
        }
    }

    fn attempt(&mut self, plumbing: &Plumbing<K>, shared: &[u8]) -> Move {
        if self.sink.carry.is_pending() {
            return buffered::drain(&plumbing.kernel, &mut self.sink, usize::MAX);
        }
        if self.sink.relay.held() > 0 {
            self.mechanism = Mechanism::Splice;
            return relay::drain(plumbing, &mut self.sink);
        }
        self.mechanism = Mechanism::ReadWrite;
        let written =
            buffered::write(&plumbing.kernel, &mut self.sink, &shared[shared.len() - self.behind..]);
        if let Move::Bytes(bytes) = written {
            self.behind -= usize::try_from(bytes).unwrap_or(self.behind);
        }
        written
    }

    /// Gives it no more. It keeps its share: if it ends the fan-out, that is what goes back.
    pub fn fail(&mut self, cause: Cause) {
        self.state = State::Failed(cause);
        self.waiting_since = None;
    }

    /// The others go on without it; whether that is new. A pipe with bytes in it is closed.
    pub fn leave(&mut self) -> bool {
        self.behind = 0;
        self.sink.relay = relay::Relay::default();
        self.sink.carry.take();
        !std::mem::replace(&mut self.has_left, true)
    }

    pub fn notice(&mut self, events: Events) {
        if self.state == State::Waiting && events.writable() {
            self.state = State::Ready;
        }
    }

    /// Takes back what it has not accepted.
    pub fn take(&mut self, plumbing: &Plumbing<K>, shared: &[u8]) -> Vec<u8> {
        relay::pour_out(plumbing, &mut self.sink);
        let mut pending = self.sink.carry.take();
        pending.extend_from_slice(&shared[shared.len() - self.behind..]);
        pending
    }

    pub const fn ending(&self) -> SinkEnding {
        let failure = if let State::Failed(cause) = self.state { Some(cause) } else { None };
        SinkEnding { bytes: self.bytes, mechanism: self.mechanism, failure }
    }
}
