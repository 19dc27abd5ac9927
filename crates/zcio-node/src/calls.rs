//! Single calls that may have to wait, as seen from one JavaScript environment.
//!
//! Each is attempted at once, on the JavaScript thread. What cannot be done without waiting goes to the reactor, by
//! duplicates of its descriptors; its ending comes back through a [`Port`].

use std::os::fd::AsFd;
use std::sync::Arc;

use napi::bindgen_prelude::{BufferSlice, Either, Function};
use napi::{Env, Result};
use napi_derive::napi;
use zcio::drivers::inline;
use zcio::endpoint::Refusal;
use zcio::sys::SpliceFlags;
use zcio::{
    Call, Cause, Endpoint, Errno, Facts, Failure, Fd, Gift, Kind, Linux, Operation, Reactor, Side, Task,
};

use crate::convert::{Descriptor, Offset, exact, length};
use crate::ending::explain;
use crate::pages::pages_of;
use crate::port::Port;

/// How a call ended that did not end at once.
#[napi(object, object_from_js = false)]
pub struct NativeCallEnding {
    /// What it was called with.
    pub id: u32,
    /// Bytes that it moved.
    pub bytes: f64,
    /// Absent after success.
    pub failure: Option<NativeCallFailure>,
}

/// Why a call failed.
#[napi(object, object_from_js = false)]
pub struct NativeCallFailure {
    /// `SYSTEM`, `UNSUPPORTED`, `BLOCKING`, `BUSY` or `CANCELED`.
    pub cause: &'static str,
    /// Of a `SYSTEM` failure: the positive error number.
    pub errno: Option<i32>,
    /// Of a `SYSTEM` failure: the call; of an `UNSUPPORTED` one: what it is that was given.
    pub detail: Option<&'static str>,
    /// Which end is to blame.
    pub side: Option<&'static str>,
    /// Bytes that it had moved.
    pub bytes: f64,
}

type Ended = std::result::Result<usize, Failure>;

/// Bytes moved, or why not; `null`: it is under way, and an ending with this id will follow.
type Answer = Option<Either<f64, NativeCallFailure>>;

/// The calls of one environment.
#[napi]
pub struct Calls {
    port: Arc<Port<Ended, NativeCallEnding>>,
}

#[napi]
impl Calls {
    /// `onEnd` gets the endings, some at a time.
    #[napi(constructor)]
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "napi hands it over so")]
    pub fn new(env: &Env, on_end: Function<Vec<NativeCallEnding>, ()>) -> Result<Self> {
        Ok(Self { port: Port::open(*env, on_end, translate)? })
    }

    /// `sendfile(2)`.
    #[napi]
    pub fn sendfile(
        &self,
        id: u32,
        sink: Descriptor,
        source: Descriptor,
        offset: Offset,
        count: Offset,
    ) -> Answer {
        self.call(id, &source, &sink, Operation::Sendfile { offset: offset.0, count: length(count) })
    }

    /// `splice(2)`.
    #[napi]
    #[allow(clippy::too_many_arguments, reason = "they are the call's")]
    pub fn splice(
        &self,
        id: u32,
        source: Descriptor,
        source_offset: Offset,
        sink: Descriptor,
        sink_offset: Offset,
        count: Offset,
        flags: u32,
    ) -> Answer {
        let (source_offset, sink_offset) = (source_offset.0, sink_offset.0);
        let (length, flags) = (length(count), SpliceFlags::from_bits_retain(flags));
        self.call(id, &source, &sink, Operation::Splice { source_offset, sink_offset, length, flags })
    }

    /// `tee(2)`.
    #[napi]
    pub fn tee(&self, id: u32, source: Descriptor, sink: Descriptor, count: Offset, flags: u32) -> Answer {
        let (length, flags) = (length(count), SpliceFlags::from_bits_retain(flags));
        self.call(id, &source, &sink, Operation::Tee { length, flags })
    }

    /// `copy_file_range(2)`.
    #[napi]
    pub fn copy_file_range(
        &self,
        id: u32,
        source: Descriptor,
        source_offset: Offset,
        sink: Descriptor,
        sink_offset: Offset,
        count: Offset,
    ) -> Answer {
        let (source_offset, sink_offset) = (source_offset.0, sink_offset.0);
        let operation = Operation::CopyFileRange { source_offset, sink_offset, length: length(count) };
        self.call(id, &source, &sink, operation)
    }

    /// `vmsplice(2)` of whole mappings, all of them, which JavaScript must not have any more when this has not
    /// failed.
    #[napi]
    pub fn give(&self, id: u32, pipe: Descriptor, pages: Vec<BufferSlice>, flags: u32) -> Answer {
        let flags = SpliceFlags::from_bits_retain(flags);
        answer(pipe_end(&pipe).and_then(|end| {
            let gift = Gift::new(end, pages_of(&pages), flags);
            self.run(id, gift, Gift::into_owned)
        }))
    }

    /// Waits until a pipe can be read or written.
    #[napi]
    pub fn wait(&self, id: u32, pipe: Descriptor, to_read: bool) -> Answer {
        let side = if to_read { Side::Source } else { Side::Sink };
        answer(pipe_end(&pipe).and_then(|end| self.run(id, Gift::of_nothing(end, side), Gift::into_owned)))
    }

    /// Asks a call that is under way to stop.
    #[napi]
    pub fn cancel(&self, id: u32) {
        if let Some(ticket) = self.port.tickets().get(&id) {
            ticket.cancel();
        }
    }

    fn call(&self, id: u32, source: &Descriptor, sink: &Descriptor, operation: Operation) -> Answer {
        let name = operation.name();
        let call = || {
            let source = end(source, Side::Source, name)?;
            let sink = end(sink, Side::Sink, name)?;
            self.run(id, Call::new(source, sink, operation)?, Call::into_owned)
        };
        answer(call())
    }

    /// At once, else by the reactor; `None`: under way.
    fn run<'fd, T, O>(
        &self,
        id: u32,
        mut task: T,
        into_owned: impl FnOnce(T) -> std::result::Result<O, Failure>,
    ) -> std::result::Result<Option<usize>, Failure>
    where
        T: Task<Linux<'fd>, Ending = Ended>,
        O: Task<Linux<'static>, Ending = Ended> + Send + 'static,
    {
        if let Some(ended) = inline::attempt(&mut task) {
            return ended.map(Some);
        }
        let reactor = Reactor::global()
            .map_err(|errno| Failure::early(Cause::System { errno, call: "epoll_create1" }, None))?;
        let on_end = self.port.receiver(move |port, ended| port.post(id, ended));
        let mut tickets = self.port.tickets();
        let ticket = reactor.carry_out(into_owned(task)?, on_end);
        tickets.insert(id, ticket.map_err(|ended| ended.expect_err("refused"))?);
        Ok(None)
    }
}

/// What it is; an error of asking is told as the call's own, which would have said the same.
fn end<'a>(
    descriptor: &'a Descriptor,
    side: Side,
    call: &'static str,
) -> std::result::Result<Endpoint<Fd<'a>>, Failure> {
    let facts = Facts::of(descriptor).map_err(|refusal| {
        let cause = match refusal {
            Refusal::System { errno, .. } => Cause::System { errno, call },
            Refusal::Unsupported(what) => Cause::Unsupported(what),
        };
        Failure::early(cause, Some(side))
    })?;
    Ok(Endpoint::new(descriptor.as_fd(), facts))
}

/// `vmsplice(2)` says `EBADF` to what is not a pipe.
fn pipe_end(pipe: &Descriptor) -> std::result::Result<Endpoint<Fd<'_>>, Failure> {
    const CALL: &str = "vmsplice";
    let not_a_pipe = Failure::early(Cause::System { errno: Errno::BADF, call: CALL }, None);
    end(pipe, Side::Sink, CALL).ok().filter(|end| end.facts.kind == Kind::Pipe).ok_or(not_a_pipe)
}

fn answer(result: std::result::Result<Option<usize>, Failure>) -> Answer {
    match result {
        Ok(moved) => moved.map(|bytes| Either::A(exact(bytes as u64))),
        Err(failure) => Some(Either::B(failed(&failure))),
    }
}

fn translate(id: u32, ended: Ended) -> NativeCallEnding {
    match ended {
        Ok(moved) => NativeCallEnding { id, bytes: exact(moved as u64), failure: None },
        Err(failure) => {
            NativeCallEnding { id, bytes: exact(failure.outcome.bytes), failure: Some(failed(&failure)) }
        }
    }
}

fn failed(failure: &Failure) -> NativeCallFailure {
    let (cause, errno, detail) = explain(failure.cause);
    let bytes = exact(failure.outcome.bytes);
    NativeCallFailure { cause, errno, detail, side: failure.side.map(Side::name), bytes }
}
