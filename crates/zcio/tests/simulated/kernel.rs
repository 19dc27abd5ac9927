//! A kernel of one source, one sink and what pipes are asked for, whose answers are drawn beforehand.
//!
//! It knows what every real one guarantees (a call moves a prefix of what it was asked for, or nothing) and leaves
//! the rest to the script: how much, when, and whether this call works here at all.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use zcio::kernel::Offset;
use zcio::sys::{Events, OpenFlags, Result};
use zcio::{Errno, Kernel, Kind, Side};

use crate::ends::{Answer, CONTENT, End, Handle};
use crate::ring::{Ring, Rings};

#[derive(Debug)]
pub struct Simulated {
    pub source: End,
    pub sink: End,
    /// How much of [`CONTENT`] the source has.
    pub length: Cell<usize>,
    /// What the sink has; of a stream, what it has ever accepted.
    pub accepted: RefCell<Vec<u8>>,
    /// Calls that do not know how to read this file, as those of /proc, and say that it has ended.
    pub blind: &'static [&'static str],
    pub script: RefCell<VecDeque<Answer>>,
    /// Answers to the question whether pages are in memory; then they are.
    pub resident: RefCell<VecDeque<Result<bool>>>,
    /// Where it was asked.
    pub probed: RefCell<Vec<u64>>,
    /// Which end the last call found not to be ready.
    pub blocked: Cell<Option<Side>>,
    /// With the end it is blamed on.
    pub last_error: Cell<Option<(Errno, &'static str, Option<Side>)>>,
    /// `write` has taken nothing, without an error.
    pub refused_silently: Cell<bool>,
    /// Calls since a byte moved or an end was not ready.
    pub fruitless: Cell<usize>,
    /// The source is a FIFO that nobody has opened for writing yet: it has nothing, and has not hung up.
    pub unopened: Cell<bool>,
    /// And is opened, written and closed before anybody asks whether it has.
    pub visited: Cell<bool>,
    /// The pipes of the engine.
    pub rings: Rings,
}

/// More calls in a row that move nothing, although no end blocks, would be a spin: four rungs, each with a read
/// that confirms the end, the last rung's read and write, one to spare, and what splice tries in vain before it is
/// given up.
const MOST_FRUITLESS: usize = 11 + 16;

impl Simulated {
    /// Draws an answer for a call that may find one of `sides` not to be ready, and says how many bytes it may move.
    fn answer(&self, call: &'static str, sides: &[Side], asked: usize) -> Result<usize> {
        self.fruitless.update(|calls| calls + 1);
        assert!(self.fruitless.get() <= MOST_FRUITLESS, "it spins");
        self.blocked.set(None);
        match self.script.borrow_mut().pop_front().unwrap_or(Answer::Full) {
            Answer::Short(most) => Ok(asked.min(most)),
            Answer::Again(drawn) => {
                let may_block = |side: &&Side| !self.end(**side).is_file();
                let mut candidates = sides.iter().filter(may_block);
                let side = candidates.clone().find(|side| **side == drawn).or_else(|| candidates.next());
                let Some(&side) = side else { return Ok(asked) };
                Err(self.is_not_ready(side))
            }
            Answer::Nothing if call == "write" || call == "splice" && sides == [Side::Sink] => {
                self.refused_silently.set(true);
                Ok(0)
            }
            Answer::Nothing if call == "splice" && sides.len() == 2 => Err(Errno::AGAIN),
            Answer::Error(errno) => {
                self.last_error.set(Some((errno, call, self.to_blame(call, sides, errno))));
                Err(errno)
            }
            Answer::Resize(length) => {
                if self.source.is_file() {
                    self.length.set(length);
                }
                Ok(asked)
            }
            Answer::Full | Answer::Nothing => Ok(asked),
        }
    }

    fn is_not_ready(&self, side: Side) -> Errno {
        self.blocked.set(Some(side));
        self.fruitless.set(0);
        Errno::AGAIN
    }

    /// Which end a transfer must say it was, if the call tells.
    fn to_blame(&self, call: &str, sides: &[Side], errno: Errno) -> Option<Side> {
        match (call, sides) {
            ("copy_file_range" | "sendfile" | "ioctl_ficlonerange", _) if errno == Errno::STALE => None,
            ("splice", [_, _]) if errno != Errno::PIPE && self.source.kind != Kind::Pipe => {
                Some(Side::Source)
            }
            (_, [side]) => Some(*side),
            _ => Some(Side::Sink),
        }
    }

    fn is_blind(&self, call: &str) -> bool {
        self.source.is_file() && self.blind.contains(&call)
    }

    fn end(&self, side: Side) -> &End {
        match side {
            Side::Source => &self.source,
            Side::Sink => &self.sink,
        }
    }

    /// Where a call begins at this end: at the offset it was given, or at the position.
    fn place(&self, side: Side, offset: Option<u64>) -> usize {
        offset.map_or(self.end(side).position.get(), |offset| usize::try_from(offset).unwrap())
    }

    fn take(&self, from: usize, most: usize) -> &'static [u8] {
        let end = self.length.get();
        &CONTENT[from.min(end)..from.saturating_add(most).min(end)]
    }

    /// Puts bytes into the sink and says where it is then.
    fn put(&self, bytes: &[u8], offset: Option<u64>) {
        let mut accepted = self.accepted.borrow_mut();
        let at = if self.sink.is_file() && !self.sink.append {
            self.place(Side::Sink, offset)
        } else {
            accepted.len()
        };
        let end = at + bytes.len();
        if accepted.len() < end {
            accepted.resize(end, 0);
        }
        accepted[at..end].copy_from_slice(bytes);
        if offset.is_none() {
            self.sink.position.set(end);
        }
        self.progress(bytes.len());
    }

    fn progress(&self, bytes: usize) {
        if bytes > 0 {
            self.fruitless.set(0);
        }
    }

    /// Takes bytes out of the source, from the offset or the position, and moves that.
    fn draw(&self, offset: Offset, most: usize) -> &'static [u8] {
        let bytes = self.take(self.place(Side::Source, offset.as_deref().copied()), most);
        match offset {
            Some(offset) => *offset += bytes.len() as u64,
            None => self.source.position.update(|position| position + bytes.len()),
        }
        bytes
    }

    /// The same into the sink.
    fn pour(&self, bytes: &[u8], offset: Offset) {
        self.put(bytes, offset.as_deref().copied());
        if let Some(offset) = offset {
            *offset += bytes.len() as u64;
        }
    }

    /// From the source into a pipe of the engine's, which must be empty: else `EAGAIN` would not name its side.
    fn fill(&self, ring: &Ring, offset: Offset, asked: usize) -> Result<usize> {
        assert!(ring.is_empty(), "a pipe is filled only when it is empty");
        let most = self.answer("splice", &[Side::Source], asked)?;
        if self.is_blind("splice") {
            return Ok(0);
        }
        let bytes = self.draw(offset, ring.room(most));
        ring.fill(bytes);
        self.progress(bytes.len());
        Ok(bytes.len())
    }

    /// From such a pipe into the sink.
    fn drain(&self, ring: &Ring, offset: Offset, asked: usize) -> Result<usize> {
        assert!(!self.sink.append, "no kernel splices into an O_APPEND sink");
        assert!(!ring.is_empty(), "it would wait for ever");
        let most = self.answer("splice", &[Side::Sink], asked)?;
        let bytes = ring.drain(most);
        self.pour(&bytes, offset);
        Ok(bytes.len())
    }

    /// Of a source that is a pipe and has nothing now and no writer.
    fn is_unopened(&self) -> bool {
        if self.unopened.get() {
            self.is_not_ready(Side::Source);
        }
        self.unopened.get()
    }

    /// One call that moves from end to end.
    fn direct(
        &self,
        call: &'static str,
        sides: &[Side],
        source_offset: Offset,
        sink_offset: Offset,
        asked: usize,
    ) -> Result<usize> {
        if call == "splice" && self.is_unopened() {
            return Ok(0);
        }
        let most = self.answer(call, sides, asked)?;
        if self.is_blind(call) {
            return Ok(0);
        }
        assert!(!self.sink.append, "no kernel takes {call} into an O_APPEND sink");
        let bytes = self.draw(source_offset, most);
        self.pour(bytes, sink_offset);
        Ok(bytes.len())
    }
}

impl Kernel for Simulated {
    type Handle = Handle;

    fn reflink(&self, sink: &Handle, source: &Handle, length: u64) -> Result<()> {
        assert_eq!((source.end(), sink.end()), (Side::Source, Side::Sink));
        assert!(self.accepted.borrow().is_empty(), "a clone is into an empty file");
        self.answer("ioctl_ficlonerange", &[Side::Sink], 0)?;
        let whole = self.take(0, usize::MAX);
        // A part would have to end on a block; a real file system clones it then.
        if whole.len() as u64 != length {
            return Err(Errno::INVAL);
        }
        self.accepted.replace(whole.to_vec());
        self.progress(whole.len());
        Ok(())
    }

    fn copy_file_range(
        &self,
        source: &Handle,
        source_offset: Offset,
        sink: &Handle,
        sink_offset: Offset,
        length: usize,
    ) -> Result<usize> {
        assert_eq!((source.end(), sink.end()), (Side::Source, Side::Sink));
        assert!(self.source.is_file() && self.sink.is_file(), "copy_file_range is between files");
        self.direct("copy_file_range", &[Side::Sink], source_offset, sink_offset, length)
    }

    fn sendfile(&self, sink: &Handle, source: &Handle, offset: Offset, count: usize) -> Result<usize> {
        assert_eq!((source.end(), sink.end()), (Side::Source, Side::Sink));
        assert!(self.source.is_file(), "sendfile is from a file");
        self.direct("sendfile", &[Side::Sink], offset, None, count)
    }

    fn read(&self, source: &Handle, buffer: &mut [u8], offset: Option<u64>) -> Result<usize> {
        if let Handle::Reader(ring) = source {
            // By slots, so that it takes more than one.
            return Ok(ring.read(buffer));
        }
        assert_eq!(source.end(), Side::Source);
        if self.source.kind == Kind::Pipe && self.is_unopened() {
            return Ok(0);
        }
        let most = self.answer("read", &[Side::Source], buffer.len())?;
        let bytes = self.take(self.place(Side::Source, offset), most);
        buffer[..bytes.len()].copy_from_slice(bytes);
        if offset.is_none() {
            self.source.position.update(|position| position + bytes.len());
        }
        self.progress(bytes.len());
        Ok(bytes.len())
    }

    fn open_cached(&self, _file: &Handle, _access: OpenFlags) -> Result<Handle> {
        unreachable!("no file is opened with O_DIRECT")
    }

    fn write(&self, sink: &Handle, bytes: &[u8], offset: Option<u64>) -> Result<usize> {
        if let Handle::Writer(ring) = sink {
            assert!(ring.is_empty(), "a pipe is filled only when it is empty");
            return Ok(ring.write(bytes));
        }
        assert_eq!(sink.end(), Side::Sink);
        let most = self.answer("write", &[Side::Sink], bytes.len())?;
        self.put(&bytes[..most], offset);
        Ok(most)
    }

    fn splice(
        &self,
        source: &Handle,
        source_offset: Offset,
        sink: &Handle,
        sink_offset: Offset,
        length: usize,
    ) -> Result<usize> {
        match (source, sink) {
            (Handle::End(Side::Source), Handle::Writer(ring)) => self.fill(ring, source_offset, length),
            (Handle::Reader(ring), Handle::End(Side::Sink)) => self.drain(ring, sink_offset, length),
            (Handle::End(Side::Source), Handle::End(Side::Sink)) => {
                assert!([self.source.kind, self.sink.kind].contains(&Kind::Pipe), "one end must be a pipe");
                let sides = [Side::Source, Side::Sink];
                self.direct("splice", &sides, source_offset, sink_offset, length)
            }
            ends => panic!("not the way round: {ends:?}"),
        }
    }

    fn tee(&self, _source: &Handle, _sink: &Handle, _length: usize) -> Result<usize> {
        unreachable!("a transfer has one sink")
    }

    fn shutdown_write(&self, _socket: &Handle) -> Result<()> {
        unreachable!("a transfer ends nothing")
    }

    fn pipe(&self) -> Result<(Handle, Handle)> {
        let ring = self.rings.make()?;
        Ok((Handle::Reader(Rc::clone(&ring)), Handle::Writer(ring)))
    }

    fn pipe_capacity(&self, pipe: &Handle) -> Result<usize> {
        let Handle::Writer(ring) = pipe else { panic!("asked of {pipe:?}") };
        Ok(ring.capacity())
    }

    fn set_pipe_capacity(&self, pipe: &Handle, bytes: usize) -> Result<usize> {
        let Handle::Writer(ring) = pipe else { panic!("the size of a borrowed pipe is not ours to change") };
        self.rings.grow(ring, bytes)
    }

    fn readiness(&self, handle: &Handle) -> Events {
        let side = handle.end();
        if self.visited.take() {
            self.unopened.set(false);
            return Events::IN | Events::HUP;
        }
        if self.blocked.get() == Some(side) {
            return Events::empty();
        }
        let has_ended = side == Side::Source && self.source.position.get() >= self.length.get();
        if has_ended { Events::HUP } else { Events::IN | Events::OUT }
    }

    fn receive(&self, socket: &Handle, buffer: &mut [u8]) -> Result<usize> {
        self.read(socket, buffer, None)
    }

    fn send(&self, socket: &Handle, bytes: &[u8]) -> Result<usize> {
        self.write(socket, bytes, None)
    }

    fn read_resident(&self, source: &Handle, buffer: &mut [u8], offset: u64) -> Result<usize> {
        assert!(source.end() == Side::Source && self.source.is_file(), "only files are asked for residency");
        self.probed.borrow_mut().push(offset);
        match self.resident.borrow_mut().pop_front().unwrap_or(Ok(true)) {
            Ok(true) => Ok(buffer.len()),
            Ok(false) => Err(Errno::AGAIN),
            Err(errno) => Err(errno),
        }
    }

    fn seek_by(&self, file: &Handle, distance: i64) -> Result<u64> {
        let end = self.end(file.end());
        assert!(end.is_file(), "a stream has no position");
        let position = end.position.get().checked_add_signed(isize::try_from(distance).unwrap()).unwrap();
        end.position.set(position);
        Ok(position as u64)
    }

    fn lives_in_memory(&self, _file: &Handle) -> bool {
        self.resident.borrow_mut().pop_front().is_some_and(|answer| answer == Ok(true))
    }
}
