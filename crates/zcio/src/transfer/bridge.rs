//! Two sockets joined in both directions: two transfers that share their ends.
//!
//! What one side ends is ended on the other, while the other direction goes on. A direction that fails ends both.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::endpoint::{Endpoint, Facts, Kind};
use crate::kernel::{Kernel, Linux};
use crate::pool::Plumbing;
use crate::sys::{Errno, Events, Fd, Interest};

use super::outcome::{Cause, Ending, Failure, Patience, Side, Step};
use super::{Request, Task, Transfer, Turn};

/// A bridge under way.
#[derive(Debug)]
pub struct Bridge<K: Kernel> {
    /// From a to b, from b to a.
    directions: [Direction<K>; 2],
    /// Boxed, since most are never asked for.
    idleness: Option<Box<Idleness>>,
}

/// When a bridge has been idle for too long.
#[derive(Debug)]
struct Idleness {
    timeout: Duration,
    /// When bytes last moved.
    active: Instant,
}

/// How both directions of a bridge ended.
#[derive(Debug)]
pub struct BridgeEnding {
    /// From a to b.
    pub a_to_b: Ending,
    /// From b to a.
    pub b_to_a: Ending,
}

impl BridgeEnding {
    /// Why it ended early; of two reasons the one that is not the consequence of the other.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        let failures = [&self.a_to_b, &self.b_to_a].into_iter().filter_map(|ending| ending.as_ref().err());
        failures.min_by_key(|failure| failure.cause == Cause::Canceled)
    }
}

#[derive(Debug)]
struct Direction<K: Kernel> {
    transfer: Transfer<K>,
    state: State,
}

#[derive(Debug)]
enum State {
    Ready,
    Waiting(Side),
    /// Boxed: most bridges are idle for most of their life, and an ending is larger than all else.
    Over(Box<Ending>),
}

impl<K: Kernel> Bridge<K> {
    /// Joins two transfers that run between the same two sockets, in opposite directions.
    ///
    /// `idle_timeout`: so long nothing moves in either direction before it ends with [`Cause::TimedOut`].
    #[must_use]
    pub fn new(a_to_b: Transfer<K>, b_to_a: Transfer<K>, idle_timeout: Option<Duration>) -> Self {
        let directions = [a_to_b, b_to_a].map(|transfer| Direction { transfer, state: State::Ready });
        let idleness = idle_timeout.map(|timeout| Box::new(Idleness { timeout, active: Instant::now() }));
        Self { directions, idleness }
    }

    fn moved(&self) -> u64 {
        self.directions.iter().map(|direction| direction.transfer.moved()).sum()
    }

    fn has_failed(&self) -> bool {
        self.directions
            .iter()
            .any(|direction| matches!(&direction.state, State::Over(ending) if ending.is_err()))
    }

    fn is_over(&self) -> bool {
        self.directions.iter().all(|direction| matches!(direction.state, State::Over(_)))
    }

    fn is_idle(&self) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= Instant::now())
    }

    /// Stops what is still under way.
    fn end(&mut self, plumbing: &Plumbing<K>, cause: Cause) -> BridgeEnding {
        let [a_to_b, b_to_a] = self.directions.each_mut().map(|direction| direction.end(plumbing, cause));
        BridgeEnding { a_to_b, b_to_a }
    }
}

impl<K: Kernel> Direction<K> {
    fn turn(&mut self, plumbing: &Plumbing<K>, patience: Patience) {
        if !matches!(self.state, State::Ready) {
            return;
        }
        self.state = match self.transfer.advance(plumbing, patience) {
            Step::Again | Step::Disk => State::Ready,
            Step::Wait(side) => State::Waiting(side),
            Step::End(Ok(outcome)) => {
                match plumbing.kernel.shutdown_write(self.transfer.handle(Side::Sink)) {
                    // ENOTCONN: the peer has reset it; whoever reads from it is told why.
                    Ok(()) | Err(Errno::NOTCONN) => State::Over(Box::new(Ok(outcome))),
                    Err(errno) => {
                        let cause = Cause::System { errno, call: "shutdown" };
                        State::Over(Box::new(Err(Failure { cause, side: Some(Side::Sink), outcome })))
                    }
                }
            }
            Step::End(failed) => State::Over(Box::new(failed)),
        };
    }

    /// What it waits for there, or nothing.
    fn waits_for(&self, at: Side) -> Interest {
        if matches!(self.state, State::Waiting(side) if side == at) {
            at.interest()
        } else {
            Interest::empty()
        }
    }

    /// An end was heard of: whether that is what this direction waits for, it knows.
    fn notice(&mut self, at: Side, events: Events) {
        let ready = match at {
            Side::Source => events.readable(),
            Side::Sink => events.writable(),
        };
        if ready && !self.waits_for(at).is_empty() {
            self.state = State::Ready;
        }
    }

    fn end(&mut self, plumbing: &Plumbing<K>, cause: Cause) -> Ending {
        match std::mem::replace(&mut self.state, State::Ready) {
            State::Over(ending) => *ending,
            State::Ready | State::Waiting(_) => Err(self.transfer.stop(plumbing, cause, None)),
        }
    }
}

/// End 0 is a, end 1 is b: where the transfer from a to b begins and ends.
impl<K: Kernel> Task<K> for Bridge<K> {
    type Ending = BridgeEnding;

    fn turn(&mut self, plumbing: &Plumbing<K>, patience: Patience) -> Turn<BridgeEnding> {
        let before = self.moved();
        for direction in &mut self.directions {
            direction.turn(plumbing, patience);
        }
        if self.moved() > before
            && let Some(idleness) = &mut self.idleness
        {
            idleness.active = Instant::now();
        }
        if self.has_failed() || self.is_over() {
            return Turn::End(self.end(plumbing, Cause::Canceled));
        }
        if self.is_idle() {
            return Turn::End(self.end(plumbing, Cause::TimedOut));
        }
        let ready = self.directions.iter().any(|direction| matches!(direction.state, State::Ready));
        if ready { Turn::Again } else { Turn::Wait }
    }

    fn give_up(&mut self, plumbing: &Plumbing<K>, cause: Cause, _end: Option<usize>) -> BridgeEnding {
        self.end(plumbing, cause)
    }

    fn blame_cancel(ending: &mut BridgeEnding) {
        for failure in
            [&mut ending.a_to_b, &mut ending.b_to_a].into_iter().filter_map(|ending| ending.as_mut().err())
        {
            failure.cause = Cause::Canceled;
        }
    }

    fn may_have_raised(&self, turn: &Turn<BridgeEnding>) -> bool {
        match turn {
            Turn::Wait => false,
            Turn::End(ending) => ending.failure().is_some(),
            Turn::Again | Turn::Disk => true,
        }
    }

    fn ends(&self) -> usize {
        2
    }

    fn handle_of(&self, end: usize) -> &K::Handle {
        self.directions[0].transfer.handle_of(end)
    }

    fn facts_of(&self, end: usize) -> &Facts {
        self.directions[0].transfer.facts_of(end)
    }

    fn interest(&self, _end: usize) -> Interest {
        Interest::READABLE | Interest::WRITABLE
    }

    /// Not for what only the other direction can use: room in a socket that is read from is there all the time.
    fn waits_for(&self, end: usize) -> Interest {
        let [a_to_b, b_to_a] = &self.directions;
        let (reads, writes) = if end == 0 { (a_to_b, b_to_a) } else { (b_to_a, a_to_b) };
        reads.waits_for(Side::Source) | writes.waits_for(Side::Sink)
    }

    fn notice(&mut self, end: usize, events: Events) {
        let [a_to_b, b_to_a] = &mut self.directions;
        let (reads, writes) = if end == 0 { (a_to_b, b_to_a) } else { (b_to_a, a_to_b) };
        reads.notice(Side::Source, events);
        writes.notice(Side::Sink, events);
    }

    fn deadline(&self) -> Option<Instant> {
        self.idleness.as_deref().and_then(|Idleness { timeout, active }| active.checked_add(*timeout))
    }

    fn progress(&self) -> [u64; 2] {
        self.directions.each_ref().map(|direction| direction.transfer.moved())
    }
}

impl<'fd> Bridge<Linux<'fd>> {
    /// Joins two connected stream sockets, a and b. What has been read from one already goes first, as its head.
    ///
    /// # Errors
    /// [`Cause::Unsupported`] for an end that is no socket, and so cannot pass on an end; else as of
    /// [`Transfer::new`].
    pub fn between(
        sockets: [Endpoint<Fd<'fd>>; 2],
        heads: [Vec<u8>; 2],
        idle_timeout: Option<Duration>,
    ) -> Result<Self, Failure> {
        for (end, side) in sockets.iter().zip([Side::Source, Side::Sink]) {
            if end.facts.kind != Kind::Socket {
                return Err(Failure::early(Cause::Unsupported("a bridge joins stream sockets"), Some(side)));
            }
        }
        // One thread serves both directions: neither may hold it up.
        let request = Request { asynchronous: true, ..Request::default() };
        let [(a, a_again), (b, b_again)] = sockets.map(|Endpoint { handle, facts }| {
            let [handle, again] = handle.twice();
            (Endpoint { handle, facts: Arc::clone(&facts) }, Endpoint { handle: again, facts })
        });
        let [a_head, b_head] = heads;
        let a_to_b = Transfer::new(a, b, request)?.with_head(a_head);
        let b_to_a = Transfer::new(b_again, a_again, request)?.with_head(b_head);
        Ok(Self::new(a_to_b, b_to_a, idle_timeout))
    }
}
