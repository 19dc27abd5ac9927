//! Memory that may be given to a pipe, and the giving.
//!
//! A pipe refers to pages long after the call. Memory of an allocator would be handed to somebody else meanwhile,
//! who would write into what the reader sees; so only mappings made here are taken, known by their addresses.

use std::collections::BTreeMap;
use std::io::{IoSlice, IoSliceMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use napi::bindgen_prelude::{ArrayBuffer, BufferSlice, Either};
use napi::{Env, Result};
use napi_derive::napi;
use zcio::sys::{self, Pages, SpliceFlags};

use crate::convert::{Descriptor, pages_buffer};
use crate::primitives::{WHOLE, quietly};

/// A zeroed, page-aligned, shared anonymous mapping of its own, or a negative errno; `null` where the runtime
/// refuses such Buffers.
#[napi]
pub fn alloc_pages(env: &Env, length: u32) -> Result<Option<Either<BufferSlice<'_>, i32>>> {
    match Pages::new(length as usize) {
        Ok(pages) => Ok(pages_buffer(env, Registered::new(pages))?.map(Either::A)),
        Err(errno) => Ok(Some(Either::B(-errno.raw()))),
    }
}

/// Whether the Buffer lies within one mapping made by `allocPages`.
#[napi]
pub fn is_pages(buffer: BufferSlice) -> bool {
    let start = buffer.as_ptr().addr();
    let mappings = mappings();
    let mapping = mappings.range(..=start).next_back();
    !buffer.is_empty() && mapping.is_some_and(|(from, pages)| start + buffer.len() <= from + pages.len())
}

/// `vmsplice(2)` on the writing end of a pipe.
#[napi]
pub fn vmsplice(pipe: Descriptor, pages: Vec<BufferSlice>, flags: u32) -> i64 {
    let slices: Vec<_> = pages.iter().map(|buffer| IoSlice::new(buffer)).collect();
    quietly(WHOLE, || sys::vmsplice(pipe, &slices, SpliceFlags::from_bits_retain(flags)))
}

/// `vmsplice(2)` on the reading end of a pipe: fills the pages.
#[napi]
pub fn vmsplice_read(pipe: Descriptor, mut pages: Vec<BufferSlice>, flags: u32) -> i64 {
    let mut slices: Vec<_> = pages.iter_mut().map(|buffer| IoSliceMut::new(buffer)).collect();
    quietly(WHOLE, || sys::vmsplice_read(pipe, &mut slices, SpliceFlags::from_bits_retain(flags)))
}

/// Whether this is the reading end of a pipe.
#[napi]
pub fn is_reader(pipe: Descriptor) -> bool {
    sys::status_flags(pipe).is_ok_and(|flags| flags.readable() && !flags.writable())
}

/// Bytes of a page, and of a pipe's slot.
#[napi]
pub fn page_size() -> u32 {
    u32::try_from(sys::page_size()).unwrap_or(4096)
}

/// Takes a mapping away from JavaScript: its Buffer has length 0 from now on.
#[napi]
pub fn detach(memory: ArrayBuffer) -> Result<()> {
    memory.detach()
}

/// The mappings that these Buffers begin, to be held for longer than JavaScript has them.
pub fn pages_of(buffers: &[BufferSlice]) -> Vec<Arc<Pages>> {
    let mappings = mappings();
    buffers.iter().filter_map(|buffer| mappings.get(&buffer.as_ptr().addr()).cloned()).collect()
}

/// A mapping whose address is known for as long as JavaScript has it.
struct Registered(Arc<Pages>);

impl Registered {
    fn new(pages: Pages) -> Self {
        let pages = Arc::new(pages);
        mappings().insert(pages.as_ptr().addr(), Arc::clone(&pages));
        Self(pages)
    }
}

impl AsRef<Pages> for Registered {
    fn as_ref(&self) -> &Pages {
        &self.0
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        mappings().remove(&self.0.as_ptr().addr());
    }
}

/// Every mapping by its address, of all threads.
fn mappings() -> MutexGuard<'static, BTreeMap<usize, Arc<Pages>>> {
    static MAPPINGS: Mutex<BTreeMap<usize, Arc<Pages>>> = Mutex::new(BTreeMap::new());
    MAPPINGS.lock().unwrap_or_else(PoisonError::into_inner)
}
