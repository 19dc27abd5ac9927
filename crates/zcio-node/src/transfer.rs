//! Transfers and bridges on the reactor, as seen from one JavaScript environment.
//!
//! An [`Engine`] belongs to the thread that made it (Node's main thread, or a worker). Endings cross over in
//! batches through one threadsafe function, which never keeps the process alive: that is decided in TypeScript.
//! When the environment goes, its clean-up hook closes the [`Port`] under the lock that every sender takes: after
//! that nothing calls into it, and what it had under way is cancelled.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use napi::bindgen_prelude::{Buffer, BufferSlice, Function};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Env, Result, Status};
use napi_derive::napi;
use zcio::{
    Bridge, BridgeEnding, Cause, Ending, Endpoint, Facts, Failure, Fd, Linux, Mechanism, Reactor, Request,
    Side, Ticket, Transfer,
};

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
    /// Absent after success; else `SYSTEM`, `COPY_REQUIRED`, `UNSUPPORTED`, `BLOCKING`, `BUSY`, `CANCELED` or `TIMED_OUT`.
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
    tickets: Mutex<HashMap<u32, Entry>>,
}

/// A transfer that JavaScript can ask about: alone, or one of the two directions of a bridge.
struct Entry {
    ticket: Ticket,
    direction: usize,
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
        for (_, entry) in lock(&self.tickets).drain() {
            entry.ticket.cancel();
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
    /// `is_sink_socket`: the sink is known to be a connected, nonblocking stream socket of this process. `head`: bytes
    /// that were read from the source before, to go first. `disable`: mechanisms not to be used.
    #[napi]
    #[allow(
        clippy::too_many_arguments,
        clippy::fn_params_excessive_bools,
        reason = "an object would cost more than the call"
    )]
    pub fn start(
        &mut self,
        source: Descriptor,
        sink: Descriptor,
        start: Offset,
        sink_start: Offset,
        length: Offset,
        fallback: bool,
        snapshot: bool,
        is_sink_socket: bool,
        head: Option<BufferSlice>,
        disable: Option<Vec<String>>,
    ) -> u32 {
        let id = self.take_id();
        let request = Request {
            start: start.0,
            sink_start: sink_start.0,
            length: length.0,
            fallback,
            snapshot,
            asynchronous: true,
            switched_off: disable.into_iter().flatten().filter_map(|name| Mechanism::named(&name)).collect(),
        };
        let head = head.map_or_else(Vec::new, |head| head.to_vec());
        if let Err(failure) = self.submit(id, &source, &sink, request, is_sink_socket, head) {
            self.port.post(id, Err(failure));
        }
        id
    }

    /// Joins two connected, nonblocking stream sockets of this process, and returns the id of the direction from a to
    /// b; that from b to a has the next. An ending follows for each. `idle_timeout`: in ms, 0 for none.
    #[napi]
    pub fn bridge(
        &mut self,
        a: Descriptor,
        b: Descriptor,
        a_head: BufferSlice,
        b_head: BufferSlice,
        idle_timeout: f64,
    ) -> u32 {
        let (id, back) = (self.take_id(), self.take_id());
        let heads = [a_head.to_vec(), b_head.to_vec()];
        let timeout = (idle_timeout > 0.0).then(|| Duration::from_secs_f64(idle_timeout / 1e3));
        let made = own(&a).and_then(|a| Bridge::between([a, own(&b)?], heads, timeout));
        if let Err(failure) = made.and_then(|bridge| self.submit_bridge([id, back], bridge)) {
            self.port.post(back, Err(Failure::early(Cause::Canceled, None)));
            self.port.post(id, Err(failure));
        }
        id
    }

    fn take_id(&mut self) -> u32 {
        self.next_id = self.next_id.wrapping_add(1);
        self.next_id
    }

    fn submit(
        &self,
        id: u32,
        source: &Descriptor,
        sink: &Descriptor,
        request: Request,
        is_sink_socket: bool,
        head: Vec<u8>,
    ) -> std::result::Result<(), Failure> {
        let made = prepare(source, sink, request, is_sink_socket);
        let (transfer, reactor) = match made.and_then(|transfer| Ok((transfer, reactor()?))) {
            Ok((transfer, reactor)) => (transfer.with_head(head), reactor),
            Err(mut failure) => {
                failure.outcome.residual = head;
                return Err(failure);
            }
        };
        let port = Arc::downgrade(&self.port);
        // Held over the submission: the ending of a quick transfer waits here until its ticket is known.
        let mut tickets = lock(&self.port.tickets);
        let ticket = reactor.submit(transfer, move |ending| {
            if let Some(port) = port.upgrade() {
                port.post(id, ending);
            }
        })?;
        tickets.insert(id, Entry { ticket, direction: 0 });
        Ok(())
    }

    fn submit_bridge(
        &self,
        ids: [u32; 2],
        bridge: Bridge<Linux<'static>>,
    ) -> std::result::Result<(), Failure> {
        let reactor = reactor()?;
        let port = Arc::downgrade(&self.port);
        let mut tickets = lock(&self.port.tickets);
        let submitted = reactor.carry_out(bridge, move |BridgeEnding { a_to_b, b_to_a }| {
            if let Some(port) = port.upgrade() {
                port.post(ids[0], a_to_b);
                port.post(ids[1], b_to_a);
            }
        });
        let ticket = submitted.map_err(|_| Failure::early(Cause::Busy, None))?;
        for (direction, id) in ids.into_iter().enumerate() {
            tickets.insert(id, Entry { ticket: ticket.clone(), direction });
        }
        Ok(())
    }

    /// Bytes moved so far, or -1 for a transfer that is over.
    #[napi]
    #[allow(clippy::cast_precision_loss, reason = "exact to 2^53, as all counts")]
    pub fn bytes(&self, id: u32) -> f64 {
        let tickets = lock(&self.port.tickets);
        tickets.get(&id).map_or(-1.0, |Entry { ticket, direction }| ticket.progress()[*direction] as f64)
    }

    /// Asks a transfer to stop.
    #[napi]
    pub fn cancel(&self, id: u32) {
        if let Some(entry) = lock(&self.port.tickets).get(&id) {
            entry.ticket.cancel();
        }
    }

    /// Stops a transfer one of whose sockets JavaScript has destroyed, the source (or a) or the sink (or b): its peer
    /// learns of it now.
    #[napi]
    pub fn hang_up(&self, id: u32, is_sink: bool) {
        if let Some(entry) = lock(&self.port.tickets).get(&id) {
            entry.ticket.hang_up(usize::from(is_sink));
        }
    }
}

fn reactor() -> std::result::Result<Arc<Reactor>, Failure> {
    Reactor::global().map_err(|errno| Failure::early(Cause::System { errno, call: "epoll_create1" }, None))
}

fn prepare<'fd>(
    source: &'fd Descriptor,
    sink: &'fd Descriptor,
    request: Request,
    is_sink_socket: bool,
) -> std::result::Result<Transfer<Linux<'fd>>, Failure> {
    let sink_facts = if is_sink_socket { Facts::stream_socket() } else { facts(sink, Side::Sink)? };
    let source = Endpoint { handle: Fd::from(source.as_fd()), facts: facts(source, Side::Source)? };
    Transfer::new(source, Endpoint { handle: Fd::from(sink.as_fd()), facts: sink_facts }, request)
}

/// What a descriptor is, or why it cannot be this end.
pub fn facts(descriptor: &Descriptor, side: Side) -> std::result::Result<Facts, Failure> {
    Facts::of(descriptor).map_err(|refusal| Failure::early(refusal.into(), Some(side)))
}

/// An end of a bridge, by a duplicate.
fn own(socket: &Descriptor) -> std::result::Result<Endpoint<Fd<'static>>, Failure> {
    let handle = Fd::from(socket.as_fd()).into_shared();
    let handle = handle.map_err(|errno| Failure::early(Cause::System { errno, call: "fcntl" }, None))?;
    Ok(Endpoint { handle, facts: Facts::stream_socket() })
}

/// An ending in the words of TypeScript.
#[allow(clippy::cast_precision_loss, reason = "exact to 2^53, as all counts")]
pub fn translate(id: u32, ending: Ending) -> NativeEnding {
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
