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
//! have dropped it. The runtime needs its I/O driver enabled, and its timer for a [`bridge`] with a timeout or a
//! [`fan_out`] with a [`sink_timeout`](FanOutRequest::sink_timeout).
//!
//! **A dropped future** stops its task and closes the duplicates. Bytes on their way from a stream to a sink, at most
//! what one pipe holds, are gone with it, and so is the count: where they matter, end the task by [`drive_until`],
//! which tells both. A call that was waiting for a disk goes on to its end on its blocking thread first.

mod watch;

use std::future::{Future, pending, poll_fn};
use std::os::fd::AsFd;
use std::panic::resume_unwind;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

use tokio::task::{spawn_blocking, yield_now};

use crate::endpoint::Endpoint;
use crate::kernel::Linux;
use crate::pool::Plumbing;
use crate::sys::Fd;
use crate::transfer::{
    Bridge, BridgeEnding, Cause, Ending, Failure, FanOut, FanOutEnding, FanOutRequest, Patience, Request,
    Side, Task, Transfer, Turn,
};

use super::blocking::refused;
use super::take_turn;
use watch::Watch;

/// Moves everything from `source`, from where it stands, to `sink`, by the best means the kernel offers.
///
/// # Errors
/// See [`Failure`]; [`Cause::Blocking`] for a descriptor without `O_NONBLOCK` that is not a file: waiting inside a
/// call on it would hold up the executor.
///
/// # Panics
/// As [`drive`].
pub fn transfer<A: AsFd, B: AsFd>(source: &A, sink: &B) -> impl Future<Output = Ending> + Send + use<A, B> {
    transfer_with(source, sink, Request::default())
}

/// The same with options. [`Request::asynchronous`] also admits sockets without `O_NONBLOCK`, by copying.
///
/// # Errors
/// As of [`transfer`].
///
/// # Panics
/// As [`drive`].
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
///
/// # Panics
/// As [`drive`].
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

/// Gives all of `source` to each of `sinks`: by `tee(2)`, or read once where that is cheaper. The slowest sink sets the
/// pace. They are [`Sync`] so that a list made in the call, which lives until the future has been awaited, lets it be
/// spawned.
///
/// # Errors
/// Of ends that cannot be such, [`Cause::Blocking`] among them; how it went is in the [`FanOutEnding`].
///
/// # Panics
/// As [`drive`].
pub fn fan_out<A: AsFd>(
    source: &A,
    sinks: &[&(dyn AsFd + Sync)],
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
/// Its future: where a runtime without I/O driver, or none at all, is to wait, or one without timer until a deadline;
/// and in tokio, where the system gives it no thread for blocking work (`RLIMIT_NPROC`).
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
        let turn = take_turn(&mut *lock(&task), &plumbing, Patience::None);
        let turn = match turn {
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

async fn take_turn_on_blocking_thread<E: Send + 'static>(
    task: &Shared<E>,
    plumbing: &Arc<Plumbing<Linux<'static>>>,
) -> Turn<E> {
    let (there, lent) = (Arc::clone(task), Arc::clone(plumbing));
    match spawn_blocking(move || take_turn(&mut *lock(&there), &lent, Patience::Disk)).await {
        Ok(turn) => turn,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(_) => Turn::End(lock(task).give_up(plumbing, SHUT_DOWN, None)),
        },
    }
}

/// What it means that a runtime does not wait and gives no reason: that it has been shut down.
const SHUT_DOWN: Cause = Cause::Canceled;

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
