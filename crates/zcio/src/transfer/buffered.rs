//! Read and write: the move that fits every pair, and the only one that carries bytes in user space.

use crate::endpoint::{Endpoint, Kind};
use crate::kernel::Kernel;
use crate::sys::{Errno, OpenFlags, Result};

use super::flow::{Move, Outlet};
use super::outcome::Side;

/// As much as GNU cp and cat take at a time; from one source to one sink more no longer helps.
pub const CAPACITY: usize = 128 * 1024;

/// What a file opened with `O_DIRECT` asks of the memory it is read into; no device has larger blocks.
const ALIGNMENT: usize = 4096;

/// Bytes taken from the source and not yet accepted by the sink. An idle transfer has none, and room for a pointer only.
#[derive(Debug, Default)]
pub struct Carry(Option<Box<Load>>);

/// `memory[start..end]`.
#[derive(Debug, Default)]
struct Load {
    memory: Vec<u8>,
    start: usize,
    end: usize,
}

impl From<Vec<u8>> for Carry {
    fn from(memory: Vec<u8>) -> Self {
        let end = memory.len();
        Self((end > 0).then(|| Box::new(Load { memory, start: 0, end })))
    }
}

impl Carry {
    /// Whether there is something that the sink has not accepted.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        !self.pending().is_empty()
    }

    /// What the sink has not accepted.
    #[must_use]
    pub fn pending(&self) -> &[u8] {
        self.0.as_deref().map_or(&[], |load| &load.memory[load.start..load.end])
    }

    /// Gives it away.
    pub fn take(&mut self) -> Vec<u8> {
        let Some(mut load) = self.0.take() else { return Vec::new() };
        load.memory.truncate(load.end);
        load.memory.split_off(load.start)
    }

    /// Reads up to `most` bytes in place of what was there. Without any an idle source holds no memory.
    pub fn read(&mut self, most: usize, read: impl FnOnce(&mut [u8]) -> Result<usize>) -> Result<usize> {
        let load = self.0.get_or_insert_default();
        load.make_room(most);
        let taken = read(&mut load.memory[load.start..][..most]);
        load.end = load.start + taken.unwrap_or(0);
        if !self.is_pending() {
            self.0 = None;
        }
        taken
    }

    /// Leaves out what the sink has accepted now. The memory is kept for the next read, but not that of a head, which
    /// came once.
    pub fn skip(&mut self, bytes: u64) {
        let Some(load) = &mut self.0 else { return };
        load.start = load.end.min(load.start + usize::try_from(bytes).unwrap_or(usize::MAX));
        if load.start == load.end && load.memory.len() < CAPACITY {
            self.0 = None;
        }
    }

    /// Adds what `read` gives, up to `most` bytes, behind what is pending.
    pub fn append(&mut self, most: usize, mut read: impl FnMut(&mut [u8]) -> Result<usize>) {
        let Load { memory, end, .. } = &mut **self.0.get_or_insert_default();
        memory.truncate(*end);
        memory.resize(*end + most, 0);
        while *end < memory.len() {
            match read(&mut memory[*end..]) {
                Ok(bytes) if bytes > 0 => *end += bytes,
                _ => break,
            }
        }
    }
}

impl Load {
    fn make_room(&mut self, most: usize) {
        if self.memory.len() < most + ALIGNMENT {
            self.memory = vec![0; most + ALIGNMENT];
        }
        self.start = self.memory.as_ptr().align_offset(ALIGNMENT);
        self.end = self.start;
    }
}

/// One read of at most `most` bytes into a carry that holds nothing.
pub fn fill<K: Kernel>(
    kernel: &K,
    (source, offset): (&Endpoint<K::Handle>, &mut Option<u64>),
    carry: &mut Carry,
    most: usize,
) -> Move {
    let taken = carry.read(most, |buffer| match source.facts.kind {
        Kind::Socket => kernel.receive(&source.handle, buffer),
        _ => match kernel.read(&source.handle, buffer, *offset) {
            Err(Errno::INVAL) if source.facts.direct => read_cached(kernel, source, buffer, *offset),
            taken => taken,
        },
    });
    if let (Some(offset), Ok(bytes)) = (offset, taken) {
        *offset += bytes as u64;
    }
    match taken {
        Ok(0) => Move::End,
        Ok(_) => Move::Taken,
        Err(Errno::AGAIN) => Move::Blocked(Side::Source),
        Err(Errno::IO) if source.facts.is_terminal_master => Move::End,
        Err(errno) => Move::Failed(Some(Side::Source), errno, "read"),
    }
}

/// One write of at most `most` bytes of what is pending.
pub fn drain<K: Kernel>(kernel: &K, sink: &mut Outlet<K::Handle>, most: usize) -> Move {
    let carry = std::mem::take(&mut sink.carry);
    let pending = carry.pending();
    let written = write(kernel, sink, &pending[..pending.len().min(most)]);
    sink.carry = carry;
    if let Move::Bytes(bytes) = written {
        sink.carry.skip(bytes);
    }
    written
}

/// One write.
pub fn write<K: Kernel>(kernel: &K, sink: &mut Outlet<K::Handle>, bytes: &[u8]) -> Move {
    let written = match sink.facts.kind {
        Kind::Socket => kernel.send(&sink.handle, bytes),
        _ => match kernel.write(&sink.handle, bytes, sink.offset) {
            Err(Errno::INVAL) if sink.facts.direct => write_cached(kernel, sink, bytes),
            written => written,
        },
    };
    match written {
        // Not an answer that write(2) knows; but to try again would be to spin.
        Ok(0) => Move::Failed(Some(Side::Sink), Errno::IO, "write"),
        Ok(bytes) => {
            if let Some(offset) = &mut sink.offset {
                *offset += bytes as u64;
            }
            Move::Bytes(bytes as u64)
        }
        Err(Errno::AGAIN) => Move::Blocked(Side::Sink),
        Err(errno) => Move::Failed(Some(Side::Sink), errno, "write"),
    }
}

/// What of a file opened with `O_DIRECT` does not begin and end with a block: the kernel refuses it, and whose position
/// this is, and flags, are not ours to change. So the file is opened anew.
fn read_cached<K: Kernel>(
    kernel: &K,
    source: &Endpoint<K::Handle>,
    buffer: &mut [u8],
    offset: Option<u64>,
) -> Result<usize> {
    let (cached, at) = cached(kernel, &source.handle, OpenFlags::empty(), offset)?;
    let taken = kernel.read(&cached, buffer, Some(at))?;
    move_on(kernel, &source.handle, offset, taken)
}

/// The same for a sink.
fn write_cached<K: Kernel>(kernel: &K, sink: &Outlet<K::Handle>, bytes: &[u8]) -> Result<usize> {
    let append = if sink.facts.append { OpenFlags::APPEND } else { OpenFlags::empty() };
    let (cached, at) = cached(kernel, &sink.handle, OpenFlags::WRONLY | append, sink.offset)?;
    let written = kernel.write(&cached, bytes, Some(at))?;
    move_on(kernel, &sink.handle, sink.offset, written)
}

fn cached<K: Kernel>(
    kernel: &K,
    file: &K::Handle,
    access: OpenFlags,
    offset: Option<u64>,
) -> Result<(K::Handle, u64)> {
    let cached = kernel.open_cached(file, access).map_err(|_| Errno::INVAL)?;
    Ok((cached, offset.map_or_else(|| kernel.seek_by(file, 0), Ok)?))
}

fn move_on<K: Kernel>(kernel: &K, file: &K::Handle, offset: Option<u64>, bytes: usize) -> Result<usize> {
    if offset.is_none() {
        kernel.seek_by(file, bytes.cast_signed() as i64)?;
    }
    Ok(bytes)
}
