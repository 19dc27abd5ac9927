//! The short way of small files: open, ask and read in one call; send head and body in another.
//!
//! Nothing here waits for a disk: what is not in memory answers `EAGAIN` or is left to the engine.

use std::os::fd::{AsFd, IntoRawFd};

use napi::bindgen_prelude::BufferSlice;
use napi_derive::napi;
use zcio::kernel::Linux;
use zcio::sys::{self, FileType, OpenFlags, SendFlags, Stat};
use zcio::transfer::residency;
use zcio::{Endpoint, Facts, Fd, Patience, Request, Step, Transfer};

use crate::convert::{Descriptor, Offset, count_or_errno};
use crate::primitives::quietly;

/// What `openFile` and `statFile` tell, as doubles at the start of the scratch buffer.
#[repr(usize)]
enum Field {
    Size,
    ModifiedMs,
    /// 1: a regular file, 2: a directory, 0: something else.
    Kind,
    /// Bytes of the wanted range read into the scratch buffer, or -1: too many, or not in memory.
    Read,
}

/// Where the body begins in the scratch buffer; before it is room for the head, which then ends here.
const BODY: usize = 16 * 1024;

/// Opens a file for reading, if its path is in the kernel's caches, and asks what it is. Where the range from
/// `start` to `end` (inclusive) fits behind the head's room and is in memory, it is read too, and the file closed:
/// `Field::Read` tells. Otherwise the descriptor is returned. Negative: errno; `EAGAIN`: ask on a thread that may
/// wait.
#[napi]
pub fn open_file(path: String, start: f64, end: f64, mut scratch: BufferSlice) -> i32 {
    // O_NONBLOCK: the opening of a FIFO must not wait for its writer.
    let opened = sys::open_cached(&path, OpenFlags::NONBLOCK | OpenFlags::NOCTTY);
    let told = opened.and_then(|file| Ok((sys::stat(&file)?, file)));
    let (stat, file) = match told {
        Ok(told) => told,
        Err(errno) => return -errno.raw(),
    };
    let read = read_range(Fd::from(file.as_fd()), &stat, start, end, &mut scratch[BODY..]);
    tell(&mut scratch, &stat, read);
    if read.is_some() { 0 } else { file.into_raw_fd() }
}

/// What `openFile` tells, of an open descriptor; reads nothing.
#[napi]
pub fn stat_file(file: Descriptor, mut scratch: BufferSlice) -> i32 {
    match sys::stat(file) {
        Ok(stat) => {
            tell(&mut scratch, &stat, None);
            0
        }
        Err(errno) => -errno.raw(),
    }
}

/// `send(2)` of part of a buffer, never waiting; `more`: the body follows at once.
#[napi]
pub fn send(socket: Descriptor, bytes: BufferSlice, from: u32, to: u32, more: bool) -> i64 {
    let flags = if more { SendFlags::DONTWAIT | SendFlags::MORE } else { SendFlags::DONTWAIT };
    count_or_errno(sys::send(socket, &bytes[from as usize..to as usize], flags))
}

/// Sends as much of a file to a nonblocking stream socket as goes without waiting for disk or peer. Negative:
/// errno with nothing sent; `EAGAIN`: not now, not here.
#[napi]
pub fn send_file(socket: Descriptor, file: Descriptor, start: Offset, length: Offset) -> i64 {
    quietly(|| {
        let source =
            Endpoint { handle: Fd::from(file.as_fd()), facts: Facts::opened_file(&sys::stat(&file)?) };
        let sink = Endpoint { handle: Fd::from(socket.as_fd()), facts: Facts::stream_socket() };
        let request = Request { start: start.0, length: length.0, ..Request::default() };
        let Ok(mut transfer) = Transfer::new(source, sink, request) else { return Err(sys::Errno::AGAIN) };
        match transfer.advance(&Linux::new(), Patience::None) {
            Step::End(Err(failure)) if failure.outcome.bytes == 0 => Err(failure.errno()),
            _ if transfer.moved() == 0 => Err(sys::Errno::AGAIN),
            _ => Ok(usize::try_from(transfer.moved()).unwrap_or(usize::MAX)),
        }
    })
}

/// The wanted range, if it is small and in memory.
fn read_range(file: Fd<'_>, stat: &Stat, start: f64, end: f64, body: &mut [u8]) -> Option<usize> {
    if stat.file_type() != FileType::Regular {
        return None;
    }
    let (start, stop) = range(stat.size, start, end);
    let length = usize::try_from(stop - start).ok().filter(|length| *length <= body.len())?;
    let source = Endpoint { handle: file, facts: Facts::opened_file(stat) };
    // One byte more than the size would tell that it has grown; fewer, that it was truncated: both are told later.
    let read = residency::read_now(&Linux::new(), &source, &mut body[..length], start)?;
    (read == length).then_some(read)
}

/// `start` and inclusive `end` cut to a size. TypeScript has checked that they are integers, or infinite.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "they saturate")]
fn range(size: u64, start: f64, end: f64) -> (u64, u64) {
    let start = (start as u64).min(size);
    (start, (end as u64).saturating_add(1).clamp(start, size))
}

#[allow(clippy::cast_precision_loss, reason = "JavaScript has no other numbers; exact to 2^53")]
fn tell(scratch: &mut [u8], stat: &Stat, read: Option<usize>) {
    let (seconds, nanoseconds) = stat.modified;
    let mut put = |field: Field, value: f64| {
        let at = field as usize * size_of::<f64>();
        scratch[at..at + size_of::<f64>()].copy_from_slice(&value.to_ne_bytes());
    };
    put(Field::Size, stat.size as f64);
    put(Field::ModifiedMs, seconds as f64 * 1e3 + nanoseconds as f64 / 1e6);
    let kind = match stat.file_type() {
        FileType::Regular => 1.0,
        FileType::Directory => 2.0,
        _ => 0.0,
    };
    put(Field::Kind, kind);
    put(Field::Read, read.map_or(-1.0, |bytes| bytes as f64));
}
