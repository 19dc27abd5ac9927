//! A transfer in the hands of the reactor, and what the rest of the process holds of it.

use std::collections::HashSet;
use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use crate::endpoint::{Facts, Kind};
use crate::kernel::Linux;
use crate::pool::Plumbing;
use crate::sys::{self, Fd};
use crate::transfer::{Cause, Ending, Failure, Patience, Side, Step, Transfer};

use super::event_loop::Inbox;

/// A transfer, whom to tell, and the registrations to undo.
pub(super) struct Job {
    pub(super) id: u64,
    pub(super) transfer: Transfer<Linux<'static>>,
    /// Whether an end is registered with epoll: source, sink.
    pub(super) watched: [bool; 2],
    control: Arc<Control>,
    claims: Claims,
    on_end: Box<dyn FnOnce(Ending) + Send>,
}

impl Job {
    pub(super) fn new(
        id: u64,
        mut transfer: Transfer<Linux<'static>>,
        plumbing: &Plumbing<Linux<'static>>,
        on_end: Box<dyn FnOnce(Ending) + Send>,
    ) -> Result<(Box<Self>, Arc<Control>), Failure> {
        let Some(claims) = Claims::on(&transfer) else {
            return Err(transfer.stop(plumbing, Cause::Busy, None));
        };
        let control = Arc::new(Control {
            id,
            cancelled: AtomicBool::new(false),
            bytes: AtomicU64::new(transfer.moved()),
            sockets: Mutex::new(sockets_of(&transfer)),
        });
        let job = Self { id, transfer, watched: [false; 2], control: Arc::clone(&control), claims, on_end };
        Ok((Box::new(job), control))
    }

    /// One turn of the transfer, unless it was cancelled meanwhile.
    pub(super) fn advance(&mut self, plumbing: &Plumbing<Linux<'static>>, patience: Patience) -> Step {
        if self.is_cancelled() {
            return Step::End(Err(self.transfer.stop(plumbing, Cause::Canceled, None)));
        }
        let mut step = self.transfer.advance(plumbing, patience);
        self.control.bytes.store(self.transfer.moved(), Ordering::Relaxed);
        if let Step::End(Err(failure)) = &mut step
            && self.is_cancelled()
        {
            // A socket that was hung up under the call: the kernel's `EPIPE` is our own doing.
            failure.cause = Cause::Canceled;
        }
        step
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.control.cancelled.load(Ordering::Acquire)
    }

    /// Closes the descriptors, then tells: whoever hears of the end may count on their being gone.
    pub(super) fn end(self: Box<Self>, ending: Ending) {
        let Self { transfer, control, claims, on_end, .. } = *self;
        control.forget_sockets();
        drop(transfer);
        drop(claims);
        on_end(ending);
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("id", &self.id).field("transfer", &self.transfer).finish_non_exhaustive()
    }
}

/// What the owner of the transfer and the threads that move it share.
#[derive(Debug)]
pub(super) struct Control {
    id: u64,
    cancelled: AtomicBool,
    bytes: AtomicU64,
    /// The ends that are sockets, as long as the job has them.
    sockets: Mutex<Vec<Arc<OwnedFd>>>,
}

impl Control {
    fn sockets(&self) -> MutexGuard<'_, Vec<Arc<OwnedFd>>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget_sockets(&self) {
        self.sockets().clear();
    }
}

/// Watches and cancels a submitted transfer. Dropping it does neither.
#[derive(Debug)]
pub struct Ticket {
    control: Arc<Control>,
    inbox: Arc<Inbox>,
}

impl Ticket {
    pub(super) fn new(control: Arc<Control>, inbox: Arc<Inbox>) -> Self {
        Self { control, inbox }
    }

    /// Bytes that the sink has accepted so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.control.bytes.load(Ordering::Relaxed)
    }

    /// Asks the transfer to stop: it ends with [`Cause::Canceled`] as soon as its thread next looks.
    pub fn cancel(&self) {
        self.control.cancelled.store(true, Ordering::Release);
        self.inbox.look_at(self.control.id);
    }

    /// Cancels because the owner has closed its socket: the peers learn of it now, although the engine still holds
    /// duplicates. `shutdown(2)` runs under the lock that also guards their closing.
    pub fn hang_up(&self) {
        self.control.cancelled.store(true, Ordering::Release);
        for socket in &*self.control.sockets() {
            // ENOTCONN: the peer was faster.
            let _ = sys::shutdown(socket, sys::How::Both);
        }
        self.cancel();
    }
}

fn sockets_of(transfer: &Transfer<Linux<'static>>) -> Vec<Arc<OwnedFd>> {
    let sockets = [Side::Source, Side::Sink].map(|side| match transfer.handle(side) {
        Fd::Shared(fd) if transfer.facts(side).kind == Kind::Socket => Some(Arc::clone(fd)),
        _ => None,
    });
    sockets.into_iter().flatten().collect()
}

/// The pipes and sockets that a job moves bytes through, each in one direction. Two transfers that read one pipe
/// would tear its bytes apart. Files are never claimed, nor what the caller told us instead of letting us ask.
#[derive(Debug)]
struct Claims(Vec<Claim>);

type Claim = (u64, u64, Side);

impl Claims {
    fn on(transfer: &Transfer<Linux<'static>>) -> Option<Self> {
        let wanted: Vec<Claim> = [Side::Source, Side::Sink]
            .into_iter()
            .filter_map(|side| claim(transfer.facts(side), side))
            .collect();
        let mut taken = taken();
        if wanted.iter().any(|claim| taken.contains(claim)) {
            return None;
        }
        taken.extend(&wanted);
        Some(Self(wanted))
    }
}

impl Drop for Claims {
    fn drop(&mut self) {
        let mut taken = taken();
        for claim in &self.0 {
            taken.remove(claim);
        }
    }
}

fn claim(facts: &Facts, side: Side) -> Option<Claim> {
    let exclusive = matches!(facts.kind, Kind::Pipe | Kind::Socket) && facts.identity.inode != 0;
    exclusive.then_some((facts.identity.device, facts.identity.inode, side))
}

fn taken() -> MutexGuard<'static, HashSet<Claim>> {
    static TAKEN: LazyLock<Mutex<HashSet<Claim>>> = LazyLock::new(Mutex::default);
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner)
}
