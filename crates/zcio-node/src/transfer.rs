//! Transfers, bridges and fan-outs on the reactor, as seen from one JavaScript environment.
//!
//! An [`Engine`] belongs to the thread that made it (Node's main thread, or a worker). Endings come back through a
//! [`Port`].

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use napi::bindgen_prelude::{BufferSlice, Function};
use napi::{Env, Result};
use napi_derive::napi;
use zcio::{
    Bridge, BridgeEnding, Cause, Endpoint, Failure, FanOut, FanOutRequest, Linux, Mechanism, Reactor,
    Request, Side, SinkEnding, Transfer,
};

use crate::convert::{Descriptor, Offset, exact};
use crate::ending::{NativeEnding, Over};
use crate::ends::{end, own, own_end};
use crate::port::Port;

/// The transfers of one environment.
#[napi]
pub struct Engine {
    port: Arc<Port<Over, NativeEnding>>,
    next_id: u32,
}

#[napi]
impl Engine {
    /// `onEnd` gets the endings, some at a time.
    #[napi(constructor)]
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "napi hands it over so")]
    pub fn new(env: &Env, on_end: Function<Vec<NativeEnding>, ()>) -> Result<Self> {
        Ok(Self { port: Port::open(*env, on_end, |id, over: Over| over.translate(id))?, next_id: 0 })
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
        let request = request(start, sink_start, length, fallback, snapshot, disable);
        let head = head.map_or_else(Vec::new, |head| head.to_vec());
        if let Err(failure) = self.submit(id, &source, &sink, request, is_sink_socket, head) {
            self.port.post(id, Over::Transfer(Err(failure)));
        }
        id
    }

    /// Joins two connected, nonblocking stream sockets of this process, and returns its id. Two endings follow: that of
    /// the direction from a to b has this id, that from b to a the next. `idle_timeout`: in ms, 0 for none.
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
            let refused = |cause, head: &BufferSlice| {
                let mut failure = Failure::early(cause, None);
                failure.outcome.residual = head.to_vec();
                Over::Transfer(Err(failure))
            };
            self.port.post(back, refused(Cause::Canceled, &b_head));
            self.port.post(id, refused(failure.cause, &a_head));
        }
        id
    }

    /// Starts a fan-out and returns its id; an ending follows. The ids after it are those of its sinks: one that it
    /// goes on without has an ending of its own, before that. `sink_timeout`: in ms, 0 for none. `head`: bytes that were
    /// read from the source before, to go first.
    #[napi]
    #[allow(clippy::too_many_arguments, reason = "an object would cost more than the call")]
    pub fn fan_out(
        &mut self,
        source: Descriptor,
        sinks: Vec<Descriptor>,
        start: Offset,
        length: Offset,
        drop_failed: bool,
        sink_timeout: f64,
        head: Option<BufferSlice>,
    ) -> u32 {
        let id = self.take_id();
        let sink_ids = sinks.iter().map(|_| self.take_id()).collect();
        let sink_timeout = (sink_timeout > 0.0).then(|| Duration::from_secs_f64(sink_timeout / 1e3));
        let request = FanOutRequest { start: start.0, length: length.0, drop_failed, sink_timeout };
        let head = head.map_or_else(Vec::new, |head| head.to_vec());
        if let Err(mut failure) = self.submit_fan_out(id, sink_ids, &source, &sinks, request, &head) {
            failure.outcome.residual = head;
            self.port.post(id, Over::Transfer(Err(failure)));
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
        let on_end = self.port.receiver(move |port, ending| port.post(id, Over::Transfer(ending)));
        let mut tickets = self.port.tickets();
        tickets.insert(id, reactor.submit(transfer, on_end)?);
        Ok(())
    }

    fn submit_bridge(
        &self,
        ids: [u32; 2],
        bridge: Bridge<Linux<'static>>,
    ) -> std::result::Result<(), Failure> {
        let reactor = reactor()?;
        let on_end = self.port.receiver(move |port, BridgeEnding { a_to_b, b_to_a }| {
            port.post(ids[0], Over::Transfer(a_to_b));
            port.post(ids[1], Over::Transfer(b_to_a));
        });
        let mut tickets = self.port.tickets();
        let ticket = reactor.carry_out(bridge, on_end).map_err(|_| Failure::early(Cause::Busy, None))?;
        tickets.insert(ids[0], ticket);
        Ok(())
    }

    fn submit_fan_out(
        &self,
        id: u32,
        sink_ids: Vec<u32>,
        source: &Descriptor,
        sinks: &[Descriptor],
        request: FanOutRequest,
        head: &[u8],
    ) -> std::result::Result<(), Failure> {
        let source = own_end(source, Side::Source)?;
        let sinks =
            sinks.iter().map(|sink| own_end(sink, Side::Sink)).collect::<std::result::Result<_, _>>()?;
        let refused = |(cause, _)| Failure::early(cause, None);
        let task = FanOut::new(source, sinks, request).map_err(refused)?.with_head(head.to_vec());
        let on_leave = self.port.receiver(move |port, (sink, ending): (usize, SinkEnding)| {
            port.post(sink_ids[sink], Over::Sink(ending));
        });
        let task = task.on_leave(move |sink, ending| on_leave((sink, ending)));
        let reactor = reactor()?;
        let on_end = self.port.receiver(move |port, ending| port.post(id, Over::FanOut(ending)));
        let mut tickets = self.port.tickets();
        let ticket = reactor.carry_out(task, on_end).map_err(|_| Failure::early(Cause::Busy, None))?;
        tickets.insert(id, ticket);
        Ok(())
    }

    /// Bytes moved so far, of a bridge in this direction; -1 for a transfer that is over.
    #[napi]
    pub fn bytes(&self, id: u32, direction: u32) -> f64 {
        self.port.tickets().get(&id).map_or(-1.0, |ticket| exact(ticket.progress()[direction as usize]))
    }

    /// Bytes that one sink of a fan-out has accepted so far, or -1 when it is over.
    #[napi]
    pub fn bytes_of(&self, id: u32, sink: u32) -> f64 {
        self.port.tickets().get(&id).map_or(-1.0, |ticket| exact(ticket.bytes_of(sink as usize)))
    }

    /// Asks a transfer to stop.
    #[napi]
    pub fn cancel(&self, id: u32) {
        if let Some(ticket) = self.port.tickets().get(&id) {
            ticket.cancel();
        }
    }

    /// Takes one socket away from a fan-out, the source (0) or a sink, which JavaScript has destroyed.
    #[napi]
    pub fn shut_down(&self, id: u32, end: u32) {
        if let Some(ticket) = self.port.tickets().get(&id) {
            ticket.shut_down(end as usize);
        }
    }

    /// Stops a transfer one of whose sockets JavaScript has destroyed, the source (or a) or the sink (or b): its peer
    /// learns of it now.
    #[napi]
    pub fn hang_up(&self, id: u32, is_sink: bool) {
        if let Some(ticket) = self.port.tickets().get(&id) {
            ticket.hang_up(usize::from(is_sink));
        }
    }
}

/// What is asked of a transfer, in the crate's words.
pub fn request(
    start: Offset,
    sink_start: Offset,
    length: Offset,
    fallback: bool,
    snapshot: bool,
    disable: Option<Vec<String>>,
) -> Request {
    Request {
        start: start.0,
        sink_start: sink_start.0,
        length: length.0,
        fallback,
        snapshot,
        asynchronous: true,
        switched_off: disable.into_iter().flatten().filter_map(|name| Mechanism::named(&name)).collect(),
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
    let source = end(source, Side::Source)?;
    let sink = if is_sink_socket { Endpoint::stream_socket(sink.as_fd()) } else { end(sink, Side::Sink)? };
    Transfer::new(source, sink, request)
}
