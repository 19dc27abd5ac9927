//! A task in the hands of the reactor; what the rest of the process holds of it is its [ticket](super::ticket).

use std::fmt;
use std::os::fd::OwnedFd;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::time::Instant;

use crate::endpoint::Kind;
use crate::kernel::Linux;
use crate::pool::Plumbing;
use crate::sys::{Events, Fd, Interest};
use crate::transfer::{Cause, Patience, Task, Turn};

use super::claims::Claims;
use super::inbox::Inbox;
use super::ticket::{Control, Ticket};

/// A task, whom to tell, and the registrations to undo: one piece of memory, since thousands wait.
pub(super) struct Job<W: ?Sized = dyn Work> {
    pub(super) id: u64,
    /// How each end is registered with epoll, from when one is waited for first.
    pub(super) watched: Box<[Watched]>,
    /// Whether the event loop has a timer for it.
    pub(super) timed: bool,
    control: Arc<Control>,
    claims: Claims,
    pub(super) work: W,
}

/// How an end is registered with epoll.
#[derive(Debug)]
pub(super) enum Watched {
    No,
    Yes,
    /// By a duplicate, since another task waits with the same descriptor: epoll has one token for each.
    As(OwnedFd),
}

impl Job {
    pub(super) fn new<T: Task<Linux<'static>> + Send + 'static>(
        id: u64,
        mut task: T,
        plumbing: &Plumbing<Linux<'static>>,
        inbox: &Arc<Inbox>,
        on_end: Box<dyn FnOnce(T::Ending) + Send>,
    ) -> Result<(Box<Self>, Ticket), T::Ending>
    where
        T::Ending: Send,
    {
        let Some(claims) = Claims::on(&task) else {
            return Err(task.give_up(plumbing, Cause::Busy, None));
        };
        let control = Arc::new(Control::new(id, &task, Arc::clone(inbox)));
        let ticket = Ticket::new(Arc::clone(&control));
        let work = Assignment { task, ending: None, on_end: Some(on_end) };
        let job = Job { id, watched: Box::default(), timed: false, control, claims, work };
        Ok((Box::new(job), ticket))
    }

    /// One turn of the task, unless it was cancelled meanwhile.
    pub(super) fn turn(&mut self, plumbing: &Plumbing<Linux<'static>>, patience: Patience) -> Turn<()> {
        self.control.shut_down_owned(&self.work);
        if self.is_cancelled() {
            self.work.give_up(plumbing, Cause::Canceled, None);
            return Turn::End(());
        }
        let turn = self.work.turn(plumbing, patience);
        self.control.count(&self.work);
        turn
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.control.is_cancelled()
    }

    /// Closes the descriptors, then tells: whoever hears of the end may count on their being gone. A panic of theirs
    /// stays theirs: it would take along the thread that carries out all other jobs.
    pub(super) fn end(mut self: Box<Self>) {
        self.control.forget_sockets();
        let was_cancelled = self.is_cancelled();
        let tell = self.work.conclude(was_cancelled);
        let claims = std::mem::take(&mut self.claims);
        drop(self);
        drop(claims);
        if let Some(tell) = tell {
            drop(panic::catch_unwind(AssertUnwindSafe(tell)));
        }
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A task of whatever kind, which keeps how it ended until it is asked to tell.
pub(super) trait Work: Send {
    fn turn(&mut self, plumbing: &Plumbing<Linux<'static>>, patience: Patience) -> Turn<()>;
    fn give_up(&mut self, plumbing: &Plumbing<Linux<'static>>, cause: Cause, end: Option<usize>);
    fn ends(&self) -> usize;
    fn handle_of(&self, end: usize) -> &Fd<'static>;
    fn interest(&self, end: usize) -> Interest;
    fn waits_for(&self, end: usize) -> Interest;
    fn notice(&mut self, end: usize, events: Events);
    fn deadline(&self) -> Option<Instant>;
    fn progress(&self) -> [u64; 2];
    fn progress_of(&self, part: usize) -> u64;
    fn is_between_files(&self) -> bool;
    /// What is to be called once all of it is gone.
    fn conclude(&mut self, was_cancelled: bool) -> Option<Box<dyn FnOnce() + Send>>;
}

struct Assignment<T: Task<Linux<'static>>> {
    task: T,
    /// Boxed, since it is there for a moment only.
    ending: Option<Box<T::Ending>>,
    on_end: Option<Box<dyn FnOnce(T::Ending) + Send>>,
}

impl<T: Task<Linux<'static>> + Send> Work for Assignment<T>
where
    T::Ending: Send + 'static,
{
    fn turn(&mut self, plumbing: &Plumbing<Linux<'static>>, patience: Patience) -> Turn<()> {
        match self.task.turn(plumbing, patience) {
            Turn::Again => Turn::Again,
            Turn::Wait => Turn::Wait,
            Turn::Disk => Turn::Disk,
            Turn::End(ending) => {
                self.ending = Some(Box::new(ending));
                Turn::End(())
            }
        }
    }

    fn give_up(&mut self, plumbing: &Plumbing<Linux<'static>>, cause: Cause, end: Option<usize>) {
        self.ending = Some(Box::new(self.task.give_up(plumbing, cause, end)));
    }

    fn ends(&self) -> usize {
        self.task.ends()
    }

    fn handle_of(&self, end: usize) -> &Fd<'static> {
        self.task.handle_of(end)
    }

    fn interest(&self, end: usize) -> Interest {
        self.task.interest(end)
    }

    fn waits_for(&self, end: usize) -> Interest {
        self.task.waits_for(end)
    }

    fn notice(&mut self, end: usize, events: Events) {
        self.task.notice(end, events);
    }

    fn deadline(&self) -> Option<Instant> {
        self.task.deadline()
    }

    fn progress(&self) -> [u64; 2] {
        self.task.progress()
    }

    fn progress_of(&self, part: usize) -> u64 {
        self.task.progress_of(part)
    }

    fn is_between_files(&self) -> bool {
        (0..self.task.ends()).all(|end| self.task.facts_of(end).kind == Kind::File)
    }

    fn conclude(&mut self, was_cancelled: bool) -> Option<Box<dyn FnOnce() + Send>> {
        let (mut ending, on_end) = self.ending.take().zip(self.on_end.take())?;
        if was_cancelled {
            // A socket that was hung up under the call: the kernel's `EPIPE` is our own doing.
            T::blame_cancel(&mut ending);
        }
        Some(Box::new(move || on_end(*ending)))
    }
}
