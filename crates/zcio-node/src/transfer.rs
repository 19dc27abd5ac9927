//! Transfers on the reactor, as seen from one JavaScript environment.
//!
//! An [`Engine`] belongs to the thread that made it (Node's main thread, or a worker). Endings cross over in
//! batches through one threadsafe function, which never keeps the process alive: that is decided in TypeScript.
//! When the environment goes, its clean-up hook closes the [`Port`] under the lock that every sender takes: after
//! that nothing calls into it, and what it had under way is cancelled.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use napi::bindgen_prelude::{Buffer, Function};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Env, Result, Status};
use napi_derive::napi;
use zcio::{Cause, Ending, Endpoint, Facts, Failure, Fd, Reactor, Request, Side, Ticket, Transfer};

use crate::convert::{Descriptor, Offset};

/// How one transfer ended.
#[napi(object, object_from_js = false)]
pub struct NativeEnding {
    /// What `start` returned.
    pub id: u32,
    /// Bytes that the sink accepted.
    pub bytes: f64,
    /// The last mechanism that ran.
    pub mechanism: &'static str,
    /// Those that did not, and why.
    pub fallbacks: Vec<NativeFallback>,
    /// Absent after success; else `SYSTEM`, `COPY_REQUIRED`, `UNSUPPORTED`, `BLOCKING`, `BUSY` or `CANCELED`.
    pub failure: Option<&'static str>,
    /// Of a `SYSTEM` failure: the positive error number.
    pub errno: Option<i32>,
    /// Of a `SYSTEM` failure: the call; of an `UNSUPPORTED` one: why.
    pub detail: Option<&'static str>,
    /// Which end failed.
    pub side: Option<&'static str>,
    /// Bytes taken from the source that the sink did not accept.
    pub residual: Option<Buffer>,
}

/// A mechanism that did not run.
#[napi(object, object_from_js = false)]
pub struct NativeFallback {
    /// Its name.
    pub mechanism: &'static str,
    /// Why not.
    pub code: &'static str,
}

type Waker = ThreadsafeFunction<(), (), Vec<NativeEnding>, Status, false, true>;

/// The way back into one environment.
#[derive(Default)]
struct Port {
    waker: Mutex<Option<Waker>>,
    endings: Mutex<Vec<(u32, Ending)>>,
    tickets: Mutex<HashMap<u32, Ticket>>,
}

impl Port {
    fn post(&self, id: u32, ending: Ending) {
        let waker = lock(&self.waker);
        let Some(waker) = &*waker else { return };
        let mut endings = lock(&self.endings);
        endings.push((id, ending));
        // One call delivers all that have arrived by the time it runs.
        if endings.len() == 1 {
            waker.call((), ThreadsafeFunctionCallMode::NonBlocking);
        }
    }

    fn take(&self) -> Vec<NativeEnding> {
        let endings = std::mem::take(&mut *lock(&self.endings));
        let mut tickets = lock(&self.tickets);
        endings
            .into_iter()
            .map(|(id, ending)| {
                tickets.remove(&id);
                translate(id, ending)
            })
            .collect()
    }

    fn close(&self) {
        drop(lock(&self.waker).take());
        // Not hung up: a descriptor that was given by its number may be another thread's as well.
        for (_, ticket) in lock(&self.tickets).drain() {
            ticket.cancel();
        }
    }
}

/// The transfers of one environment.
#[napi]
pub struct Engine {
    port: Arc<Port>,
    next_id: u32,
}

#[napi]
impl Engine {
    /// `onEnd` gets the endings, some at a time.
    #[napi(constructor)]
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "napi hands it over so")]
    pub fn new(env: &Env, on_end: Function<Vec<NativeEnding>, ()>) -> Result<Self> {
        let port = Arc::new(Port::default());
        let weak = Arc::downgrade(&port);
        let waker = on_end
            .build_threadsafe_function::<()>()
            .weak::<true>()
            .callee_handled::<false>()
            .build_callback(move |_| Ok(weak.upgrade().map_or_else(Vec::new, |port| port.take())))?;
        *lock(&port.waker) = Some(waker);
        env.add_env_cleanup_hook(Arc::clone(&port), |port| port.close())?;
        Ok(Self { port, next_id: 0 })
    }

    /// Starts a transfer and returns its id; whatever becomes of it, one ending follows, after this call.
    /// `is_stream_socket`: the sink is known to be a connected, nonblocking stream socket of this process.
    #[napi]
    #[allow(clippy::too_many_arguments, reason = "an object would cost more than the call")]
    pub fn start(
        &mut self,
        source: Descriptor,
        sink: Descriptor,
        start: Offset,
        sink_start: Offset,
        length: Offset,
        fallback: bool,
        snapshot: bool,
        is_stream_socket: bool,
    ) -> u32 {
        self.next_id = self.next_id.wrapping_add(1);
        let request = Request {
            start: start.0,
            sink_start: sink_start.0,
            length: length.0,
            fallback,
            snapshot,
            asynchronous: true,
        };
        if let Err(failure) = self.submit(self.next_id, &source, &sink, request, is_stream_socket) {
            self.port.post(self.next_id, Err(failure));
        }
        self.next_id
    }

    fn submit(
        &self,
        id: u32,
        source: &Descriptor,
        sink: &Descriptor,
        request: Request,
        is_stream_socket: bool,
    ) -> std::result::Result<(), Failure> {
        let sink_facts = if is_stream_socket { Facts::stream_socket() } else { facts(sink, Side::Sink)? };
        let transfer = Transfer::new(
            endpoint(source, facts(source, Side::Source)?),
            endpoint(sink, sink_facts),
            request,
        )?;
        let reactor = Reactor::global()
            .map_err(|errno| Failure::early(Cause::System { errno, call: "epoll_create1" }, None))?;
        let port = Arc::downgrade(&self.port);
        // Held over the submission: the ending of a quick transfer waits here until its ticket is known.
        let mut tickets = lock(&self.port.tickets);
        let ticket = reactor.submit(transfer, move |ending| {
            if let Some(port) = port.upgrade() {
                port.post(id, ending);
            }
        })?;
        tickets.insert(id, ticket);
        Ok(())
    }

    /// Bytes moved so far, or -1 for a transfer that is over.
    #[napi]
    #[allow(clippy::cast_precision_loss, reason = "exact to 2^53, as all counts")]
    pub fn bytes(&self, id: u32) -> f64 {
        lock(&self.port.tickets).get(&id).map_or(-1.0, |ticket| ticket.bytes() as f64)
    }

    /// Asks a transfer to stop.
    #[napi]
    pub fn cancel(&self, id: u32) {
        if let Some(ticket) = lock(&self.port.tickets).get(&id) {
            ticket.cancel();
        }
    }

    /// Stops a transfer whose socket JavaScript has destroyed: the peer learns of it now.
    #[napi]
    pub fn hang_up(&self, id: u32) {
        if let Some(ticket) = lock(&self.port.tickets).get(&id) {
            ticket.hang_up();
        }
    }
}

fn facts(descriptor: &Descriptor, side: Side) -> std::result::Result<Facts, Failure> {
    Facts::of(descriptor).map_err(|refusal| Failure::early(refusal.into(), Some(side)))
}

fn endpoint(descriptor: &Descriptor, facts: Facts) -> Endpoint<Fd<'_>> {
    Endpoint { handle: Fd::from(std::os::fd::AsFd::as_fd(descriptor)), facts }
}

#[allow(clippy::cast_precision_loss, reason = "exact to 2^53, as all counts")]
fn translate(id: u32, ending: Ending) -> NativeEnding {
    let (outcome, cause, side) = match ending {
        Ok(outcome) => (outcome, None, None),
        Err(failure) => (failure.outcome, Some(failure.cause), failure.side),
    };
    let fallback = |fallback: zcio::Fallback| NativeFallback {
        mechanism: fallback.mechanism.name(),
        code: fallback.code,
    };
    let (failure, errno, detail) = match cause {
        None => (None, None, None),
        Some(Cause::System { errno, call }) => (Some("SYSTEM"), Some(errno.raw()), Some(call)),
        Some(Cause::Unsupported(why)) => (Some("UNSUPPORTED"), None, Some(why)),
        Some(Cause::CopyRequired) => (Some("COPY_REQUIRED"), None, None),
        Some(Cause::Blocking) => (Some("BLOCKING"), None, None),
        Some(Cause::Busy) => (Some("BUSY"), None, None),
        Some(Cause::Canceled) => (Some("CANCELED"), None, None),
        Some(Cause::TimedOut) => (Some("TIMED_OUT"), None, None),
    };
    NativeEnding {
        id,
        bytes: outcome.bytes as f64,
        mechanism: outcome.mechanism.name(),
        fallbacks: outcome.fallbacks.into_iter().map(fallback).collect(),
        failure,
        errno,
        detail,
        side: side.map(Side::name),
        residual: (!outcome.residual.is_empty()).then(|| Buffer::from(outcome.residual)),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
