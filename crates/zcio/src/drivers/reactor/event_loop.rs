//! The thread that waits for peers: one `epoll(7)` for all transfers.
//!
//! A job is parked under its id until an end of it is ready. Its ends are registered, edge-triggered, when first
//! waited for, and stay so: from then on a wait costs no call. An edge that comes while the job is with the disk
//! pool is noted, so that parking it again cannot miss it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::kernel::Linux;
use crate::pool::Plumbing;
use crate::sys::{self, Epoll, Errno, Event, EventBuffer, EventFd, Interest};
use crate::transfer::{Cause, Ending, Patience, Side, Step};

use super::disk::DiskPool;
use super::job::Job;

/// The token of the eventfd; ids of jobs start at 1.
const WAKE: u64 = 0;

/// Events taken from the kernel at once; more are found at the next look.
const EVENTS: usize = 256;

/// So long nothing has happened when the pipes that are kept for the next relay are closed.
const QUIET: Duration = Duration::from_secs(1);

/// What other threads ask of the event loop.
#[derive(Debug)]
pub(super) struct Inbox {
    messages: Mutex<Vec<Message>>,
    wake: EventFd,
}

#[derive(Debug)]
enum Message {
    /// A new job: give it a turn.
    Start(Box<Job>),
    /// A job whose end must become ready first.
    Park(Box<Job>, Side),
    /// A job that ended elsewhere and is still registered here.
    End(Box<Job>, Ending),
    /// A job may have been cancelled.
    LookAt(u64),
}

impl Inbox {
    pub(super) fn new() -> sys::Result<Self> {
        Ok(Self { messages: Mutex::default(), wake: EventFd::new()? })
    }

    pub(super) fn start(&self, job: Box<Job>) {
        self.post(Message::Start(job));
    }

    pub(super) fn park(&self, job: Box<Job>, side: Side) {
        self.post(Message::Park(job, side));
    }

    pub(super) fn end(&self, job: Box<Job>, ending: Ending) {
        self.post(Message::End(job, ending));
    }

    pub(super) fn look_at(&self, id: u64) {
        self.post(Message::LookAt(id));
    }

    /// Only the first message since the loop last looked has to wake it.
    fn post(&self, message: Message) {
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        messages.push(message);
        if messages.len() == 1 {
            // It can only fail when woken 2^64 times over.
            let _ = self.wake.wake();
        }
    }

    fn take(&self) -> Vec<Message> {
        std::mem::take(&mut self.messages.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Starts the thread.
pub(super) fn start(
    inbox: Arc<Inbox>,
    disk: Arc<DiskPool>,
    plumbing: Arc<Plumbing<Linux<'static>>>,
) -> sys::Result<()> {
    let epoll = Epoll::new()?;
    epoll.add(&inbox.wake, WAKE, Interest::READABLE)?;
    let mut event_loop =
        EventLoop { epoll, inbox, disk, plumbing, places: HashMap::new(), ready: Vec::new() };
    let spawned = thread::Builder::new().name("zcio-reactor".into()).spawn(move || event_loop.run());
    spawned.map(drop).map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(Errno::AGAIN.raw())))
}

/// Where a job is that the event loop knows.
enum Place {
    /// Here; `ready`: in the list of those to be given a turn, else waiting for an edge.
    Here { job: Box<Job>, ready: bool },
    /// With the disk pool; `edge`: something has happened meanwhile.
    Away { edge: bool },
}

struct EventLoop {
    epoll: Epoll,
    inbox: Arc<Inbox>,
    disk: Arc<DiskPool>,
    plumbing: Arc<Plumbing<Linux<'static>>>,
    places: HashMap<u64, Place>,
    /// Jobs to give a turn, in order.
    ready: Vec<u64>,
}

impl EventLoop {
    fn run(&mut self) {
        sys::block_all_signals();
        let mut events = EventBuffer::with_capacity(EVENTS);
        loop {
            let timeout = self.timeout();
            // Nothing that epoll_wait(2) may answer can happen to a descriptor of our own.
            let happened = self.epoll.wait(&mut events, timeout);
            if timeout == Some(QUIET) && happened == Ok(0) {
                self.plumbing.pipes.clear();
            }
            for event in events.iter() {
                self.notice(event);
            }
            for id in std::mem::take(&mut self.ready) {
                self.turn(id);
            }
        }
    }

    /// With jobs that can go on, only look; else sleep until something happens, or until kept pipes are not worth
    /// their descriptors. A disk worker that gives one back sends its job here afterwards, or goes on with it.
    fn timeout(&self) -> Option<Duration> {
        if !self.ready.is_empty() {
            return Some(Duration::ZERO);
        }
        (self.plumbing.pipes.kept() > 0).then_some(QUIET)
    }

    fn notice(&mut self, event: Event) {
        if event.token == WAKE {
            let _ = self.inbox.wake.clear();
            for message in self.inbox.take() {
                self.obey(message);
            }
            return;
        }
        self.look_at(event.token);
    }

    /// Something has happened that may let this job go on.
    fn look_at(&mut self, id: u64) {
        match self.places.get_mut(&id) {
            Some(Place::Here { ready, .. }) if !*ready => {
                *ready = true;
                self.ready.push(id);
            }
            Some(Place::Away { edge }) => *edge = true,
            Some(Place::Here { .. }) | None => {}
        }
    }

    fn obey(&mut self, message: Message) {
        match message {
            Message::Start(job) => self.place(job, true),
            Message::Park(job, side) => {
                // A cancel may have come when the job was not known here.
                let missed = matches!(self.places.get(&job.id), Some(Place::Away { edge: true }));
                let id = job.id;
                let look = missed || job.is_cancelled();
                self.park(job, side);
                if look {
                    self.look_at(id);
                }
            }
            Message::End(job, ending) => self.end(job, ending),
            Message::LookAt(id) => self.look_at(id),
        }
    }

    fn place(&mut self, job: Box<Job>, ready: bool) {
        if ready {
            self.ready.push(job.id);
        }
        self.places.insert(job.id, Place::Here { job, ready });
    }

    fn turn(&mut self, id: u64) {
        let Some(Place::Here { mut job, .. }) = self.places.remove(&id) else { return };
        match job.advance(&self.plumbing, Patience::None) {
            Step::Again => self.place(job, true),
            Step::Wait(side) => self.park(job, side),
            Step::Disk => {
                self.places.insert(id, Place::Away { edge: false });
                self.disk.push(job);
            }
            Step::End(ending) => self.end(job, ending),
        }
    }

    fn park(&mut self, mut job: Box<Job>, side: Side) {
        match self.watch(&mut job, side) {
            Ok(()) => self.place(job, false),
            Err(errno) => {
                let cause = Cause::System { errno, call: "epoll_ctl" };
                let failure = job.transfer.stop(&self.plumbing, cause, Some(side));
                self.end(job, Err(failure));
            }
        }
    }

    /// Registers an end once. Adding it reports at once what is ready already, so no edge is missed.
    fn watch(&self, job: &mut Job, side: Side) -> sys::Result<()> {
        let (index, interest) = match side {
            Side::Source => (0, Interest::READABLE | Interest::EDGE),
            Side::Sink => (1, Interest::WRITABLE | Interest::EDGE),
        };
        if !job.watched[index] {
            let mut added = self.epoll.add(job.transfer.handle(side), job.id, interest);
            // The other direction of a bridge waits with the descriptor they share: epoll has one token for each.
            if added == Err(Errno::EXIST) {
                job.transfer.unshare(side)?;
                added = self.epoll.add(job.transfer.handle(side), job.id, interest);
            }
            added?;
            job.watched[index] = true;
        }
        Ok(())
    }

    /// A duplicate that is closed while registered would leave its registration behind, since the caller's own
    /// descriptor keeps the file open: so it is taken out first.
    fn end(&mut self, job: Box<Job>, ending: Ending) {
        self.places.remove(&job.id);
        for (index, side) in [Side::Source, Side::Sink].into_iter().enumerate() {
            if job.watched[index] {
                let _ = self.epoll.delete(job.transfer.handle(side));
            }
        }
        job.end(ending);
    }
}
