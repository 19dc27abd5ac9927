//! The bounded pool for what can wait on a disk: cold pages, copies between files.
//!
//! A worker makes the whole call itself, `sendfile(2)` on a nonblocking socket included, so there is no gap between
//! «it is cached» and «send it» in which it could be evicted. A transfer whose sink is full goes to the event
//! loop and comes back only if it meets a cold page again.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::config;
use crate::kernel::Linux;
use crate::pool::Plumbing;
use crate::stats::{DISK_QUEUE, DISK_THREADS};
use crate::sys::{self, Errno};
use crate::transfer::{Cause, Patience, Turn};

use super::inbox::Inbox;
use super::job::Job;

/// How far the workers stand back. They copy what the disk brings in long calls, and where they share a core with
/// the application's own thread that one would wait for each in turn: on one core with 64 clients of cold files
/// its delay fell from 18 to 5 ms by this, and no request took longer.
const NICE: u16 = 10;

/// Jobs that can wait on a disk, and the threads that do.
#[derive(Debug)]
pub(super) struct DiskPool {
    queue: Mutex<Queue>,
    arrived: Condvar,
    inbox: Arc<Inbox>,
    plumbing: Arc<Plumbing<Linux<'static>>>,
}

#[derive(Debug, Default)]
struct Queue {
    jobs: VecDeque<Box<Job>>,
    threads: usize,
    idle: usize,
}

impl DiskPool {
    pub(super) fn new(inbox: Arc<Inbox>, plumbing: Arc<Plumbing<Linux<'static>>>) -> Self {
        Self { queue: Mutex::default(), arrived: Condvar::new(), inbox, plumbing }
    }

    /// Queues a job, and starts a thread for it where all are busy and there may be one more.
    pub(super) fn push(self: &Arc<Self>, job: Box<Job>) {
        let mut queue = self.queue();
        queue.jobs.push_back(job);
        DISK_QUEUE.add();
        if queue.idle >= queue.jobs.len() || queue.threads >= config::disk_threads() {
            self.arrived.notify_one();
            return;
        }
        let pool = Arc::clone(self);
        match thread::Builder::new().name("zcio-disk".into()).spawn(move || pool.work()) {
            Ok(_) => {
                queue.threads += 1;
                DISK_THREADS.add();
            }
            // With a thread of ours at all the job will have its turn; with none it never will.
            Err(error) if queue.threads == 0 => {
                let errno = Errno::from_raw(error.raw_os_error().unwrap_or(Errno::AGAIN.raw()));
                if let Some(job) = queue.jobs.pop_back() {
                    DISK_QUEUE.take();
                    drop(queue);
                    self.give_up(job, errno);
                }
            }
            Err(_) => self.arrived.notify_one(),
        }
    }

    /// Ends a job that no thread can be had for. On the event loop, whether that knows it or not: this thread may be
    /// the application's, in the middle of its submitting.
    fn give_up(&self, mut job: Box<Job>, errno: Errno) {
        job.work.give_up(&self.plumbing, Cause::System { errno, call: "clone" }, None);
        self.inbox.end(job);
    }

    fn work(&self) {
        sys::block_all_signals();
        sys::stand_back(NICE);
        while let Some(job) = self.next() {
            self.run(job);
        }
    }

    /// The next job, or none for a thread that is one too many since the limit was lowered: it leaves the queue to
    /// the others, of which there is at least one.
    fn next(&self) -> Option<Box<Job>> {
        let mut queue = self.queue();
        loop {
            if queue.threads > config::disk_threads() {
                queue.threads -= 1;
                DISK_THREADS.take();
                self.arrived.notify_one();
                return None;
            }
            if let Some(job) = queue.jobs.pop_front() {
                DISK_QUEUE.take();
                return Some(job);
            }
            queue.idle += 1;
            queue = self.arrived.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.idle -= 1;
        }
    }

    /// One turn; then the job ends, goes to the event loop, or to the end of the queue, so that many share few.
    fn run(&self, mut job: Box<Job>) {
        match job.turn(&self.plumbing, Patience::Disk) {
            Turn::Again | Turn::Disk => {
                self.queue().jobs.push_back(job);
                DISK_QUEUE.add();
            }
            Turn::Wait => self.inbox.park(job),
            // These came straight here. What the event loop knows must leave it before its descriptors close.
            Turn::End(()) if job.work.is_between_files() => job.end(),
            Turn::End(()) => self.inbox.end(job),
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
