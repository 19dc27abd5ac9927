//! Drives tasks as futures on tokio: its reactor waits for peers, its blocking threads for disks.
//!
//! ```no_run
//! # async fn relay(client: tokio::net::TcpStream, server: tokio::net::TcpStream) {
//! tokio::spawn(async move {
//!     let ending = zcio::tokio::bridge(&client, &server, None).await?;
//!     println!("{} bytes to the server", ending.a_to_b?.bytes);
//!     Ok::<_, zcio::Failure>(())
//! });
//! # }
//! ```
//!
//! Ends are given by [`AsFd`]: tokio's sockets and pipes, files of std and of tokio. The engine duplicates them when
//! the future is made, so that it borrows nothing; a peer sees a socket closed when both its owner and the future
//! have dropped it. The runtime needs its I/O driver enabled, for a [`bridge`] with a timeout also its timer.
//!
//! **A dropped future** stops its task and closes the duplicates. Bytes on their way from a stream to a sink, at most
//! what one pipe holds, are gone with it, and so is the count: where they matter, end the task by [`drive_until`],
//! which tells both. A call that was waiting for a disk goes on to its end on its blocking thread first.

use std::future::{Future, pending, poll_fn};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::resume_unwind;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::unix::AsyncFd;
use tokio::task::{spawn_blocking, yield_now};
use tokio::time::{Sleep, sleep_until};

use crate::endpoint::Endpoint;
use crate::kernel::Linux;
use crate::pool::Plumbing;
use crate::sys::{self, Errno, Events, Fd, Interest};
use crate::transfer::{
    Bridge, BridgeEnding, Cause, Ending, Failure, FanOut, FanOutEnding, FanOutRequest, Patience, Request,
    Side, Task, Transfer, Turn,
};

use super::blocking::refused;

/// Moves everything from `source`, from where it stands, to `sink`, by the best means the kernel offers.
///
/// # Errors
/// See [`Failure`]; [`Cause::Blocking`] for a descriptor without `O_NONBLOCK` that is not a file: waiting inside a
/// call on it would hold up the executor.
pub fn transfer<A: AsFd, B: AsFd>(source: &A, sink: &B) -> impl Future<Output = Ending> + Send + use<A, B> {
    transfer_with(source, sink, Request::default())
}

/// The same with options. [`Request::asynchronous`] also admits sockets without `O_NONBLOCK`, by copying.
///
/// # Errors
/// As of [`transfer`].
pub fn transfer_with<A: AsFd, B: AsFd>(
    source: &A,
    sink: &B,
    request: Request,
) -> impl Future<Output = Ending> + Send + use<A, B> {
    let prepared = own(source, Side::Source, request.asynchronous).and_then(|source| {
        let sink = own(sink, Side::Sink, request.asynchronous)?;
        Transfer::new(source, sink, request)
    });
    async move { drive(prepared?).await }
}

/// Relays between two connected stream sockets in both directions until both have ended, and passes on each end
/// when it comes; `idle_timeout`: or until nothing has moved for so long.
///
/// # Errors
/// Of ends that are not such sockets, or lack `O_NONBLOCK`; how the directions ended is in the [`BridgeEnding`].
pub fn bridge<A: AsFd, B: AsFd>(
    a: &A,
    b: &B,
    idle_timeout: Option<Duration>,
) -> impl Future<Output = Result<BridgeEnding, Failure>> + Send + use<A, B> {
    let prepared = own(a, Side::Source, false).and_then(|a| {
        let b = own(b, Side::Sink, false)?;
        Bridge::between([a, b], Default::default(), idle_timeout)
    });
    async move { Ok(drive(prepared?).await) }
}

/// Gives all of `source` to each of `sinks`, by `tee(2)`. The slowest sink sets the pace.
///
/// # Errors
/// Of ends that cannot be such, [`Cause::Blocking`] among them; how it went is in the [`FanOutEnding`].
pub fn fan_out<A: AsFd>(
    source: &A,
    sinks: &[&dyn AsFd],
    request: FanOutRequest,
) -> impl Future<Output = Result<FanOutEnding, Failure>> + Send + use<A> {
    let prepared = own(source, Side::Source, false).and_then(|source| {
        let sinks: Result<Vec<_>, _> = sinks.iter().map(|sink| own(sink, Side::Sink, false)).collect();
        FanOut::new(source, sinks?, request).map_err(refused)
    });
    async move { Ok(drive(prepared?).await) }
}

/// Gives a task its turns until it ends. Its descriptors must be its own, and must not block.
///
/// # Panics
/// Where a runtime without I/O driver, or none at all, is to wait.
pub fn drive<T>(task: T) -> Running<'static, T::Ending>
where
    T: Task<Linux<'static>> + Send + 'static,
    T::Ending: Send,
{
    drive_until(task, pending::<()>())
}

/// The same until `stop` is ready: the task then ends with [`Cause::Canceled`], and its ending has the exact count,
/// and what was taken from a stream and not accepted.
///
/// ```no_run
/// # use std::os::fd::OwnedFd;
/// # use zcio::{Endpoint, Failure, Request, Transfer};
/// # async fn upload(client: OwnedFd, store: OwnedFd, shutdown: tokio::sync::oneshot::Receiver<()>) -> Result<(), Failure> {
/// let upload = Transfer::new(Endpoint::of(client)?, Endpoint::of(store)?, Request::default())?;
/// if let Err(failure) = zcio::tokio::drive_until(upload, shutdown).await {
///     println!("{} bytes stored, {} more read", failure.outcome.bytes, failure.outcome.residual.len());
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Panics
/// As [`drive`].
pub fn drive_until<'stop, T>(task: T, stop: impl Future + Send + 'stop) -> Running<'stop, T::Ending>
where
    T: Task<Linux<'static>> + Send + 'static,
    T::Ending: Send,
{
    Box::pin(run(Arc::new(Mutex::new(task)), stop))
}

/// A task on its way to its ending.
pub type Running<'stop, E> = Pin<Box<dyn Future<Output = E> + Send + 'stop>>;

/// A task, and the thread that is giving it a turn. Of whatever type: were it named here, a future that awaits this
/// one could not be shown to be [`Send`] (rust-lang/rust#102211).
type Shared<E> = Arc<Mutex<dyn Task<Linux<'static>, Ending = E> + Send>>;

async fn run<E: Send + 'static>(task: Shared<E>, stop: impl Future) -> E {
    let plumbing = plumbing();
    // Goes before the task does: a descriptor leaves epoll before it is closed.
    let mut watch = Watch::default();
    let mut stop = pin!(stop);
    let mut waits = false;
    loop {
        let interrupted = poll_fn(|context| {
            if stop.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err((Cause::Canceled, None)));
            }
            if waits { watch.poll(&mut *lock(&task), context) } else { Poll::Ready(Ok(())) }
        });
        if let Err((cause, end)) = interrupted.await {
            return lock(&task).give_up(&plumbing, cause, end);
        }
        let turn = match take_turn(&task, &plumbing, Patience::None) {
            Turn::Disk => take_turn_on_blocking_thread(&task, &plumbing).await,
            turn => turn,
        };
        match turn {
            Turn::End(ending) => return ending,
            Turn::Wait => waits = true,
            Turn::Again | Turn::Disk => {
                waits = false;
                yield_now().await;
            }
        }
    }
}

/// An end by a duplicate, which what waits for it can share.
fn own(fd: &impl AsFd, side: Side, may_block: bool) -> Result<Endpoint<Fd<'static>>, Failure> {
    let refused = |cause| Failure::early(cause, Some(side));
    let Endpoint { handle, facts } = Endpoint::of(fd.as_fd()).map_err(|refusal| refused(refusal.into()))?;
    if facts.can_block() && !may_block {
        return Err(refused(Cause::Blocking));
    }
    let handle = handle.into_shared().map_err(|errno| refused(Cause::System { errno, call: "fcntl" }))?;
    Ok(Endpoint { handle, facts })
}

/// One for all futures of the process, as long as there are any: with the last of them the last pipe is closed.
fn plumbing() -> Arc<Plumbing<Linux<'static>>> {
    static SHARED: Mutex<Weak<Plumbing<Linux<'static>>>> = Mutex::new(Weak::new());
    let mut shared = lock(&SHARED);
    shared.upgrade().unwrap_or_else(|| {
        let plumbing = Arc::default();
        *shared = Arc::downgrade(&plumbing);
        plumbing
    })
}

fn take_turn<E>(task: &Shared<E>, plumbing: &Plumbing<Linux<'static>>, patience: Patience) -> Turn<E> {
    // A sink that is gone must be an error in the result, not a signal in the caller's process.
    sys::without_signals(|| lock(task).turn(plumbing, patience))
}

async fn take_turn_on_blocking_thread<E: Send + 'static>(
    task: &Shared<E>,
    plumbing: &Arc<Plumbing<Linux<'static>>>,
) -> Turn<E> {
    let (there, lent) = (Arc::clone(task), Arc::clone(plumbing));
    match spawn_blocking(move || take_turn(&there, &lent, Patience::Disk)).await {
        Ok(turn) => turn,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(_) => Turn::End(lock(task).give_up(plumbing, SHUT_DOWN, None)),
        },
    }
}

/// What it means that a runtime does not wait and gives no reason: that it has been shut down.
const SHUT_DOWN: Cause = Cause::Canceled;

/// What wakes a task that waits.
#[derive(Default)]
struct Watch {
    /// By the number of the end, each from when it was first waited for.
    ends: Vec<Option<End>>,
    timer: Option<Pin<Box<Sleep>>>,
}

enum End {
    Watched(AsyncFd<Arc<OwnedFd>>),
    /// What epoll does not take: a file, /dev/null.
    AlwaysReady,
}

impl Watch {
    /// Ready when an end that the task waits for is, or its deadline has passed; tells it which. The error is the
    /// end that cannot be waited for, and why.
    fn poll<E>(
        &mut self,
        task: &mut (dyn Task<Linux<'static>, Ending = E> + Send),
        context: &mut Context<'_>,
    ) -> Poll<Result<(), (Cause, Option<usize>)>> {
        let mut any = self.poll_timer(task.deadline(), context).is_ready();
        self.ends.resize_with(task.ends(), || None);
        for (number, end) in self.ends.iter_mut().enumerate() {
            if !task.waits_for(number) {
                continue;
            }
            let watched = match end {
                Some(watched) => watched,
                None => match register(task.handle_of(number), task.interest(number)) {
                    Ok(watched) => end.insert(watched),
                    Err(cause) => return Poll::Ready(Err((cause, Some(number)))),
                },
            };
            match watched.poll(task.interest(number), context) {
                Ok(events) if events.is_empty() => {}
                Ok(events) => {
                    task.notice(number, events);
                    any = true;
                }
                Err(_) => return Poll::Ready(Err((SHUT_DOWN, None))),
            }
        }
        if any { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// The deadline of a busy task moves all the time; the timer follows when it has run out, unless it is to be
    /// sooner.
    fn poll_timer(&mut self, deadline: Option<Instant>, context: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = deadline else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline.into())));
        if timer.deadline() > deadline.into() {
            timer.as_mut().reset(deadline.into());
        }
        ready!(timer.as_mut().poll(context));
        timer.as_mut().reset(deadline.into());
        timer.as_mut().poll(context)
    }
}

impl End {
    /// What has happened since it was last asked, which is thereby forgotten: like an edge of epoll it is reported
    /// once. Nothing is missed by that, since a task waits for an end only after a call has found it not ready.
    fn poll(&self, interest: Interest, context: &mut Context<'_>) -> io::Result<Events> {
        let Self::Watched(fd) = self else { return Ok(Events::IN | Events::OUT) };
        let mut events = Events::empty();
        if interest.contains(Interest::READABLE)
            && let Poll::Ready(guard) = fd.poll_read_ready(context)
        {
            guard?.clear_ready();
            events |= Events::IN;
        }
        if interest.contains(Interest::WRITABLE)
            && let Poll::Ready(guard) = fd.poll_write_ready(context)
        {
            guard?.clear_ready();
            events |= Events::OUT;
        }
        Ok(events)
    }
}

fn register(handle: &Fd<'static>, interest: Interest) -> Result<End, Cause> {
    let failed = |errno| Cause::System { errno, call: "epoll_ctl" };
    let anew = || sys::duplicate(handle).map(Arc::new).map_err(failed);
    let fd = if let Fd::Shared(fd) = handle { Arc::clone(fd) } else { anew()? };
    let refused = match watch(fd, interest) {
        // Another task of this runtime waits with the same descriptor: epoll takes each once.
        Err(error) if errno(&error) == Some(Errno::EXIST) => watch(anew()?, interest),
        watched => watched,
    };
    match refused {
        Ok(watched) => Ok(End::Watched(watched)),
        Err(error) => match errno(&error) {
            Some(Errno::PERM) => Ok(End::AlwaysReady),
            Some(errno) => Err(failed(errno)),
            None => Err(SHUT_DOWN),
        },
    }
}

#[allow(deprecated, reason = "what takes its place is unsafe: it asks for what an OwnedFd gives")]
fn watch(fd: Arc<OwnedFd>, interest: Interest) -> io::Result<AsyncFd<Arc<OwnedFd>>> {
    AsyncFd::with_interest(
        fd,
        match (interest.contains(Interest::READABLE), interest.contains(Interest::WRITABLE)) {
            (true, false) => tokio::io::Interest::READABLE,
            (false, _) => tokio::io::Interest::WRITABLE,
            (true, true) => tokio::io::Interest::READABLE | tokio::io::Interest::WRITABLE,
        },
    )
}

fn errno(error: &io::Error) -> Option<Errno> {
    error.raw_os_error().map(Errno::from_raw)
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
