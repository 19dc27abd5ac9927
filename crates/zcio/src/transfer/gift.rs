//! Pages for a pipe, by as many calls of `vmsplice(2)` as it takes, and the plain wait for a pipe.
//!
//! Decides that pages which are given are given whole: what does not fit now follows as the reader makes room. They
//! belong to the gift meanwhile, so nobody can write to them any more. Memory that stays somebody else's is not for
//! another thread to refer to: there one waits for the pipe only, and its owner makes the call.

use std::io::IoSlice;
use std::sync::Arc;

use crate::endpoint::{Endpoint, Facts};
use crate::kernel::Linux;
use crate::pool::Plumbing;
use crate::sys::{self, Errno, Fd, Interest, Pages, SpliceFlags};

use super::call::own;
use super::outcome::{Cause, Failure, Patience, Side, may_raise};
use super::{Task, Turn};

/// What is waited for at one end of a pipe, and what is put into it then.
#[derive(Debug)]
pub struct Gift<'fd> {
    pipe: Endpoint<Fd<'fd>>,
    interest: Interest,
    pages: Vec<Arc<Pages>>,
    flags: SpliceFlags,
    given: usize,
    waiting: bool,
}

impl<'fd> Gift<'fd> {
    /// Gives pages to the writing end of a pipe. It ends with the bytes given, which are all of them.
    #[must_use]
    pub const fn new(pipe: Endpoint<Fd<'fd>>, pages: Vec<Arc<Pages>>, flags: SpliceFlags) -> Self {
        Self { pipe, interest: Interest::WRITABLE, pages, flags, given: 0, waiting: false }
    }

    /// Gives nothing: it ends as soon as the pipe can be read or written, which its next reader or writer may undo.
    #[must_use]
    pub fn of_nothing(pipe: Endpoint<Fd<'fd>>, side: Side) -> Self {
        let (pages, flags) = (Vec::new(), SpliceFlags::empty());
        Self { pipe, interest: side.interest(), pages, flags, given: 0, waiting: false }
    }

    /// Makes it independent of the descriptor it has borrowed, by duplicating it.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`.
    pub fn into_owned(self) -> Result<Gift<'static>, Failure> {
        let Self { pipe, interest, pages, flags, given, waiting } = self;
        Ok(Gift { pipe: own(pipe)?, interest, pages, flags, given, waiting })
    }

    fn attempt(&mut self) -> Turn<Result<usize, Failure>> {
        if self.pages.is_empty() {
            return if self.is_ready() { Turn::End(Ok(0)) } else { Turn::Wait };
        }
        match self.give() {
            Ok(()) if self.rest().next().is_none() => Turn::End(Ok(self.given)),
            // A page less than asked for: the pipe is full. A piece less than there are: the kernel takes so many.
            Ok(()) => Turn::Again,
            Err(Errno::AGAIN) => Turn::Wait,
            Err(errno) => Turn::End(Err(self.failure(Cause::System { errno, call: "vmsplice" }))),
        }
    }

    fn is_ready(&self) -> bool {
        let events = sys::readiness(&self.pipe.handle);
        if self.interest == Interest::READABLE { events.readable() } else { events.writable() }
    }

    fn give(&mut self) -> sys::Result<()> {
        let slices: Vec<IoSlice<'_>> = self.rest().map(IoSlice::new).collect();
        let given = sys::vmsplice(&self.pipe.handle, &slices, self.flags | SpliceFlags::NONBLOCK)?;
        self.given += given;
        Ok(())
    }

    /// What is still to be given.
    fn rest(&self) -> impl Iterator<Item = &[u8]> {
        let mut skip = self.given;
        self.pages.iter().filter_map(move |pages| {
            let skipped = skip.min(pages.len());
            skip -= skipped;
            Some(&pages.as_slice()[skipped..]).filter(|rest| !rest.is_empty())
        })
    }

    fn failure(&self, cause: Cause) -> Failure {
        let mut failure = Failure::early(cause, None);
        failure.outcome.bytes = self.given as u64;
        failure
    }
}

impl<'fd> Task<Linux<'fd>> for Gift<'fd> {
    type Ending = Result<usize, Failure>;

    fn turn(&mut self, _plumbing: &Plumbing<Linux<'fd>>, _patience: Patience) -> Turn<Self::Ending> {
        let turn = self.attempt();
        self.waiting = matches!(turn, Turn::Wait);
        turn
    }

    fn give_up(&mut self, _: &Plumbing<Linux<'fd>>, cause: Cause, _end: Option<usize>) -> Self::Ending {
        Err(self.failure(cause))
    }

    fn blame_cancel(ending: &mut Self::Ending) {
        if let Err(failure) = ending {
            failure.cause = Cause::Canceled;
        }
    }

    fn may_have_raised(&self, turn: &Turn<Self::Ending>) -> bool {
        // Each call holds the pipe's lock all along, so none moves a part and then raises.
        matches!(turn, Turn::End(ending) if may_raise(0, ending))
    }

    fn ends(&self) -> usize {
        1
    }

    fn handle_of(&self, _end: usize) -> &Fd<'fd> {
        &self.pipe.handle
    }

    fn facts_of(&self, _end: usize) -> &Facts {
        &self.pipe.facts
    }

    fn interest(&self, _end: usize) -> Interest {
        self.interest
    }

    fn waits_for(&self, _end: usize) -> Interest {
        if self.waiting { self.interest } else { Interest::empty() }
    }

    fn progress(&self) -> [u64; 2] {
        [self.given as u64, 0]
    }
}
