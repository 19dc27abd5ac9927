//! All transfers of a process on a few threads: one event loop for what waits for a peer, and a bounded pool for
//! what can wait on a disk.
//!
//! [`Reactor::submit`] takes a transfer that owns its descriptors and gives a [`Ticket`] to watch and cancel it.
//! Both kinds of thread are started by the first transfer that needs them and sleep when there is none; neither
//! keeps a process alive. A job is in one place at a time: in a thread's hands, in a queue, or parked in the event
//! loop until its descriptor is ready.

mod claims;
mod disk;
mod event_loop;
mod inbox;
mod job;
mod ticket;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::kernel::Linux;
use crate::pool::Plumbing;
use crate::sys;
use crate::transfer::{Cause, Ending, Failure, Task, Transfer};

use claims::Claims;
use disk::DiskPool;
use inbox::Inbox;
use job::Job;
pub use ticket::Ticket;

/// The threads that carry out transfers. They do not survive fork(2): what is submitted in the child may never end.
#[derive(Debug)]
pub struct Reactor {
    inbox: Arc<Inbox>,
    disk: Arc<DiskPool>,
    plumbing: Arc<Plumbing<Linux<'static>>>,
    next_id: AtomicU64,
}

impl Reactor {
    /// The reactor of this process, started when first asked for.
    ///
    /// # Errors
    /// What `epoll_create1(2)`, `eventfd(2)` and `clone(2)` may say: `EMFILE`, `ENFILE`, `EAGAIN`. The next call
    /// tries again.
    pub fn global() -> sys::Result<Arc<Self>> {
        static GLOBAL: Mutex<Option<Arc<Reactor>>> = Mutex::new(None);
        let mut global = GLOBAL.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reactor) = &*global {
            return Ok(Arc::clone(reactor));
        }
        let reactor = Arc::new(Self::start()?);
        *global = Some(Arc::clone(&reactor));
        Ok(reactor)
    }

    fn start() -> sys::Result<Self> {
        let inbox = Arc::new(Inbox::new()?);
        let plumbing = Arc::new(Plumbing::default());
        let disk = Arc::new(DiskPool::new(Arc::clone(&inbox), Arc::clone(&plumbing)));
        event_loop::start(Arc::clone(&inbox), Arc::clone(&disk), Arc::clone(&plumbing))?;
        Ok(Self { inbox, disk, plumbing, next_id: AtomicU64::new(1) })
    }

    /// Carries out a transfer. `on_end` runs on one of the reactor's threads, after the transfer's descriptors
    /// have been closed; it must not wait, and a panic in it ends there, reported by the panic hook.
    ///
    /// # Errors
    /// [`Cause::Busy`] where the same pipe or socket is already the same end of another transfer; `EMFILE` and
    /// `ENFILE` where borrowed descriptors cannot be duplicated; [`Cause::Blocking`] where a descriptor without
    /// `O_NONBLOCK` would hold up all transfers, the request not being
    /// [`asynchronous`](crate::Request::asynchronous).
    pub fn submit(
        &self,
        mut transfer: Transfer<Linux<'_>>,
        on_end: impl FnOnce(Ending) + Send + 'static,
    ) -> Result<Ticket, Failure> {
        if let Some(side) = transfer.blocking_end() {
            return Err(transfer.stop(&Plumbing::default(), Cause::Blocking, Some(side)));
        }
        self.carry_out(transfer.into_owned()?, on_end).map_err(|ending| ending.expect_err("refused"))
    }

    /// The same for any task whose descriptors are its own and cannot block.
    ///
    /// # Errors
    /// The ending of a task that was refused with [`Cause::Busy`].
    pub fn carry_out<T>(
        &self,
        task: T,
        on_end: impl FnOnce(T::Ending) + Send + 'static,
    ) -> Result<Ticket, T::Ending>
    where
        T: Task<Linux<'static>> + Send + 'static,
        T::Ending: Send,
    {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (job, ticket) = Job::new(id, task, &self.plumbing, &self.inbox, Box::new(on_end))?;
        if job.work.is_between_files() {
            self.disk.push(job);
        } else {
            self.inbox.start(job);
        }
        Ok(ticket)
    }
}

/// Whether a job of any reactor moves bytes, in the same direction, through a pipe or socket of this task.
#[must_use]
pub fn is_busy<'fd, T: Task<Linux<'fd>>>(task: &T) -> bool {
    Claims::are_taken(task)
}
