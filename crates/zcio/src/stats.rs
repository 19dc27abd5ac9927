//! What the engine has done since the process started, and what it holds now: counters that nobody waits for.
//!
//! A count costs one uncontended atomic addition a system call; only a fallback takes a lock, once a transfer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::mechanism::Mechanism;

static STARTED: AtomicU64 = AtomicU64::new(0);
static COMPLETED: AtomicU64 = AtomicU64::new(0);
static FAILED: AtomicU64 = AtomicU64::new(0);
static BYTES: [AtomicU64; Mechanism::ALL.len()] = [const { AtomicU64::new(0) }; Mechanism::ALL.len()];
static FALLBACKS: Mutex<BTreeMap<&str, u64>> = Mutex::new(BTreeMap::new());

pub(crate) static PIPES: Gauge = Gauge::new();
pub(crate) static DISK_QUEUE: Gauge = Gauge::new();
pub(crate) static DISK_THREADS: Gauge = Gauge::new();

/// The counters of the process as they are at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// Transfers that have been made, two for a bridge. What could only fail and was refused is not among them; what
    /// the [`Reactor`](crate::Reactor) refused to carry out is, as failed.
    pub started: u64,
    /// Those of them that came to their end.
    pub completed: u64,
    /// Those that failed, were cancelled, or dropped.
    pub failed: u64,
    /// Bytes that sinks have accepted, by each mechanism, in the order of [`Mechanism::ALL`].
    pub bytes: [u64; Mechanism::ALL.len()],
    /// How often a mechanism did not run, by the [code](crate::Fallback) that says why.
    pub fallbacks: BTreeMap<&'static str, u64>,
    /// Pipes that relays have: with bytes in them, or kept for the next.
    pub pipes: u64,
    /// Jobs that wait for a thread that may wait for a disk, those under way not among them.
    pub disk_queue: u64,
    /// Threads that wait for disks.
    pub disk_threads: u64,
}

/// Reads all counters.
#[must_use]
pub fn stats() -> Stats {
    // What has ended is read before what has started, so that the one is never more than the other.
    let (completed, failed) = (COMPLETED.load(Ordering::Acquire), FAILED.load(Ordering::Acquire));
    Stats {
        started: STARTED.load(Ordering::Relaxed),
        completed,
        failed,
        bytes: BYTES.each_ref().map(|bytes| bytes.load(Ordering::Relaxed)),
        fallbacks: FALLBACKS.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        pipes: PIPES.now(),
        disk_queue: DISK_QUEUE.now(),
        disk_threads: DISK_THREADS.now(),
    }
}

/// Counts bytes that a sink has accepted.
pub(crate) fn count_bytes(mechanism: Mechanism, bytes: u64) {
    BYTES[mechanism as usize].fetch_add(bytes, Ordering::Relaxed);
}

/// Counts a mechanism that did not run.
pub(crate) fn count_fallback(code: &'static str) {
    *FALLBACKS.lock().unwrap_or_else(PoisonError::into_inner).entry(code).or_default() += 1;
}

/// Something of which there is more or less from moment to moment.
#[derive(Debug)]
pub(crate) struct Gauge(AtomicU64);

impl Gauge {
    const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// How much there is.
    pub fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// One more.
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One less.
    pub fn take(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A transfer under way, which counts as failed unless it [completes](Self::complete).
#[derive(Debug)]
pub(crate) struct Running {
    is_complete: bool,
}

impl Running {
    /// One more has started.
    pub fn start() -> Self {
        STARTED.fetch_add(1, Ordering::Relaxed);
        Self { is_complete: false }
    }

    /// It has come to its end.
    pub fn complete(&mut self) {
        self.is_complete = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let outcome = if self.is_complete { &COMPLETED } else { &FAILED };
        outcome.fetch_add(1, Ordering::Release);
    }
}
