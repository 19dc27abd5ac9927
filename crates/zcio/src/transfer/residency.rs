//! Whether the next bytes of a file can be moved without waiting for a disk.
//!
//! A cold page blocks `sendfile(2)` whatever flags the descriptors have, so an event loop must know before it
//! calls. The only probe that does not lie to an unprivileged caller is `preadv2(2)` with `RWF_NOWAIT`: it reads
//! one page, hence one byte at each end of the range. overlayfs, the root of most containers, does not offer it;
//! there the answer is «unknown», which is not «resident»: the disk pool moves the file once, and its identity is
//! remembered as warm for a while.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::endpoint::{Endpoint, Identity};
use crate::kernel::Kernel;
use crate::sys::Errno;

/// Whether `length` bytes at `offset` are in the page cache, as far as can be known for the price of two calls.
pub fn is_resident<K: Kernel>(kernel: &K, file: &Endpoint<K::Handle>, offset: u64, length: u64) -> bool {
    let last = offset.saturating_add(length.saturating_sub(1));
    probe(kernel, file, offset) && (last == offset || probe(kernel, file, last))
}

fn probe<K: Kernel>(kernel: &K, file: &Endpoint<K::Handle>, offset: u64) -> bool {
    match kernel.read_resident(&file.handle, &mut [0], offset) {
        // 0 bytes: past the end, where there is nothing to wait for.
        Ok(_) => true,
        Err(Errno::OPNOTSUPP) => is_in_memory(kernel, file),
        // EAGAIN: cold, and readahead has started. Anything else is for the real call to meet.
        Err(_) => false,
    }
}

/// Reads what can be read without waiting for a disk; `None`: not now.
pub fn read_now<K: Kernel>(
    kernel: &K,
    file: &Endpoint<K::Handle>,
    buffer: &mut [u8],
    offset: u64,
) -> Option<usize> {
    match kernel.read_resident(&file.handle, buffer, offset) {
        Ok(bytes) => Some(bytes),
        Err(Errno::OPNOTSUPP) if is_in_memory(kernel, file) => {
            kernel.read(&file.handle, buffer, Some(offset)).ok()
        }
        Err(_) => None,
    }
}

/// Remembers a file that the disk pool has just moved, if its file system cannot be probed.
pub fn remember<K: Kernel>(kernel: &K, file: &Endpoint<K::Handle>) {
    if kernel.read_resident(&file.handle, &mut [0], 0) == Err(Errno::OPNOTSUPP) {
        warm().insert(file.facts.identity, Instant::now());
    }
}

/// How long a file that was just read is taken to be still in memory: under memory pressure a wrong guess costs
/// one stall, and a file in use is asked for again much sooner.
const WARM_FOR: Duration = Duration::from_secs(10);

/// More files than a busy server has hot at once on such a file system; 64 bytes each.
const WARM_FILES: usize = 4096;

#[derive(Default)]
struct Warm(HashMap<Identity, Instant>);

impl Warm {
    fn insert(&mut self, file: Identity, now: Instant) {
        if self.0.len() >= WARM_FILES {
            self.0.retain(|_, since| now.duration_since(*since) < WARM_FOR);
        }
        if self.0.len() < WARM_FILES {
            self.0.insert(file, now);
        }
    }
}

fn warm() -> std::sync::MutexGuard<'static, Warm> {
    static WARM: LazyLock<Mutex<Warm>> = LazyLock::new(Mutex::default);
    WARM.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_in_memory<K: Kernel>(kernel: &K, file: &Endpoint<K::Handle>) -> bool {
    kernel.lives_in_memory(&file.handle) || is_warm(file.facts.identity)
}

fn is_warm(file: Identity) -> bool {
    warm().0.get(&file).is_some_and(|since| since.elapsed() < WARM_FOR)
}
