//! A kernel of one source and many sinks, whose answers are drawn beforehand: what kernel.rs is for one sink.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use zcio::kernel::Offset;
use zcio::sys::{Events, OpenFlags, Result};
use zcio::{Errno, Kernel, Kind};

use crate::ends::CONTENT;
use crate::ring::{Ring, Rings};

/// What the next call comes to.
#[derive(Debug, Clone, Copy)]
pub enum Answer {
    Full,
    /// At most so many bytes.
    Short(usize),
    /// Not now; a file does not know this answer.
    Again,
    Error(Errno),
}

/// The source, a sink by its number, or an end of a pipe of the engine's.
#[derive(Debug, Clone)]
pub enum Handle {
    Source,
    Sink(usize),
    Reader(Rc<Ring>),
    Writer(Rc<Ring>),
}

#[derive(Debug)]
pub struct Fan {
    pub source: Kind,
    pub position: Cell<usize>,
    /// How much of [`CONTENT`] the source has.
    pub length: usize,
    /// What the sinks are, and all that each has accepted.
    pub sinks: Vec<(Kind, RefCell<Vec<u8>>)>,
    pub script: RefCell<VecDeque<Answer>>,
    pub rings: Rings,
}

impl Fan {
    fn answer(&self, kind: Kind, asked: usize) -> Result<usize> {
        match self.script.borrow_mut().pop_front().unwrap_or(Answer::Full) {
            Answer::Short(most) => Ok(asked.min(most)),
            Answer::Again if kind != Kind::File => Err(Errno::AGAIN),
            Answer::Error(errno) => Err(errno),
            Answer::Full | Answer::Again => Ok(asked),
        }
    }

    fn draw(&self, most: usize) -> &'static [u8] {
        let from = self.position.get();
        let bytes = &CONTENT[from..self.length.min(from + most)];
        self.position.set(from + bytes.len());
        bytes
    }

    fn put(&self, sink: usize, bytes: &[u8]) -> usize {
        self.sinks[sink].1.borrow_mut().extend_from_slice(bytes);
        bytes.len()
    }
}

impl Kernel for Fan {
    type Handle = Handle;

    fn read(&self, source: &Handle, buffer: &mut [u8], offset: Option<u64>) -> Result<usize> {
        assert_eq!(offset, None);
        if let Handle::Reader(ring) = source {
            return Ok(ring.read(buffer));
        }
        assert!(matches!(source, Handle::Source));
        let bytes = self.draw(self.answer(self.source, buffer.len())?);
        buffer[..bytes.len()].copy_from_slice(bytes);
        Ok(bytes.len())
    }

    fn open_cached(&self, _: &Handle, _: OpenFlags) -> Result<Handle> {
        unreachable!("no file is opened with O_DIRECT")
    }

    fn write(&self, sink: &Handle, bytes: &[u8], offset: Option<u64>) -> Result<usize> {
        assert_eq!(offset, None);
        if let Handle::Writer(ring) = sink {
            return Ok(ring.write(bytes));
        }
        let Handle::Sink(sink) = sink else { panic!("no sink: {sink:?}") };
        Ok(self.put(*sink, &bytes[..self.answer(self.sinks[*sink].0, bytes.len())?]))
    }

    fn splice(&self, source: &Handle, _: Offset, sink: &Handle, _: Offset, length: usize) -> Result<usize> {
        match (source, sink) {
            (Handle::Source, Handle::Writer(ring)) => {
                assert!(ring.is_empty(), "a pipe is filled only when it is empty");
                let bytes = self.draw(ring.room(self.answer(self.source, length)?));
                ring.fill(bytes);
                Ok(bytes.len())
            }
            (Handle::Reader(ring), Handle::Sink(sink)) => {
                let most = self.answer(self.sinks[*sink].0, length)?;
                Ok(self.put(*sink, &ring.drain(most)))
            }
            ends => panic!("not the way round: {ends:?}"),
        }
    }

    fn tee(&self, source: &Handle, sink: &Handle, length: usize) -> Result<usize> {
        let (Handle::Reader(full), Handle::Writer(empty)) = (source, sink) else { panic!("between pipes") };
        assert!(!full.is_empty() && empty.is_empty());
        let most = self.answer(Kind::File, length)?;
        Ok(full.duplicate(empty, most))
    }

    fn receive(&self, socket: &Handle, buffer: &mut [u8]) -> Result<usize> {
        self.read(socket, buffer, None)
    }

    fn send(&self, socket: &Handle, bytes: &[u8]) -> Result<usize> {
        self.write(socket, bytes, None)
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

    fn readiness(&self, _: &Handle) -> Events {
        Events::HUP
    }

    fn read_resident(&self, _: &Handle, buffer: &mut [u8], _: u64) -> Result<usize> {
        Ok(buffer.len())
    }

    fn seek_by(&self, file: &Handle, distance: i64) -> Result<u64> {
        assert!(matches!(file, Handle::Source) && self.source == Kind::File);
        self.position.update(|at| at.checked_add_signed(isize::try_from(distance).unwrap()).unwrap());
        Ok(self.position.get() as u64)
    }

    fn reflink(&self, _: &Handle, _: &Handle, _: u64) -> Result<()> {
        unreachable!("a fan-out clones nothing")
    }

    fn copy_file_range(&self, _: &Handle, _: Offset, _: &Handle, _: Offset, _: usize) -> Result<usize> {
        unreachable!("a fan-out reads its source once")
    }

    fn sendfile(&self, _: &Handle, _: &Handle, _: Offset, _: usize) -> Result<usize> {
        unreachable!("a fan-out reads its source once")
    }

    fn shutdown_write(&self, _: &Handle) -> Result<()> {
        unreachable!("a fan-out ends nothing")
    }

    fn lives_in_memory(&self, _: &Handle) -> bool {
        true
    }
}
