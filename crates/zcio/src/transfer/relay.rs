//! Splice between two ends that are not pipes: into a pipe, then out of it.
//!
//! The pipe is filled only when it is empty, so a fill that would block names its side: the source has nothing. It
//! is held only while bytes are in it. What it holds when the sink refuses is poured out into the carry, for read
//! and write to go on with, or to be given back.

use crate::endpoint::{Endpoint, Kind};
use crate::kernel::Kernel;
use crate::pool::{Conduit, Plumbing};
use crate::sys::{Errno, Result};

use super::flow::{Flow, Move, Outlet};
use super::outcome::Side;
use super::route;

/// The pipe of a relay, and what is in it.
#[derive(Debug)]
pub struct Relay<H> {
    conduit: Option<Box<Conduit<H>>>,
    /// No pipe holds more than 2 GiB.
    held: u32,
    /// Fills since the source last had nothing.
    fills: u32,
}

impl<H> Default for Relay<H> {
    fn default() -> Self {
        Self { conduit: None, held: 0, fills: 0 }
    }
}

impl<H> Relay<H> {
    /// Bytes taken from the source and not yet accepted by the sink.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.held as usize
    }

    /// Takes over a pipe with so many bytes in it.
    pub fn hold(&mut self, conduit: Box<Conduit<H>>, bytes: usize) {
        self.held = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.conduit = Some(conduit);
    }

    /// The pipe, while there is something in it.
    #[must_use]
    pub fn conduit(&self) -> Option<&Conduit<H>> {
        self.conduit.as_deref()
    }

    /// The same with other handles on the same pipe.
    pub fn map<L>(self, convert: impl Fn(H) -> Result<L>) -> Result<Relay<L>> {
        let Self { conduit, held, fills } = self;
        Ok(Relay {
            conduit: conduit.map(|conduit| conduit.map(convert).map(Box::new)).transpose()?,
            held,
            fills,
        })
    }
}

/// So many fills without the source running dry, and the pipe is grown: by then some 256 KiB have moved at once. How
/// many bytes a fill brings tells nothing: its slots are used up by packets and parts of pages.
const BUSY: u32 = 4;

/// One fill of an empty pipe, or one drain of a filled one.
pub fn splice<K: Kernel>(plumbing: &Plumbing<K>, flow: &mut Flow<K>, most: u64) -> Move {
    if flow.sink.relay.held > 0 {
        return drain(plumbing, &mut flow.sink);
    }
    let length = flow.at_most(most);
    fill(plumbing, (&flow.source, &mut flow.source_offset), &mut flow.sink.relay, length)
}

/// Takes up to `length` bytes from a source into a pipe for a sink, which has none.
pub fn fill<K: Kernel>(
    plumbing: &Plumbing<K>,
    (source, offset): (&Endpoint<K::Handle>, &mut Option<u64>),
    relay: &mut Relay<K::Handle>,
    length: usize,
) -> Move {
    let Plumbing { kernel, pipes } = plumbing;
    let mut conduit = match pipes.lend(kernel) {
        Ok(conduit) => conduit,
        // No pipe to be had is no error: there is another way.
        Err(errno) => return Move::Refused(errno),
    };
    if relay.fills >= BUSY {
        pipes.grow(kernel, &mut conduit);
    }
    let spliced = kernel.splice(&source.handle, offset.as_mut(), &conduit.writer, None, length);
    if let Ok(bytes) = spliced
        && bytes > 0
    {
        relay.fills = relay.fills.saturating_add(1);
        relay.hold(conduit, bytes);
        return Move::Taken;
    }
    relay.fills = 0;
    let gave_nothing = matches!(spliced, Ok(_) | Err(Errno::AGAIN));
    if gave_nothing && source.facts.kind == Kind::Socket {
        return receive(plumbing, source, relay, (conduit, length));
    }
    pipes.give_back(conduit);
    match spliced {
        Ok(_) => Move::End,
        Err(Errno::AGAIN) => Move::Blocked(Side::Source),
        Err(Errno::IO) if source.facts.is_terminal_master => Move::End,
        Err(errno) if route::demotes(errno) => Move::Refused(errno),
        Err(errno) => Move::Failed(Some(Side::Source), errno, "splice"),
    }
}

/// The most that is received where nothing can be spliced: it is enough to be past the mark.
pub const PAST_MARK: usize = 64;

/// Splice never goes past an urgent byte of TCP: it says that there is nothing, or that this is the end. To receive
/// leaves that byte out, tcp(7), and what is behind it can be spliced again.
fn receive<K: Kernel>(
    Plumbing { kernel, pipes }: &Plumbing<K>,
    source: &Endpoint<K::Handle>,
    relay: &mut Relay<K::Handle>,
    (conduit, length): (Box<Conduit<K::Handle>>, usize),
) -> Move {
    let mut bytes = [0; PAST_MARK];
    let received = kernel.receive(&source.handle, &mut bytes[..length.min(PAST_MARK)]);
    if let Ok(count) = received
        && count > 0
    {
        // All of it, since the pipe is empty.
        return match kernel.write(&conduit.writer, &bytes[..count], None) {
            Ok(_) => {
                relay.hold(conduit, count);
                Move::Taken
            }
            Err(errno) => Move::Failed(None, errno, "write"),
        };
    }
    pipes.give_back(conduit);
    match received {
        Ok(_) => Move::End,
        Err(Errno::AGAIN) => Move::Blocked(Side::Source),
        Err(errno) => Move::Failed(Some(Side::Source), errno, "read"),
    }
}

/// Gives the sink what the pipe holds for it.
pub fn drain<K: Kernel>(plumbing: &Plumbing<K>, sink: &mut Outlet<K::Handle>) -> Move {
    let Plumbing { kernel, pipes } = plumbing;
    let Outlet { handle, offset, relay, .. } = sink;
    let Some(conduit) = &relay.conduit else { return Move::End };
    match kernel.splice(&conduit.reader, None, handle, offset.as_mut(), relay.held()) {
        Ok(bytes) if bytes > 0 => {
            relay.held = relay.held.saturating_sub(u32::try_from(bytes).unwrap_or(u32::MAX));
            if relay.held == 0
                && let Some(empty) = relay.conduit.take()
            {
                pipes.give_back(empty);
            }
            Move::Bytes(bytes as u64)
        }
        Err(Errno::AGAIN) => Move::Blocked(Side::Sink),
        failed => {
            pour_out(plumbing, sink);
            match failed {
                // Not an answer that splice(2) knows while the pipe has bytes; to try again would be to spin.
                Ok(_) => Move::Failed(Some(Side::Sink), Errno::IO, "splice"),
                Err(errno) if route::demotes(errno) => Move::Refused(errno),
                Err(errno) => Move::Failed(Some(Side::Sink), errno, "splice"),
            }
        }
    }
}

/// Reads what the pipe holds into the carry, and closes it.
pub fn pour_out<K: Kernel>(plumbing: &Plumbing<K>, sink: &mut Outlet<K::Handle>) {
    let Some(conduit) = sink.relay.conduit.take() else { return };
    sink.carry.append(std::mem::take(&mut sink.relay.held) as usize, |buffer| {
        plumbing.kernel.read(&conduit.reader, buffer, None)
    });
}
