//! Limits and switches of the process, and their defaults. Each can be changed at any time, by any thread.
//!
//! They are read where they matter, each time: a limit holds from the next file, pipe or thread on, a switch from the
//! next transfer on. What is under way goes on as it began.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

use crate::mechanism::{Mechanism, Mechanisms};
use crate::sys::{self, FileSystem};

/// As many as libuv has for files; disks have deeper queues, but page cache hits need no more than the cores.
const DISK_THREADS: usize = 4;

/// About 15 µs of a thread's time.
const INLINE_MAX: u64 = 64 * 1024;

static DISK_THREADS_NOW: AtomicUsize = AtomicUsize::new(DISK_THREADS);
static INLINE_MAX_NOW: AtomicU64 = AtomicU64::new(INLINE_MAX);
/// `usize::MAX`: what the system's limits suggest.
static PIPE_BUDGET_NOW: AtomicUsize = AtomicUsize::new(usize::MAX);
static SWITCHED_OFF: AtomicU8 = AtomicU8::new(0);
/// Whether a switch names a file system: else nobody need ask on which one a file lies.
static BY_FILE_SYSTEM: AtomicBool = AtomicBool::new(false);
static SWITCHES: RwLock<Vec<Switch>> = RwLock::new(Vec::new());

/// A mechanism that is not to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switch {
    /// Which. [`Mechanism::ReadWrite`] has no switch: it is forbidden by [`Request::fallback`](crate::Request).
    pub mechanism: Mechanism,
    /// Where the source or the sink is a regular file on such a file system; `None`: everywhere.
    pub file_system: Option<FileSystem>,
}

/// The most threads that may wait for disks at once. Default: 4.
#[must_use]
pub fn disk_threads() -> usize {
    DISK_THREADS_NOW.load(Ordering::Relaxed)
}

/// Sets [`disk_threads`], at least 1. Threads beyond a lowered limit end with the transfer's turn that they are in, or
/// that they are woken for next.
pub fn set_disk_threads(threads: usize) {
    DISK_THREADS_NOW.store(threads.max(1), Ordering::Relaxed);
}

/// The longest range of a file in memory that a caller should send on its own thread. Default: 64 KiB.
#[must_use]
pub fn inline_max() -> u64 {
    INLINE_MAX_NOW.load(Ordering::Relaxed)
}

/// Sets [`inline_max`], in bytes.
pub fn set_inline_max(bytes: u64) {
    INLINE_MAX_NOW.store(bytes, Ordering::Relaxed);
}

/// The bytes by which the pipes of relays may be grown beyond what they have at first, where that was set; by default a
/// quarter of what the user may have in pipes.
#[must_use]
pub fn pipe_budget() -> Option<usize> {
    Some(PIPE_BUDGET_NOW.load(Ordering::Relaxed)).filter(|bytes| *bytes != usize::MAX)
}

/// Sets [`pipe_budget`]. Pipes that have been grown stay so until they are closed.
pub fn set_pipe_budget(bytes: Option<usize>) {
    PIPE_BUDGET_NOW.store(bytes.unwrap_or(usize::MAX), Ordering::Relaxed);
}

/// The mechanisms that are switched off whatever the file system.
#[must_use]
pub fn switched_off() -> Mechanisms {
    Mechanisms::from_bits(SWITCHED_OFF.load(Ordering::Relaxed))
}

/// The mechanisms that are switched off on the file system of this file. Asks only where a switch names one.
#[must_use]
pub fn switched_off_on(file: impl AsFd) -> Mechanisms {
    if !BY_FILE_SYSTEM.load(Ordering::Relaxed) {
        return Mechanisms::NONE;
    }
    let Ok(file_system) = sys::file_system(file) else { return Mechanisms::NONE };
    switches()
        .into_iter()
        .filter(|switch| switch.file_system == Some(file_system))
        .map(|switch| switch.mechanism)
        .collect()
}

/// All that is switched off.
#[must_use]
pub fn switches() -> Vec<Switch> {
    SWITCHES.read().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Switches these off, and everything else on again.
pub fn set_switches(switches: Vec<Switch>) {
    let (everywhere, somewhere): (Vec<_>, Vec<_>) =
        switches.iter().partition::<Vec<&Switch>, _>(|switch| switch.file_system.is_none());
    let everywhere: Mechanisms = everywhere.into_iter().map(|switch| switch.mechanism).collect();
    let by_file_system = !somewhere.is_empty();
    *SWITCHES.write().unwrap_or_else(PoisonError::into_inner) = switches;
    SWITCHED_OFF.store(everywhere.bits(), Ordering::Relaxed);
    BY_FILE_SYSTEM.store(by_file_system, Ordering::Relaxed);
}
