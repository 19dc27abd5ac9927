//! How a fan-out ends: what every sink has, what became of each, and what goes back.

use std::fmt;
use std::panic::{self, AssertUnwindSafe};

use crate::endpoint::Kind;
use crate::kernel::Kernel;
use crate::pool::Plumbing;
use crate::stats;

use super::super::outcome::{Cause, Fallback, Mechanism};
use super::FanOut;
use super::branch::Branch;

/// How a fan-out ended.
#[derive(Debug)]
pub struct FanOutEnding {
    /// Bytes taken from the source and accepted by every sink, but for those that it went on without.
    pub bytes: u64,
    /// What became of each sink, in the order in which they were given.
    pub sinks: Vec<SinkEnding>,
    /// Why it ended before the end of the source, and which end is to blame: 0 the source, then the sinks.
    pub failure: Option<(Cause, Option<usize>)>,
    /// Why bytes were copied, where they were.
    pub fallbacks: Vec<Fallback>,
    /// Bytes taken from a source that cannot be read again which one of these sinks has not accepted.
    pub residual: Vec<u8>,
}

/// What became of one sink.
#[derive(Debug, Clone, Copy)]
pub struct SinkEnding {
    /// Bytes that it accepted.
    pub bytes: u64,
    /// How they came to it.
    pub mechanism: Mechanism,
    /// Why it was left out.
    pub failure: Option<Cause>,
}

/// Who is told of a sink that the others go on without.
#[derive(Default)]
pub(super) struct Listener(Option<Box<dyn FnMut(usize, SinkEnding) + Send>>);

impl Listener {
    pub(super) fn tell(&mut self, sink: usize, ending: SinkEnding) {
        if let Some(listener) = &mut self.0 {
            // It must not take along the thread, which may carry out more than this, nor the other sinks.
            drop(panic::catch_unwind(AssertUnwindSafe(|| listener(sink, ending))));
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Listener").field(&self.0.is_some()).finish()
    }
}

impl<K: Kernel> FanOut<K> {
    /// The same with a listener, who is told at once of a sink, numbered from 0, that the others go on without: its
    /// owner may have long to wait for the end. Told on the thread that carries the fan-out out, which must not wait;
    /// a panic in it ends there, reported by the panic hook.
    #[must_use]
    pub fn on_leave(mut self, listener: impl FnMut(usize, SinkEnding) + Send + 'static) -> Self {
        self.on_leave = Listener(Some(Box::new(listener)));
        self
    }

    /// Bytes that every sink has accepted, but for those that were left out.
    pub(super) fn bytes(&self) -> u64 {
        let behind = self.branches.iter().map(Branch::pending).max();
        self.taken - behind.unwrap_or(0) as u64
    }

    pub(super) fn end(
        &mut self,
        plumbing: &Plumbing<K>,
        failure: Option<(Cause, Option<usize>)>,
    ) -> FanOutEnding {
        if failure.is_none() {
            self.running.complete();
        }
        if let Some(code) = self.copies {
            stats::count_fallback(code);
        }
        let bytes = self.bytes();
        let residual = self.take_back(plumbing);
        let fallback = |code| Fallback { mechanism: Mechanism::Splice, code };
        FanOutEnding {
            bytes,
            sinks: self.branches.iter().map(Branch::ending).collect(),
            failure,
            fallbacks: self.copies.map(fallback).into_iter().collect(),
            residual,
        }
    }

    /// What the slowest sink has not accepted is more than what any other has not.
    fn take_back(&mut self, plumbing: &Plumbing<K>) -> Vec<u8> {
        let slowest = self.branches.iter_mut().max_by_key(|branch| branch.pending());
        let mut pending =
            slowest.map_or_else(Vec::new, |branch| branch.take(plumbing, self.shared.pending()));
        pending.append(&mut self.beyond);
        if pending.is_empty() || self.source_offset.is_some() {
            return Vec::new();
        }
        let distance = -(pending.len().cast_signed() as i64);
        let seekable = self.source.facts.kind == Kind::File;
        let stepped_back = seekable && plumbing.kernel.seek_by(&self.source.handle, distance).is_ok();
        if stepped_back { Vec::new() } else { pending }
    }
}
