//! What every driver drives: work between descriptors that never waits, and says what it would wait for.
//!
//! A [`Transfer`] is one task, a [`Bridge`](super::Bridge) and a [`FanOut`](super::FanOut) are others. They differ in
//! how many ends they have and how they end; who waits, and on which thread, is the [drivers](crate::drivers)'.

use std::time::Instant;

use crate::endpoint::Facts;
use crate::kernel::Kernel;
use crate::pool::Plumbing;
use crate::sys::{Events, Interest};

use super::Transfer;
use super::outcome::{Cause, Ending, Patience, Side, Step};

/// Where a task stands after a turn.
#[derive(Debug)]
pub enum Turn<E> {
    /// It can go on at once; others may want a turn first.
    Again,
    /// An end that [`Task::waits_for`] names must become ready, or the [deadline](Task::deadline) pass.
    Wait,
    /// The next call may wait for a disk, which this driver said it will not.
    Disk,
    /// It is over. There is nothing left to call.
    End(E),
}

/// Work in turns.
pub trait Task<K: Kernel> {
    /// How it ends, whichever way.
    type Ending;

    /// Makes the calls of one turn.
    fn turn(&mut self, plumbing: &Plumbing<K>, patience: Patience) -> Turn<Self::Ending>;

    /// Ends it early; `end` is to blame.
    fn give_up(&mut self, plumbing: &Plumbing<K>, cause: Cause, end: Option<usize>) -> Self::Ending;

    /// Makes it known that it was cancelled, whatever error the cancelling has brought about.
    fn blame_cancel(ending: &mut Self::Ending)
    where
        Self: Sized;

    /// Whether SIGPIPE or SIGXFSZ may have been raised in this turn.
    fn may_have_raised(&self, _turn: &Turn<Self::Ending>) -> bool {
        true
    }

    /// How many ends it has, numbered from 0.
    fn ends(&self) -> usize;

    /// The handle of an end.
    fn handle_of(&self, end: usize) -> &K::Handle;

    /// What is known about an end.
    fn facts_of(&self, end: usize) -> &Facts;

    /// What it ever waits for there: to read a source, to write a sink, or both.
    fn interest(&self, end: usize) -> Interest;

    /// What it waits for there now; empty: for nothing.
    fn waits_for(&self, end: usize) -> Interest;

    /// Tells it that something has happened at an end.
    fn notice(&mut self, _end: usize, _events: Events) {}

    /// When it wants a turn though nothing has happened.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// Bytes that sinks have accepted so far; those of the other direction, where there is one.
    fn progress(&self) -> [u64; 2];

    /// How many sinks it counts one by one, beside that.
    fn parts(&self) -> usize {
        0
    }

    /// Bytes that this one of them has accepted so far.
    fn progress_of(&self, _part: usize) -> u64 {
        0
    }
}

impl<K: Kernel> Task<K> for Transfer<K> {
    type Ending = Ending;

    fn turn(&mut self, plumbing: &Plumbing<K>, patience: Patience) -> Turn<Ending> {
        let step = self.advance(plumbing, patience);
        self.waiting = if let Step::Wait(side) = step { Some(side) } else { None };
        match step {
            Step::Again => Turn::Again,
            Step::Wait(_) => Turn::Wait,
            Step::Disk => Turn::Disk,
            Step::End(ending) => Turn::End(ending),
        }
    }

    fn give_up(&mut self, plumbing: &Plumbing<K>, cause: Cause, end: Option<usize>) -> Ending {
        Err(self.stop(plumbing, cause, end.map(side)))
    }

    fn blame_cancel(ending: &mut Ending) {
        if let Err(failure) = ending {
            failure.cause = Cause::Canceled;
        }
    }

    fn may_have_raised(&self, turn: &Turn<Ending>) -> bool {
        match turn {
            // A sink that has raised one does not want to be waited for, nor does it let all end well.
            Turn::Wait | Turn::End(Ok(_)) => false,
            Turn::Again | Turn::Disk | Turn::End(Err(_)) => true,
        }
    }

    fn ends(&self) -> usize {
        2
    }

    fn handle_of(&self, end: usize) -> &K::Handle {
        self.handle(side(end))
    }

    fn facts_of(&self, end: usize) -> &Facts {
        self.facts(side(end))
    }

    fn interest(&self, end: usize) -> Interest {
        side(end).interest()
    }

    fn waits_for(&self, end: usize) -> Interest {
        if self.waiting == Some(side(end)) { self.interest(end) } else { Interest::empty() }
    }

    fn progress(&self) -> [u64; 2] {
        [self.moved(), 0]
    }
}

/// The source of a transfer is its end 0, the sink its end 1.
pub(super) const fn side(end: usize) -> Side {
    if end == 0 { Side::Source } else { Side::Sink }
}
