//! A task in the hands of the reactor, and what the rest of the process holds of it.

use std::fmt;
use std::os::fd::OwnedFd;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::endpoint::Kind;
use crate::kernel::Linux;
use crate::pool::Plumbing;
use crate::sys::{self, Events, Fd, Interest};
use crate::transfer::{Cause, Patience, Task, Turn};

use super::claims::Claims;
use super::inbox::Inbox;

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
        let ticket = Ticket { control: Arc::clone(&control) };
        let work = Assignment { task, ending: None, on_end: Some(on_end) };
        let job = Job { id, watched: Box::default(), timed: false, control, claims, work };
        Ok((Box::new(job), ticket))
    }

    /// One turn of the task, unless it was cancelled meanwhile.
    pub(super) fn turn(&mut self, plumbing: &Plumbing<Linux<'static>>, patience: Patience) -> Turn<()> {
        if self.is_cancelled() {
            self.work.give_up(plumbing, Cause::Canceled, None);
            return Turn::End(());
        }
        let turn = self.work.turn(plumbing, patience);
        self.control.count(&self.work);
        turn
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.control.cancelled.load(Ordering::Acquire)
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

/// What the owner of the task and the threads that carry it out share.
#[derive(Debug)]
pub(super) struct Control {
    id: u64,
    cancelled: AtomicBool,
    bytes: [AtomicU64; 2],
    /// Sink by sink, where there are many.
    parts: Box<[AtomicU64]>,
    /// The ends that are sockets, as long as the job has them.
    sockets: Mutex<Sockets>,
    inbox: Arc<Inbox>,
}

/// By the number of the end that it is.
type Sockets = Box<[Option<Arc<OwnedFd>>]>;

impl Control {
    fn new<T: Task<Linux<'static>>>(id: u64, task: &T, inbox: Arc<Inbox>) -> Self {
        Self {
            id,
            cancelled: AtomicBool::new(false),
            bytes: task.progress().map(AtomicU64::new),
            parts: (0..task.parts()).map(|_| AtomicU64::new(0)).collect(),
            sockets: Mutex::new(sockets_of(task)),
            inbox,
        }
    }

    fn count(&self, work: &dyn Work) {
        for (bytes, progress) in self.bytes.iter().zip(work.progress()) {
            bytes.store(progress, Ordering::Relaxed);
        }
        for (part, bytes) in self.parts.iter().enumerate() {
            bytes.store(work.progress_of(part), Ordering::Relaxed);
        }
    }

    fn sockets(&self) -> MutexGuard<'_, Sockets> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget_sockets(&self) {
        *self.sockets() = Sockets::default();
    }
}

/// Watches and cancels a submitted task. Dropping it does neither.
#[derive(Debug, Clone)]
pub struct Ticket {
    control: Arc<Control>,
}

impl Ticket {
    /// Bytes that the sink has accepted so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.progress()[0]
    }

    /// The same for both directions of a bridge: from a to b, from b to a.
    #[must_use]
    pub fn progress(&self) -> [u64; 2] {
        self.control.bytes.each_ref().map(|bytes| bytes.load(Ordering::Relaxed))
    }

    /// Bytes that this sink of a fan-out has accepted so far, numbered from 0; 0 for one that it has not.
    #[must_use]
    pub fn bytes_of(&self, sink: usize) -> u64 {
        self.control.parts.get(sink).map_or(0, |bytes| bytes.load(Ordering::Relaxed))
    }

    /// Asks the task to stop: it ends with [`Cause::Canceled`] as soon as its thread next looks.
    pub fn cancel(&self) {
        self.control.cancelled.store(true, Ordering::Release);
        self.control.inbox.look_at(self.control.id);
    }

    /// Cancels because the owner has closed the socket that is this end.
    pub fn hang_up(&self, end: usize) {
        self.control.cancelled.store(true, Ordering::Release);
        self.shut_down(end);
        self.cancel();
    }

    /// Shuts down the socket that is this end: its peer learns of it now, although the engine still holds a duplicate,
    /// and the task with its next call. `shutdown(2)` runs under the lock that also guards its closing.
    pub fn shut_down(&self, end: usize) {
        if let Some(Some(socket)) = self.control.sockets().get(end) {
            // ENOTCONN: the peer was faster.
            let _ = sys::shutdown(socket, sys::How::Both);
        }
    }
}

fn sockets_of<T: Task<Linux<'static>>>(task: &T) -> Sockets {
    let socket = |end| match task.handle_of(end) {
        Fd::Shared(fd) if task.facts_of(end).kind == Kind::Socket => Some(Arc::clone(fd)),
        _ => None,
    };
    (0..task.ends()).map(socket).collect()
}
