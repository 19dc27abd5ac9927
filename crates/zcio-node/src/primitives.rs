//! One system call each, with the arguments of its man page.
//!
//! Those that take numbers only are exported by hand. Around a call with arguments napi-rs keeps books of what it may
//! borrow from objects, which took as long as the system call itself; TypeScript knows their types from src/binding.ts.

use napi::bindgen_prelude::{BufferSlice, Object};
use napi::{Env, Result};
use napi_derive::napi;
use zcio::sys::{self, SpliceFlags};

use crate::convert::{Arguments, Descriptor, Offset, count_or_errno, export, length};

#[napi(module_exports)]
pub fn export_primitives(mut exports: Object, env: Env) -> Result<()> {
    export(&env, &mut exports, c"sendfile", sendfile)?;
    export(&env, &mut exports, c"splice", splice)?;
    export(&env, &mut exports, c"tee", tee)?;
    export(&env, &mut exports, c"copyFileRange", copy_file_range)
}

/// `sendfile(2)`: sink, source, offset, count.
fn sendfile(given: &Arguments<4>) -> Result<i64> {
    let (sink, source): (Descriptor, Descriptor) = (given.get(0)?, given.get(1)?);
    let (mut offset, count): (Offset, usize) = (given.get(2)?, length(given.get(3)?));
    Ok(quietly(count, || sys::sendfile(sink, source, offset.0.as_mut(), count)))
}

/// `splice(2)`: source, its offset, sink, its offset, length, flags.
fn splice(given: &Arguments<6>) -> Result<i64> {
    let (source, mut source_offset): (Descriptor, Offset) = (given.get(0)?, given.get(1)?);
    let (sink, mut sink_offset): (Descriptor, Offset) = (given.get(2)?, given.get(3)?);
    let (count, flags) = (length(given.get(4)?), SpliceFlags::from_bits_retain(given.get(5)?));
    Ok(quietly(count, || {
        sys::splice(source, source_offset.0.as_mut(), sink, sink_offset.0.as_mut(), count, flags)
    }))
}

/// `tee(2)`: source, sink, length, flags.
fn tee(given: &Arguments<4>) -> Result<i64> {
    let (source, sink): (Descriptor, Descriptor) = (given.get(0)?, given.get(1)?);
    let (count, flags) = (length(given.get(2)?), SpliceFlags::from_bits_retain(given.get(3)?));
    Ok(quietly(WHOLE, || sys::tee(source, sink, count, flags)))
}

/// `copy_file_range(2)`: source, its offset, sink, its offset, length.
fn copy_file_range(given: &Arguments<5>) -> Result<i64> {
    let (source, mut source_offset): (Descriptor, Offset) = (given.get(0)?, given.get(1)?);
    let (sink, mut sink_offset): (Descriptor, Offset) = (given.get(2)?, given.get(3)?);
    let count = length(given.get(4)?);
    Ok(quietly(WHOLE, || {
        sys::copy_file_range(source, source_offset.0.as_mut(), sink, sink_offset.0.as_mut(), count)
    }))
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
