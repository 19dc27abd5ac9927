//! Where a transfer stands on its ladder of mechanisms, and when it goes on to the next.
//!
//! The [`route`] says which rungs there are and what rules one out; what refuses one is told by the moves. Each rung
//! that is passed over or given up is noted, with the reason.

use crate::mechanism::Mechanisms;
use crate::stats;

use super::Request;
use super::outcome::{Cause, Failure, Fallback, Mechanism};
use super::route::{self, Pair};

/// A transfer's way down its ladder.
#[derive(Debug)]
pub struct Descent {
    /// The present rung, and those beneath it.
    rungs: &'static [Mechanism],
    conditions: Conditions,
    /// Whether the present rung has moved anything: tells «not this way» from «no more».
    has_moved: bool,
    /// Attempts since the last byte that moved nothing although both ends were ready.
    idle_attempts: u8,
    fallbacks: Vec<Fallback>,
}

/// What of a request holds all along; its offsets and its length are where the flow has come to.
#[derive(Debug, Clone, Copy)]
struct Conditions {
    fallback: bool,
    snapshot: bool,
    asynchronous: bool,
    switched_off: Mechanisms,
}

/// More than any race explains.
const IDLE_ATTEMPTS: u8 = 16;

impl Descent {
    /// On the first rung for this pair that no rule excludes, unless that is a copy, and forbidden.
    pub fn begin(pair: Pair<'_>) -> Result<Self, Failure> {
        let Request { fallback, snapshot, asynchronous, switched_off, .. } = *pair.request;
        let mut descent = Self {
            rungs: route::ladder(pair.source.kind, pair.sink.kind),
            conditions: Conditions { fallback, snapshot, asynchronous, switched_off },
            has_moved: false,
            idle_attempts: 0,
            fallbacks: Vec::new(),
        };
        match descent.skip_ruled_out(pair) {
            Ok(()) => Ok(descent),
            Err(cause) => {
                let mut refusal = Failure::early(cause, None);
                refusal.outcome.fallbacks = descent.fallbacks;
                Err(refusal)
            }
        }
    }

    /// The present rung. The last is never left: there is nothing beneath it.
    pub const fn mechanism(&self) -> Mechanism {
        self.rungs[0]
    }

    /// The request as it was made, but for how far it has got.
    pub const fn request(&self, start: Option<u64>, sink_start: Option<u64>, length: Option<u64>) -> Request {
        let Conditions { fallback, snapshot, asynchronous, switched_off } = self.conditions;
        Request { start, sink_start, length, fallback, snapshot, asynchronous, switched_off }
    }

    /// Whether the driver must not be held up by an end.
    pub const fn is_asynchronous(&self) -> bool {
        self.conditions.asynchronous
    }

    /// Whether the present rung has moved anything.
    pub const fn has_moved(&self) -> bool {
        self.has_moved
    }

    /// Counts bytes that the present rung has moved.
    pub fn count(&mut self, bytes: u64) {
        stats::count_bytes(self.mechanism(), bytes);
        self.has_moved |= bytes > 0;
        self.idle_attempts = 0;
    }

    /// Both ends were ready and nothing moved: they may not agree on what ready is. Whether that has happened too
    /// often.
    pub const fn is_stuck(&mut self) -> bool {
        self.idle_attempts += 1;
        self.idle_attempts >= IDLE_ATTEMPTS
    }

    /// Gives up the present rung for the next that fits.
    pub fn demote(&mut self, pair: Pair<'_>, code: &'static str) -> Result<(), Cause> {
        self.fall_back(code);
        self.has_moved = false;
        self.skip_ruled_out(pair)
    }

    /// The mechanisms that did not run, and why.
    pub fn take_fallbacks(&mut self) -> Vec<Fallback> {
        std::mem::take(&mut self.fallbacks)
    }

    fn skip_ruled_out(&mut self, pair: Pair<'_>) -> Result<(), Cause> {
        while let Some(rule) = route::ruled_out(self.mechanism(), pair) {
            self.fall_back(rule.code);
        }
        let copies = self.mechanism() == Mechanism::ReadWrite;
        if copies && !self.conditions.fallback { Err(Cause::CopyRequired) } else { Ok(()) }
    }

    fn fall_back(&mut self, code: &'static str) {
        self.fallbacks.push(Fallback { mechanism: self.mechanism(), code });
        stats::count_fallback(code);
        if let [_, beneath @ ..] = self.rungs
            && !beneath.is_empty()
        {
            self.rungs = beneath;
        }
    }
}
