//! Read and write: the move that fits every pair, and the only one that carries bytes in user space.

use crate::endpoint::Kind;
use crate::kernel::Kernel;
use crate::sys::Errno;

use super::flow::{Flow, Move};
use super::outcome::Side;

/// As much as GNU cp and cat take at a time; more no longer helps.
const CAPACITY: usize = 128 * 1024;

/// What a file opened with `O_DIRECT` asks of the memory it is read into; no device has larger blocks.
const ALIGNMENT: usize = 4096;

/// Bytes taken from the source and not yet accepted by the sink: `bytes[start..]`.
#[derive(Debug, Default)]
pub struct Carry {
    bytes: Vec<u8>,
    start: usize,
}

impl Carry {
    /// What the sink has not accepted.
    #[must_use]
    pub fn pending(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Gives it away.
    pub fn take(&mut self) -> Vec<u8> {
        let pending = self.bytes.split_off(self.start);
        *self = Self::default();
        pending
    }
}

/// One read where nothing is pending, then one write.
pub fn read_write<K: Kernel>(kernel: &K, flow: &mut Flow<K>) -> Move {
    if flow.carry.pending().is_empty() {
        match fill(kernel, flow) {
            Ok(0) => return Move::End,
            Ok(_) => {}
            Err(Errno::AGAIN) => return Move::Blocked(Side::Source),
            Err(errno) => return Move::Failed(Some(Side::Source), errno, "read"),
        }
    }
    match drain(kernel, flow) {
        // Not an error that write(2) knows; but to try again would be to spin.
        Ok(0) => Move::Failed(Some(Side::Sink), Errno::IO, "write"),
        Ok(bytes) => Move::Bytes(bytes as u64),
        Err(Errno::AGAIN) => Move::Blocked(Side::Sink),
        Err(errno) => Move::Failed(Some(Side::Sink), errno, "write"),
    }
}

fn fill<K: Kernel>(kernel: &K, flow: &mut Flow<K>) -> crate::sys::Result<usize> {
    let most = flow.at_most(CAPACITY as u64);
    let Flow { source, source_offset, carry, .. } = flow;
    carry.bytes.resize(most + ALIGNMENT, 0);
    carry.start = carry.bytes.as_ptr().align_offset(ALIGNMENT);
    let buffer = &mut carry.bytes[carry.start..][..most];
    let read = if source.facts.kind == Kind::Socket {
        kernel.receive(&source.handle, buffer)
    } else {
        kernel.read(&source.handle, buffer, *source_offset)
    };
    carry.bytes.truncate(carry.start + read.unwrap_or(0));
    // An idle source holds no buffer: this gives the memory back.
    if carry.pending().is_empty() {
        *carry = Carry::default();
    }
    if let (Some(offset), Ok(bytes)) = (source_offset, read) {
        *offset += bytes as u64;
    }
    read
}

fn drain<K: Kernel>(kernel: &K, flow: &mut Flow<K>) -> crate::sys::Result<usize> {
    let Flow { sink, sink_offset, carry, .. } = flow;
    let written = if sink.facts.kind == Kind::Socket {
        kernel.send(&sink.handle, carry.pending())
    } else {
        kernel.write(&sink.handle, carry.pending(), *sink_offset)
    }?;
    carry.start += written;
    if let Some(offset) = sink_offset {
        *offset += written as u64;
    }
    Ok(written)
}
