//! The short way of small files: open, ask and read in one call; send head and body in another.
//!
//! Nothing here waits for a disk: what is not in memory answers `EAGAIN` or is left to the engine.

use std::os::fd::{AsFd, OwnedFd};

use napi::bindgen_prelude::BufferSlice;
use napi_derive::napi;
use zcio::kernel::{Kernel, Linux};
use zcio::sys::{self, Errno, FileType, OpenFlags, SendFlags, Stat, StatusFlags};
use zcio::transfer::residency;
use zcio::{Endpoint, Facts, Fd, Mechanism, config};

use crate::convert::{Descriptor, count_or_errno};
use crate::descriptors::entrust;

/// What `openFile` and `lookAtFile` tell, as doubles at the start of the scratch buffer.
#[repr(usize)]
enum Field {
    Size,
    ModifiedMs,
    /// 1: a regular file, 2: a directory, 0: something else.
    Kind,
    /// Bytes of the wanted range read into the scratch buffer, or -1: too many, or not in memory.
    Read,
    /// 1: the wanted range is to be sent by one call, since it is short enough and in memory.
    Resident,
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
    tell_about(file, &stat, start, end, &mut scratch)
}

/// Looks at a file that has just been opened, and closes it if it has been read; else its descriptor is returned.
pub fn tell_about(file: OwnedFd, stat: &Stat, start: f64, end: f64, scratch: &mut [u8]) -> i32 {
    let found = look(Fd::from(file.as_fd()), stat, start, end, &mut scratch[BODY..]);
    tell(scratch, stat, &found);
    if found.read.is_some() { 0 } else { entrust(file) }
}

/// The same for a file that is open, and stays so. Negative: errno.
#[napi]
pub fn look_at_file(file: Descriptor, start: f64, end: f64, mut scratch: BufferSlice) -> i32 {
    let readable = sys::status_flags(&file).map(StatusFlags::readable);
    let told = readable.and_then(|readable| if readable { sys::stat(&file) } else { Err(Errno::BADF) });
    match told {
        Ok(stat) => {
            let found = look(Fd::from(file.as_fd()), &stat, start, end, &mut scratch[BODY..]);
            tell(&mut scratch, &stat, &found);
            0
        }
        Err(errno) => -errno.raw(),
    }
}

/// What is in memory of a file from `position` on, or from its descriptor's own where that is negative. `EAGAIN`:
/// nothing; `EOPNOTSUPP`: nobody knows.
#[napi]
pub fn read_now(file: Descriptor, mut buffer: BufferSlice, position: i64) -> i64 {
    let (kernel, file) = (Linux::new(), Fd::from(file.as_fd()));
    let position = u64::try_from(position).ok();
    let read = match sys::read_resident(&file, &mut buffer, position) {
        Err(Errno::OPNOTSUPP) if is_in_memory(&file) => kernel.read(&file, &mut buffer, position),
        read => read,
    };
    count_or_errno(read)
}

/// Not a FIFO, which may lie there, nor what /proc makes up as it is read, which has no size: those one may wait for.
fn is_in_memory(file: &Fd<'_>) -> bool {
    let has_pages = |stat: Stat| stat.file_type() == FileType::Regular && stat.size > 0;
    Linux::new().lives_in_memory(file) && sys::stat(file).is_ok_and(has_pages)
}

/// `send(2)` of part of a buffer, never waiting; `more`: the body follows at once.
#[napi]
pub fn send(socket: Descriptor, bytes: BufferSlice, from: u32, to: u32, more: bool) -> i64 {
    let flags = if more { SendFlags::DONTWAIT | SendFlags::MORE } else { SendFlags::DONTWAIT };
    count_or_errno(sys::send(socket, &bytes[from as usize..to as usize], flags))
}

/// A head, and once all of it has gone, one `sendfile(2)` of a range that `openFile` has found in memory, to a
/// nonblocking stream socket. Returns the bytes of both; negative: errno, and nothing has gone.
#[napi]
pub fn send_then_file(
    socket: Descriptor,
    head: BufferSlice,
    from: u32,
    to: u32,
    file: Descriptor,
    start: i64,
    count: u32,
) -> i64 {
    let head = &head[from as usize..to as usize];
    let flags = SendFlags::DONTWAIT | SendFlags::MORE;
    let sent = if head.is_empty() { Ok(0) } else { sys::send(&socket, head, flags) };
    let (mut offset, count) = (start.cast_unsigned(), count as usize);
    let send_file = || sys::sendfile(&socket, &file, Some(&mut offset), count);
    count_or_errno(sent.map(|sent| {
        if sent < head.len() {
            return sent;
        }
        // What the kernel says of the file is met again by the engine, which can tell it.
        sent + sys::without_signals_of(count, send_file).unwrap_or(0)
    }))
}

/// What has been found out about the wanted range of a file.
#[derive(Default)]
struct Found {
    read: Option<usize>,
    resident: bool,
}

/// Reads the range if it is small, else looks whether it is in memory if one call is to send it; does neither with one
/// that is too long for this thread.
fn look(file: Fd<'_>, stat: &Stat, start: f64, end: f64, body: &mut [u8]) -> Found {
    if stat.file_type() != FileType::Regular {
        return Found::default();
    }
    let (start, stop) = range(stat.size, start, end);
    let length = stop - start;
    if length > config::inline_max() {
        return Found::default();
    }
    let source = Endpoint::new(file, Facts::opened_file(stat));
    let kernel = Linux::new();
    let small = usize::try_from(length).ok().and_then(|length| body.get_mut(..length));
    let Some(body) = small else {
        let resident = may_send(&source.handle) && residency::is_resident(&kernel, &source, start, length);
        return Found { read: None, resident };
    };
    // A file that has been truncated since gives less: then the long way is to tell.
    let read = residency::read_now(&kernel, &source, body, start).filter(|read| *read == body.len());
    Found { read, resident: false }
}

fn may_send(file: &Fd<'_>) -> bool {
    let switched_off = config::switched_off() | config::switched_off_on(file);
    !switched_off.contains(Mechanism::Sendfile)
}

/// `start` and inclusive `end` cut to a size. TypeScript has checked that they are integers, or infinite.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "they saturate")]
fn range(size: u64, start: f64, end: f64) -> (u64, u64) {
    let start = (start as u64).min(size);
    (start, (end as u64).saturating_add(1).clamp(start, size))
}

#[allow(clippy::cast_precision_loss, reason = "JavaScript has no other numbers; exact to 2^53")]
fn tell(scratch: &mut [u8], stat: &Stat, found: &Found) {
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
    put(Field::Read, found.read.map_or(-1.0, |bytes| bytes as f64));
    put(Field::Resident, f64::from(u8::from(found.resident)));
}
