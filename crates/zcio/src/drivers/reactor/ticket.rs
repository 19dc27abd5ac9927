//! What the rest of the process holds of a job: how far it is, and how to stop it.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::endpoint::Kind;
use crate::kernel::Linux;
use crate::sys::{self, Fd, How};
use crate::transfer::Task;

use super::inbox::Inbox;
use super::job::Work;

/// What the owner of the task and the threads that carry it out share.
#[derive(Debug)]
pub(super) struct Control {
    id: u64,
    cancelled: AtomicBool,
    /// Whether a socket that is the task's alone is to be shut down.
    asked: AtomicBool,
    bytes: [AtomicU64; 2],
    /// Sink by sink, where there are many.
    parts: Box<[AtomicU64]>,
    sockets: Mutex<Sockets>,
    inbox: Arc<Inbox>,
}

/// The ends that are sockets, as long as the job has them, by the number of the end.
type Sockets = Box<[Option<Socket>]>;

#[derive(Debug)]
enum Socket {
    /// Held here too: shut down by whoever asks.
    Shared(Arc<OwnedFd>),
    /// The task's alone: shut down by whoever has the task.
    Owned { asked: bool },
}

impl Control {
    pub(super) fn new<T: Task<Linux<'static>>>(id: u64, task: &T, inbox: Arc<Inbox>) -> Self {
        Self {
            id,
            cancelled: AtomicBool::new(false),
            asked: AtomicBool::new(false),
            bytes: task.progress().map(AtomicU64::new),
            parts: (0..task.parts()).map(|_| AtomicU64::new(0)).collect(),
            sockets: Mutex::new(sockets_of(task)),
            inbox,
        }
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    pub(super) fn count(&self, work: &dyn Work) {
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

    /// `shutdown(2)` under the lock that also guards the socket's closing.
    fn shut_down(&self, end: usize, how: How) {
        match self.sockets().get_mut(end) {
            Some(Some(Socket::Shared(socket))) => shut_down(&**socket, how),
            Some(Some(Socket::Owned { asked })) => {
                *asked = true;
                self.asked.store(true, Ordering::Release);
                self.inbox.look_at(self.id);
            }
            Some(None) | None => {}
        }
    }

    /// For who has the task, before each of its turns.
    pub(super) fn shut_down_owned(&self, work: &dyn Work) {
        if !self.asked.swap(false, Ordering::Acquire) {
            return;
        }
        for (end, socket) in self.sockets().iter_mut().enumerate() {
            if let Some(Socket::Owned { asked }) = socket
                && std::mem::take(asked)
            {
                shut_down(work.handle_of(end), How::Both);
            }
        }
    }

    pub(super) fn forget_sockets(&self) {
        *self.sockets() = Sockets::default();
    }
}

/// Watches and cancels a submitted task. Dropping it does neither.
#[derive(Debug, Clone)]
pub struct Ticket {
    control: Arc<Control>,
}

impl Ticket {
    pub(super) const fn new(control: Arc<Control>) -> Self {
        Self { control }
    }

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

    /// Asks the task to stop: it ends with [`Cause::Canceled`](crate::Cause::Canceled) as soon as its thread next looks.
    pub fn cancel(&self) {
        self.control.cancelled.store(true, Ordering::Release);
        self.control.inbox.look_at(self.control.id);
    }

    /// Cancels because the owner has closed the socket that is this end: its peer learns of it now, although the engine
    /// still holds a duplicate. Nothing more can be written; what a turn under way still reads has come from the peer, so
    /// that it meets no end which the peer has not sent.
    pub fn hang_up(&self, end: usize) {
        self.control.cancelled.store(true, Ordering::Release);
        self.control.shut_down(end, How::Write);
        self.cancel();
    }

    /// Shuts down the socket that is this end, in both directions: the task learns of it with its next call. Where the
    /// socket is the task's alone ([`Fd::Owned`]), that is on the task's thread, as soon as it next looks.
    pub fn shut_down(&self, end: usize) {
        self.control.shut_down(end, How::Both);
    }
}

fn sockets_of<T: Task<Linux<'static>>>(task: &T) -> Sockets {
    let socket = |end| match task.handle_of(end) {
        _ if task.facts_of(end).kind != Kind::Socket => None,
        Fd::Shared(fd) => Some(Socket::Shared(Arc::clone(fd))),
        Fd::Owned(_) | Fd::Borrowed(_) => Some(Socket::Owned { asked: false }),
    };
    (0..task.ends()).map(socket).collect()
}

fn shut_down(socket: impl AsFd, how: How) {
    // ENOTCONN: the peer was faster.
    let _ = sys::shutdown(socket, how);
}
