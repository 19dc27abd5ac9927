//! A kernel of one source and one sink, whose answers are drawn beforehand.
//!
//! It knows what every real one guarantees (a call moves a prefix of what it was asked for, or nothing) and leaves
//! the rest to the script: how much, when, and whether this call works here at all.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::LazyLock;

use zcio::kernel::Offset;
use zcio::sys::Result;
use zcio::{Errno, Kernel, Side};

/// What all sources contain, as far as they reach: no two pages are alike.
pub static CONTENT: LazyLock<Vec<u8>> = LazyLock::new(|| (0_u32..1 << 20).map(byte).collect());

fn byte(index: u32) -> u8 {
    (index.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0]
}

/// What the next call comes to.
#[derive(Debug, Clone, Copy)]
pub enum Answer {
    /// All that was asked for and is there.
    Full,
    /// At most so many bytes.
    Short(usize),
    /// Not now; a file does not know this answer.
    Again,
    /// Not a byte and no error: `write` only.
    Nothing,
    /// An error.
    Error(Errno),
    /// The source is so long from now on; then all that is there.
    Resize(usize),
}

/// An end as the kernel sees it.
#[derive(Debug)]
pub struct End {
    pub is_file: bool,
    pub append: bool,
    pub position: Cell<usize>,
}

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
    pub last_error: Cell<Option<(Errno, &'static str)>>,
    /// `write` has taken nothing, without an error.
    pub refused_silently: Cell<bool>,
    /// Calls since a byte moved or an end was not ready.
    pub fruitless: Cell<usize>,
}

/// More calls in a row that move nothing, although no end blocks, would be a spin: three rungs, each with a read
/// that confirms the end, the last rung's read and write, and one to spare.
const MOST_FRUITLESS: usize = 9;

impl Simulated {
    /// Draws an answer for a call that may find `side` not to be ready, and says how many bytes it may move.
    fn answer(&self, call: &'static str, side: Side, asked: usize) -> Result<usize> {
        self.fruitless.update(|calls| calls + 1);
        assert!(self.fruitless.get() <= MOST_FRUITLESS, "it spins");
        self.blocked.set(None);
        match self.script.borrow_mut().pop_front().unwrap_or(Answer::Full) {
            Answer::Short(most) => Ok(asked.min(most)),
            Answer::Again if !self.end(side).is_file => {
                self.blocked.set(Some(side));
                self.fruitless.set(0);
                Err(Errno::AGAIN)
            }
            Answer::Nothing if call == "write" => {
                self.refused_silently.set(true);
                Ok(0)
            }
            Answer::Error(errno) => {
                self.last_error.set(Some((errno, call)));
                Err(errno)
            }
            Answer::Resize(length) => {
                if self.source.is_file {
                    self.length.set(length);
                }
                Ok(asked)
            }
            Answer::Full | Answer::Nothing | Answer::Again => Ok(asked),
        }
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
        let at = if self.sink.is_file && !self.sink.append {
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

    /// One call that moves from end to end.
    fn direct(
        &self,
        call: &'static str,
        source_offset: Offset,
        sink_offset: Offset,
        asked: usize,
    ) -> Result<usize> {
        let most = self.answer(call, Side::Sink, asked)?;
        if self.blind.contains(&call) {
            return Ok(0);
        }
        assert!(!self.sink.append, "no kernel takes {call} into an O_APPEND sink");
        let bytes = self.take(self.place(Side::Source, source_offset.as_deref().copied()), most);
        self.put(bytes, sink_offset.as_deref().copied());
        match source_offset {
            Some(offset) => *offset += bytes.len() as u64,
            None => self.source.position.update(|position| position + bytes.len()),
        }
        if let Some(offset) = sink_offset {
            *offset += bytes.len() as u64;
        }
        Ok(bytes.len())
    }
}

impl Kernel for Simulated {
    type Handle = Side;

    fn reflink(&self, sink: &Side, source: &Side, length: u64) -> Result<()> {
        assert_eq!((*source, *sink), (Side::Source, Side::Sink));
        assert!(self.accepted.borrow().is_empty(), "a clone is into an empty file");
        self.answer("ioctl_ficlonerange", Side::Sink, 0)?;
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
        source: &Side,
        source_offset: Offset,
        sink: &Side,
        sink_offset: Offset,
        length: usize,
    ) -> Result<usize> {
        assert_eq!((*source, *sink), (Side::Source, Side::Sink));
        assert!(self.source.is_file && self.sink.is_file, "copy_file_range is between files");
        self.direct("copy_file_range", source_offset, sink_offset, length)
    }

    fn sendfile(&self, sink: &Side, source: &Side, offset: Offset, count: usize) -> Result<usize> {
        assert_eq!((*source, *sink), (Side::Source, Side::Sink));
        assert!(self.source.is_file, "sendfile is from a file");
        self.direct("sendfile", offset, None, count)
    }

    fn read(&self, source: &Side, buffer: &mut [u8], offset: Option<u64>) -> Result<usize> {
        assert_eq!(*source, Side::Source);
        let most = self.answer("read", Side::Source, buffer.len())?;
        let bytes = self.take(self.place(Side::Source, offset), most);
        buffer[..bytes.len()].copy_from_slice(bytes);
        if offset.is_none() {
            self.source.position.update(|position| position + bytes.len());
        }
        self.progress(bytes.len());
        Ok(bytes.len())
    }

    fn write(&self, sink: &Side, bytes: &[u8], offset: Option<u64>) -> Result<usize> {
        assert_eq!(*sink, Side::Sink);
        let most = self.answer("write", Side::Sink, bytes.len())?;
        self.put(&bytes[..most], offset);
        Ok(most)
    }

    fn receive(&self, socket: &Side, buffer: &mut [u8]) -> Result<usize> {
        self.read(socket, buffer, None)
    }

    fn send(&self, socket: &Side, bytes: &[u8]) -> Result<usize> {
        self.write(socket, bytes, None)
    }

    fn read_resident(&self, source: &Side, buffer: &mut [u8], offset: u64) -> Result<usize> {
        assert!(*source == Side::Source && self.source.is_file, "only files are asked for residency");
        self.probed.borrow_mut().push(offset);
        match self.resident.borrow_mut().pop_front().unwrap_or(Ok(true)) {
            Ok(true) => Ok(buffer.len()),
            Ok(false) => Err(Errno::AGAIN),
            Err(errno) => Err(errno),
        }
    }

    fn seek_by(&self, file: &Side, distance: i64) -> Result<u64> {
        let end = self.end(*file);
        assert!(end.is_file, "a stream has no position");
        let position = end.position.get().checked_add_signed(isize::try_from(distance).unwrap()).unwrap();
        end.position.set(position);
        Ok(position as u64)
    }

    fn lives_in_memory(&self, _file: &Side) -> bool {
        self.resident.borrow_mut().pop_front().is_some_and(|answer| answer == Ok(true))
    }
}
