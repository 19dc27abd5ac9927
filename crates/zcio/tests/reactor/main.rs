//! Transfers on the reactor of the process: many at once, blocked, cancelled, and left behind.

#[path = "../common/mod.rs"]
mod common;

mod bridge;
mod call;
mod cancel;
mod fan_out;
mod many;
mod panics;
mod process;
mod relay;
mod waiting;

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use common::eventually;
use zcio::{Ending, Endpoint, Facts, Failure, Reactor, Request, Ticket, Transfer};

/// A transfer under way, and where its ending will arrive.
struct Started {
    ticket: Ticket,
    ending: Receiver<Ending>,
}

impl Started {
    fn end(self) -> Ending {
        self.ending.recv_timeout(Duration::from_secs(20)).expect("a transfer ends")
    }

    fn is_under_way(&self) -> bool {
        self.ending.recv_timeout(Duration::from_millis(20)) == Err(RecvTimeoutError::Timeout)
    }
}

/// Waits until something has moved (of a bridge: from a to b) and no more does; returns how much.
fn comes_to_rest(ticket: &Ticket) -> u64 {
    let (mut last, mut since) = (0, Instant::now());
    let rests = eventually(|| {
        let moved = ticket.progress()[0];
        if moved != last {
            (last, since) = (moved, Instant::now());
        }
        moved > 0 && since.elapsed() > Duration::from_millis(100)
    });
    assert!(rests);
    last
}

/// Everything there is, to the end.
fn start(source: &impl AsFd, sink: &impl AsFd) -> Started {
    start_with(source, sink, Request::default()).unwrap()
}

fn start_with(source: &impl AsFd, sink: &impl AsFd, request: Request) -> Result<Started, Failure> {
    let request = Request { asynchronous: true, ..request };
    submit(Transfer::new(end(source), end(sink), request)?)
}

fn submit(transfer: Transfer<zcio::Linux<'_>>) -> Result<Started, Failure> {
    let (on_end, ending) = channel();
    let ticket = Reactor::global().unwrap().submit(transfer, move |ending| drop(on_end.send(ending)))?;
    Ok(Started { ticket, ending })
}

fn end(fd: &impl AsFd) -> Endpoint<zcio::Fd<'_>> {
    Endpoint::new(fd.as_fd(), Facts::of(fd).unwrap())
}

/// A nonblocking socket, as all of Node's are, and its peer.
fn socket() -> (UnixStream, UnixStream) {
    let (socket, peer) = UnixStream::pair().unwrap();
    socket.set_nonblocking(true).unwrap();
    (socket, peer)
}
