//! The thread that waits for peers: one `epoll(7)` for all transfers.
//!
//! A job is parked under its id until an end of it is ready. Its ends are registered, edge-triggered, when first
//! waited for, and stay so: from then on a wait costs no call. An edge that comes while the job is with the disk
//! pool is noted, so that parking it again cannot miss it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::kernel::Linux;
use crate::pool::Plumbing;
use crate::sys::{self, Epoll, Errno, Event, EventBuffer, Events, Interest};
use crate::transfer::{Cause, Patience, Turn};

use super::disk::DiskPool;
use super::inbox::{Inbox, Message};
use super::job::{Job, Watched};

/// The token of the eventfd; ids of jobs start at 1.
const WAKE: u64 = 0;

/// A token names a job and one of its ends, in this many of its bits.
const END_BITS: u32 = 16;

/// Events taken from the kernel at once; more are found at the next look.
const EVENTS: usize = 256;

/// So long nothing has happened when the pipes that are kept for the next relay are closed.
const QUIET: Duration = Duration::from_secs(1);

/// So few timers of jobs that have ended are not worth looking for.
const SPARE_TIMERS: usize = 64;

/// Starts the thread.
pub(super) fn start(
    inbox: Arc<Inbox>,
    disk: Arc<DiskPool>,
    plumbing: Arc<Plumbing<Linux<'static>>>,
) -> sys::Result<()> {
    let epoll = Epoll::new()?;
    epoll.add(inbox.wake(), WAKE, Interest::READABLE | Interest::EDGE)?;
    let mut event_loop = EventLoop {
        epoll,
        inbox,
        disk,
        plumbing,
        places: HashMap::new(),
        ready: Vec::new(),
        timers: BinaryHeap::new(),
    };
    let spawned = thread::Builder::new().name("zcio-reactor".into()).spawn(move || event_loop.run());
    spawned.map(drop).map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(Errno::AGAIN.raw())))
}

/// Where a job is that the event loop knows.
enum Place {
    /// Here; `ready`: in the list of those to be given a turn, else waiting for an edge.
    Here { job: Box<Job>, ready: bool },
    /// With the disk pool; `edge`: something has happened meanwhile; `timed`: its timer is still to come.
    Away { edge: bool, timed: bool },
}

struct EventLoop {
    epoll: Epoll,
    inbox: Arc<Inbox>,
    disk: Arc<DiskPool>,
    plumbing: Arc<Plumbing<Linux<'static>>>,
    places: HashMap<u64, Place>,
    /// Jobs to give a turn, in order.
    ready: Vec<u64>,
    /// The next deadline first, at most one for each job; a job whose deadline has moved gets a new one then.
    timers: BinaryHeap<Reverse<(Instant, u64)>>,
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
            self.notice_time();
            for id in std::mem::take(&mut self.ready) {
                self.turn(id);
            }
        }
    }

    /// With jobs that can go on, only look; else sleep until something happens, until a job wants a turn, or until
    /// kept pipes are not worth their descriptors. A disk worker that gives one back sends its job here afterwards,
    /// or goes on with it.
    fn timeout(&self) -> Option<Duration> {
        if !self.ready.is_empty() {
            return Some(Duration::ZERO);
        }
        let quiet = (self.plumbing.pipes.kept() > 0).then_some(QUIET);
        let timer = self.timers.peek().map(|Reverse((at, _))| at.saturating_duration_since(Instant::now()));
        quiet.into_iter().chain(timer).min()
    }

    /// Gives a turn to those whose time has come, and a new timer to those that have moved meanwhile.
    fn notice_time(&mut self) {
        while let Some(Reverse((at, id))) = self.timers.peek().copied() {
            if at > Instant::now() {
                return;
            }
            self.timers.pop();
            let deadline = match self.places.get_mut(&id) {
                Some(Place::Here { job, .. }) => {
                    job.timed = false;
                    job.work.deadline()
                }
                Some(Place::Away { timed, .. }) => {
                    *timed = false;
                    None
                }
                None => None,
            };
            match deadline {
                Some(deadline) if deadline > at => self.set_timer(id, deadline),
                Some(_) => self.look_at(id),
                None => {}
            }
        }
    }

    fn set_timer(&mut self, id: u64, deadline: Instant) {
        if let Some(Place::Here { job, .. }) = self.places.get_mut(&id)
            && !std::mem::replace(&mut job.timed, true)
        {
            self.timers.push(Reverse((deadline, id)));
        }
    }

    fn notice(&mut self, event: Event) {
        if event.token == WAKE {
            for message in self.inbox.take() {
                self.obey(message);
            }
            return;
        }
        #[allow(clippy::cast_possible_truncation, reason = "16 bits")]
        let (id, end) = (event.token >> END_BITS, usize::from(event.token as u16));
        if let Some(Place::Here { job, .. }) = self.places.get_mut(&id) {
            job.work.notice(end, event.events);
        }
        self.look_at(id);
    }

    /// Something has happened that may let this job go on.
    fn look_at(&mut self, id: u64) {
        match self.places.get_mut(&id) {
            Some(Place::Here { ready, .. }) if !*ready => {
                *ready = true;
                self.ready.push(id);
            }
            Some(Place::Away { edge, .. }) => *edge = true,
            Some(Place::Here { .. }) | None => {}
        }
    }

    fn obey(&mut self, message: Message) {
        match message {
            Message::Start(job) => self.place(job, true),
            Message::Park(mut job) => {
                // A cancel may have come when the job was not known here.
                let id = job.id;
                let mut look = job.is_cancelled();
                if let Some(Place::Away { edge, timed }) = self.places.get(&id) {
                    job.timed = *timed;
                    look |= edge;
                    if *edge {
                        (0..job.work.ends()).for_each(|end| job.work.notice(end, Events::all()));
                    }
                }
                self.park(job);
                if look {
                    self.look_at(id);
                }
            }
            Message::End(job) => self.end(job),
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
        match job.turn(&self.plumbing, Patience::None) {
            Turn::Again => self.place(job, true),
            Turn::Wait => self.park(job),
            Turn::Disk => {
                self.places.insert(id, Place::Away { edge: false, timed: job.timed });
                self.disk.push(job);
            }
            Turn::End(()) => self.end(job),
        }
    }

    fn park(&mut self, mut job: Box<Job>) {
        match self.watch(&mut job) {
            Ok(()) => {
                let (id, deadline) = (job.id, job.work.deadline());
                self.place(job, false);
                if let Some(deadline) = deadline {
                    self.set_timer(id, deadline);
                }
            }
            Err((errno, end)) => {
                let cause = Cause::System { errno, call: "epoll_ctl" };
                job.work.give_up(&self.plumbing, cause, Some(end));
                self.end(job);
            }
        }
    }

    /// Registers each end that is waited for, once. Adding it reports at once what is ready already, so no edge is
    /// missed.
    fn watch(&self, job: &mut Job) -> Result<(), (Errno, usize)> {
        if job.watched.is_empty() {
            job.watched = (0..job.work.ends()).map(|_| Watched::No).collect();
        }
        for end in 0..job.work.ends() {
            if matches!(job.watched[end], Watched::No) && !job.work.waits_for(end).is_empty() {
                job.watched[end] = self.register(job, end).map_err(|errno| (errno, end))?;
            }
        }
        Ok(())
    }

    fn register(&self, job: &Job, end: usize) -> sys::Result<Watched> {
        let (handle, interest) = (job.work.handle_of(end), job.work.interest(end) | Interest::EDGE);
        let token = job.id << END_BITS | end as u64;
        match self.epoll.add(handle, token, interest) {
            Err(Errno::EXIST) => {
                let own = sys::duplicate(handle)?;
                self.epoll.add(&own, token, interest).map(|()| Watched::As(own))
            }
            added => added.map(|()| Watched::Yes),
        }
    }

    /// A duplicate that is closed while registered would leave its registration behind, since the caller's own
    /// descriptor keeps the file open: so it is taken out first.
    fn end(&mut self, job: Box<Job>) {
        self.places.remove(&job.id);
        for (end, watched) in job.watched.iter().enumerate() {
            let _ = match watched {
                Watched::No => Ok(()),
                Watched::Yes => self.epoll.delete(job.work.handle_of(end)),
                Watched::As(own) => self.epoll.delete(own),
            };
        }
        job.end();
        self.forget_timers();
    }

    /// Drops the timers of jobs that have ended, which may be due in a day, once they are more than all that live.
    fn forget_timers(&mut self) {
        if self.timers.len() > 2 * self.places.len() + SPARE_TIMERS {
            self.timers.retain(|Reverse((_, id))| self.places.contains_key(id));
        }
    }
}
