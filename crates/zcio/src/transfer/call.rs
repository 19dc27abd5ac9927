//! One system call of somebody's choice, made when it can be: what moves bytes once, and nothing after that.
//!
//! Decides which end a call has to wait for that cannot be made now, and where it may be made at all: not on an event
//! loop if it may wait for a disk, nowhere if it would wait for a peer inside the kernel. Which call, with which
//! arguments, is the caller's; so these are the calls of [`sys`] themselves, with his flags, and not those that the
//! engine may make.

use crate::endpoint::{Endpoint, Facts, Kind};
use crate::kernel::Linux;
use crate::pool::Plumbing;
use crate::sys::{self, Errno, Fd, Interest, SpliceFlags};

use super::flow::{self, Move};
use super::outcome::{Cause, Failure, Patience, Side, may_raise};
use super::task::side;
use super::{Task, Turn, residency};

/// A system call that moves bytes from a source to a sink, and its arguments. An offset of `None` is the
/// descriptor's position, which then moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `sendfile(2)`.
    Sendfile {
        /// Where to read.
        offset: Option<u64>,
        /// At most so many bytes.
        count: usize,
    },
    /// `splice(2)`, never waiting for a pipe, whatever the flags.
    Splice {
        /// Where to read.
        source_offset: Option<u64>,
        /// Where to write.
        sink_offset: Option<u64>,
        /// At most so many bytes.
        length: usize,
        /// How.
        flags: SpliceFlags,
    },
    /// `tee(2)`, never waiting, whatever the flags.
    Tee {
        /// At most so many bytes.
        length: usize,
        /// How.
        flags: SpliceFlags,
    },
    /// `copy_file_range(2)`.
    CopyFileRange {
        /// Where to read.
        source_offset: Option<u64>,
        /// Where to write.
        sink_offset: Option<u64>,
        /// At most so many bytes.
        length: usize,
    },
}

impl Operation {
    /// The name of the system call.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Sendfile { .. } => "sendfile",
            Self::Splice { .. } => "splice",
            Self::Tee { .. } => "tee",
            Self::CopyFileRange { .. } => "copy_file_range",
        }
    }

    /// How many bytes it is to move at most.
    const fn length(&self) -> usize {
        match self {
            Self::Sendfile { count: length, .. }
            | Self::Splice { length, .. }
            | Self::Tee { length, .. }
            | Self::CopyFileRange { length, .. } => *length,
        }
    }

    const fn source_offset(&self) -> Option<u64> {
        match self {
            Self::Sendfile { offset, .. } => *offset,
            Self::Splice { source_offset, .. } | Self::CopyFileRange { source_offset, .. } => *source_offset,
            Self::Tee { .. } => None,
        }
    }
}

/// A call under way. It ends with the bytes that it moved; 0: the end of the source.
#[derive(Debug)]
pub struct Call<'fd> {
    source: Endpoint<Fd<'fd>>,
    sink: Endpoint<Fd<'fd>>,
    operation: Operation,
    waiting: Option<Side>,
    /// Attempts that moved nothing although both ends were ready.
    idle_attempts: u32,
}

/// The most that is moved on a thread that serves others, as a turn of a transfer: a fast receiver would keep one
/// call busy for as long as there is something to send.
const AT_ONCE: usize = 1 << 20;

/// More than any race explains.
const IDLE_ATTEMPTS: u32 = 16;

impl<'fd> Call<'fd> {
    /// Prepares a call; nothing moves yet.
    ///
    /// # Errors
    /// [`Cause::Blocking`] for an end without `O_NONBLOCK` that the call would wait for. A pipe may lack it where the
    /// call can be told not to wait: `splice(2)`, `tee(2)`.
    pub fn new(
        source: Endpoint<Fd<'fd>>,
        sink: Endpoint<Fd<'fd>>,
        operation: Operation,
    ) -> Result<Self, Failure> {
        let blocks = |facts: &Facts| match operation {
            Operation::Sendfile { .. } => facts.can_block(),
            Operation::Splice { .. } => facts.can_block() && facts.kind != Kind::Pipe,
            Operation::Tee { .. } | Operation::CopyFileRange { .. } => false,
        };
        for (facts, side) in [(&source.facts, Side::Source), (&sink.facts, Side::Sink)] {
            if blocks(facts) {
                return Err(Failure::early(Cause::Blocking, Some(side)));
            }
        }
        Ok(Self { source, sink, operation, waiting: None, idle_attempts: 0 })
    }

    /// Makes it independent of the descriptors it has borrowed, by duplicating them.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`.
    pub fn into_owned(self) -> Result<Call<'static>, Failure> {
        let Self { source, sink, operation, waiting, idle_attempts } = self;
        let (source, sink) = (own(source)?, own(sink)?);
        Ok(Call { source, sink, operation, waiting, idle_attempts })
    }

    fn attempt(&mut self, patience: Patience) -> Turn<Result<usize, Failure>> {
        let at_once = patience == Patience::None;
        if at_once && self.may_wait_for_a_disk() {
            return Turn::Disk;
        }
        match self.make(if at_once { AT_ONCE } else { usize::MAX }) {
            Ok(0) if self.operation.length() > 0 && self.source.facts.kind == Kind::Pipe => self.find_end(),
            Err(Errno::AGAIN) => self.find_who_is_not_ready(),
            Ok(moved) => Turn::End(Ok(moved)),
            Err(errno) => Turn::End(Err(self.failure(errno))),
        }
    }

    fn may_wait_for_a_disk(&self) -> bool {
        let (source, sink) = (&self.source, &self.sink);
        sink.facts.kind == Kind::File || source.facts.kind == Kind::File && !self.is_resident()
    }

    fn is_resident(&self) -> bool {
        let Endpoint { handle, facts } = &self.source;
        let offset = self.operation.source_offset();
        let offset = offset.unwrap_or_else(|| sys::seek_position(handle).unwrap_or(facts.position));
        // Behind the end nothing is cold.
        let length = facts.size.saturating_sub(offset).min(self.operation.length().min(AT_ONCE) as u64);
        residency::is_resident(&Linux::new(), &self.source, offset, length)
    }

    fn make(&self, most: usize) -> sys::Result<usize> {
        let (source, sink) = (&self.source.handle, &self.sink.handle);
        match self.operation {
            Operation::Sendfile { mut offset, count } => {
                sys::sendfile(sink, source, offset.as_mut(), count.min(most))
            }
            Operation::Splice { mut source_offset, mut sink_offset, length, flags } => {
                let flags = flags | SpliceFlags::NONBLOCK;
                sys::splice(
                    source,
                    source_offset.as_mut(),
                    sink,
                    sink_offset.as_mut(),
                    length.min(most),
                    flags,
                )
            }
            Operation::Tee { length, flags } => sys::tee(source, sink, length, flags | SpliceFlags::NONBLOCK),
            Operation::CopyFileRange { mut source_offset, mut sink_offset, length } => {
                sys::copy_file_range(source, source_offset.as_mut(), sink, sink_offset.as_mut(), length)
            }
        }
    }

    /// A pipe gave nothing: whether that is its end.
    fn find_end(&mut self) -> Turn<Result<usize, Failure>> {
        match flow::ended(&Linux::new(), &self.source, 0) {
            Move::Blocked(side) => self.wait(side),
            Move::Nothing => self.try_once_more(Ok(0)),
            _ => Turn::End(Ok(0)),
        }
    }

    /// `EAGAIN` does not say which end it is. If both say that they are ready, they may not agree with the call on
    /// what ready is: it is tried again, but not for ever.
    fn find_who_is_not_ready(&mut self) -> Turn<Result<usize, Failure>> {
        if self.source.facts.kind != Kind::File && !sys::readiness(&self.source.handle).readable() {
            return self.wait(Side::Source);
        }
        if self.sink.facts.kind != Kind::File && !sys::readiness(&self.sink.handle).writable() {
            return self.wait(Side::Sink);
        }
        self.try_once_more(Err(self.failure(Errno::AGAIN)))
    }

    fn try_once_more(&mut self, else_it_is: Result<usize, Failure>) -> Turn<Result<usize, Failure>> {
        self.idle_attempts += 1;
        if self.idle_attempts < IDLE_ATTEMPTS { Turn::Again } else { Turn::End(else_it_is) }
    }

    fn wait(&mut self, side: Side) -> Turn<Result<usize, Failure>> {
        self.waiting = Some(side);
        Turn::Wait
    }

    const fn failure(&self, errno: Errno) -> Failure {
        Failure::early(Cause::System { errno, call: self.operation.name() }, None)
    }

    const fn end(&self, end: usize) -> &Endpoint<Fd<'fd>> {
        if end == 0 { &self.source } else { &self.sink }
    }
}

/// The source is end 0, the sink end 1.
impl<'fd> Task<Linux<'fd>> for Call<'fd> {
    type Ending = Result<usize, Failure>;

    fn turn(&mut self, _plumbing: &Plumbing<Linux<'fd>>, patience: Patience) -> Turn<Self::Ending> {
        self.waiting = None;
        let turn = self.attempt(patience);
        if patience == Patience::Disk && matches!(turn, Turn::End(Ok(_))) {
            self.remember();
        }
        turn
    }

    fn give_up(&mut self, _: &Plumbing<Linux<'fd>>, cause: Cause, end: Option<usize>) -> Self::Ending {
        Err(Failure::early(cause, end.map(side)))
    }

    fn blame_cancel(ending: &mut Self::Ending) {
        if let Err(failure) = ending {
            failure.cause = Cause::Canceled;
        }
    }

    fn may_have_raised(&self, turn: &Turn<Self::Ending>) -> bool {
        // What moves less for a reason of its own is looked after once more than it had to be.
        matches!(turn, Turn::End(ending) if may_raise(self.operation.length(), ending))
    }

    fn ends(&self) -> usize {
        2
    }

    fn handle_of(&self, end: usize) -> &Fd<'fd> {
        &self.end(end).handle
    }

    fn facts_of(&self, end: usize) -> &Facts {
        &self.end(end).facts
    }

    fn interest(&self, end: usize) -> Interest {
        side(end).interest()
    }

    fn waits_for(&self, end: usize) -> Interest {
        if self.waiting == Some(side(end)) { self.interest(end) } else { Interest::empty() }
    }

    fn progress(&self) -> [u64; 2] {
        [0, 0]
    }
}

impl Call<'_> {
    fn remember(&self) {
        let files = [&self.source, &self.sink].map(|end| end.facts.kind == Kind::File);
        if files == [true, false] {
            residency::remember(&Linux::new(), &self.source);
        }
    }
}

pub(super) fn own(end: Endpoint<Fd<'_>>) -> Result<Endpoint<Fd<'static>>, Failure> {
    let Endpoint { handle, facts } = end;
    let owned = handle.into_shared();
    let cause = |errno| Failure::early(Cause::System { errno, call: "fcntl" }, None);
    owned.map(|handle| Endpoint { handle, facts }).map_err(cause)
}
