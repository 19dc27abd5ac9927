//! One system call each, with the arguments of its man page.

use napi::bindgen_prelude::BufferSlice;
use napi_derive::napi;
use zcio::sys::{self, SpliceFlags};

use crate::convert::{Descriptor, Offset, count_or_errno, length};

/// `sendfile(2)`.
#[napi]
pub fn sendfile(sink: Descriptor, source: Descriptor, mut offset: Offset, count: Offset) -> i64 {
    let count = length(count);
    quietly(count, || sys::sendfile(sink, source, offset.0.as_mut(), count))
}

/// `splice(2)`.
#[napi]
pub fn splice(
    source: Descriptor,
    mut source_offset: Offset,
    sink: Descriptor,
    mut sink_offset: Offset,
    count: Offset,
    flags: u32,
) -> i64 {
    let (count, flags) = (length(count), SpliceFlags::from_bits_retain(flags));
    quietly(count, || {
        sys::splice(source, source_offset.0.as_mut(), sink, sink_offset.0.as_mut(), count, flags)
    })
}

/// `tee(2)`.
#[napi]
pub fn tee(source: Descriptor, sink: Descriptor, count: Offset, flags: u32) -> i64 {
    quietly(WHOLE, || sys::tee(source, sink, length(count), SpliceFlags::from_bits_retain(flags)))
}

/// `copy_file_range(2)`.
#[napi]
pub fn copy_file_range(
    source: Descriptor,
    mut source_offset: Offset,
    sink: Descriptor,
    mut sink_offset: Offset,
    count: Offset,
) -> i64 {
    quietly(WHOLE, || {
        sys::copy_file_range(source, source_offset.0.as_mut(), sink, sink_offset.0.as_mut(), length(count))
    })
}

/// `read(2)`.
#[napi]
pub fn read(source: Descriptor, mut buffer: BufferSlice) -> i64 {
    count_or_errno(sys::read(source, &mut buffer))
}

/// `write(2)`.
#[napi]
pub fn write(sink: Descriptor, buffer: BufferSlice) -> i64 {
    quietly(buffer.len(), || sys::write(sink, &buffer))
}

/// A call that either moves something or fails: it raises no signal where it has moved a part.
pub const WHOLE: usize = 0;

/// A call on the application's thread, whose signals are not ours to raise.
pub fn quietly(asked: usize, call: impl FnOnce() -> sys::Result<usize>) -> i64 {
    count_or_errno(sys::without_signals_of(asked, call))
}
