//! What every move works on: the two ends, where each stands, how much is left, and what is carried between them.

use std::sync::Arc;

use crate::endpoint::{Endpoint, Facts, Kind};
use crate::kernel::Kernel;
use crate::sys::{self, Errno, Events};

use super::buffered::Carry;
use super::outcome::Side;
use super::relay::Relay;

/// What one attempt came to.
#[derive(Debug)]
pub enum Move {
    /// The sink accepted so many bytes.
    Bytes(u64),
    /// Bytes were taken from the source, and are on their way.
    Taken,
    /// Both ends say they are ready, and yet nothing moved.
    Nothing,
    /// The source has no more.
    End,
    /// This end is not ready.
    Blocked(Side),
    /// Not this way.
    Refused(Errno),
    /// Not at all: which end, the kernel's answer, and the call it answered.
    Failed(Option<Side>, Errno, &'static str),
}

/// Two ends on the way.
#[derive(Debug)]
pub struct Flow<K: Kernel> {
    /// Where bytes come from.
    pub source: Endpoint<K::Handle>,
    /// Where the source is read; `None`: at its position, which the kernel moves.
    pub source_offset: Option<u64>,
    /// Where they go, and what is on its way there.
    pub sink: Outlet<K::Handle>,
    /// Bytes that may still be moved; `None`: all there are.
    pub remaining: Option<u64>,
    /// Bytes that the sink has accepted.
    pub moved: u64,
}

/// A sink, and what has been taken for it and not been accepted yet.
#[derive(Debug)]
pub struct Outlet<H> {
    /// What the kernel calls take.
    pub handle: H,
    /// What the route depends on.
    pub facts: Arc<Facts>,
    /// Where it is written; `None`: at its position, which the kernel moves.
    pub offset: Option<u64>,
    /// Bytes on their way in user space.
    pub carry: Carry,
    /// Bytes on their way in a pipe.
    pub relay: Relay<H>,
}

impl<H> Outlet<H> {
    /// A sink that nothing is on its way to.
    pub fn new(end: Endpoint<H>, offset: Option<u64>) -> Self {
        let Endpoint { handle, facts } = end;
        Self { handle, facts, offset, carry: Carry::default(), relay: Relay::default() }
    }

    /// Whether bytes are on their way that it has not accepted.
    #[must_use]
    pub fn is_carrying(&self) -> bool {
        self.relay.held() > 0 || self.carry.is_pending()
    }
}

impl<K: Kernel> Flow<K> {
    /// The length for one call: what is left, but not more than `most`, than the kernel takes, or than leads to
    /// an offset that no file has.
    pub fn at_most(&self, most: u64) -> usize {
        let to_the_last = i64::MAX.cast_unsigned().saturating_sub(self.source_offset.unwrap_or(0));
        let length = self.remaining.unwrap_or(u64::MAX).min(most).min(to_the_last);
        usize::try_from(length).unwrap_or(usize::MAX).min(sys::MAX_COUNT)
    }

    /// Counts bytes that the sink accepted.
    pub fn count(&mut self, bytes: u64) {
        self.moved += bytes;
        if let Some(remaining) = &mut self.remaining {
            *remaining = remaining.saturating_sub(bytes);
        }
    }

    /// Bytes that are the last.
    pub const fn end_after(&mut self, bytes: u64) -> Move {
        self.remaining = Some(bytes);
        Move::Bytes(bytes)
    }

    /// What the source means that gave nothing.
    pub fn ended(&self, kernel: &K) -> Move {
        ended(kernel, &self.source, self.moved)
    }

    /// Where in the source file the next byte is.
    pub fn source_position(&self) -> u64 {
        self.source_offset.unwrap_or(self.source.facts.position + self.moved)
    }

    /// Moves both files past bytes that a call has transferred without moving anything itself.
    pub fn skip(&mut self, kernel: &K, bytes: u64) -> sys::Result<()> {
        let Self { source, source_offset, sink, .. } = self;
        for (handle, offset) in [(&source.handle, source_offset), (&sink.handle, &mut sink.offset)] {
            match offset {
                Some(offset) => *offset += bytes,
                None => drop(kernel.seek_by(handle, bytes.cast_signed())?),
            }
        }
        Ok(())
    }

    /// Gives back what was read and not accepted: to a file by moving its position, else to the caller.
    pub fn take_back(&mut self, kernel: &K) -> Vec<u8> {
        let pending = self.sink.carry.take();
        if pending.is_empty() || self.source_offset.is_some() {
            return Vec::new();
        }
        let distance = -(pending.len().cast_signed() as i64);
        let seekable = self.source.facts.kind == Kind::File;
        if seekable && kernel.seek_by(&self.source.handle, distance).is_ok() { Vec::new() } else { pending }
    }

    /// The same with other handles on the same ends.
    pub fn with_handles<L: Kernel>(
        self,
        source: L::Handle,
        sink: L::Handle,
        relay: Relay<L::Handle>,
    ) -> Flow<L> {
        let Self { source: from, source_offset, sink: to, remaining, moved } = self;
        let source = Endpoint { handle: source, facts: from.facts };
        let Outlet { facts, offset, carry, .. } = to;
        let sink = Outlet { handle: sink, facts, offset, carry, relay };
        Flow { source, source_offset, sink, remaining, moved }
    }
}

/// What a source means that gave nothing after so many bytes. A FIFO that nobody has opened for writing yet says «end»
/// as well, but has not hung up; or has since, after somebody came, wrote and went.
pub fn ended<K: Kernel>(kernel: &K, source: &Endpoint<K::Handle>, moved: u64) -> Move {
    if moved > 0 || source.facts.kind != Kind::Pipe {
        return Move::End;
    }
    let events = kernel.readiness(&source.handle);
    match (events.contains(Events::HUP), events.contains(Events::IN)) {
        (false, _) => Move::Blocked(Side::Source),
        (true, true) => Move::Nothing,
        (true, false) => Move::End,
    }
}
