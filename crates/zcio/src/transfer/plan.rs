//! What a transfer would do, told beforehand: the rungs of its ladder, which are struck out, and why.
//!
//! Nothing is called and nothing is counted. What only the kernel can tell is not guessed: such a rung is listed as one
//! that would be tried, and its reason says what it depends on.

use crate::endpoint::Facts;

use super::outcome::{Failure, Mechanism};
use super::request::{Request, settle};
use super::route::{self, Pair};

/// A mechanism that fits two kinds of ends, and what becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rung {
    /// Which.
    pub mechanism: Mechanism,
    /// The name of the rule that strikes it out, as in [`Fallback`](super::Fallback); `None`: it would be tried, once
    /// all before it have been refused.
    pub refused: Option<&'static str>,
    /// Why it is struck out, or what it does and depends on.
    pub reason: &'static str,
}

/// The rungs of a transfer between two ends, in the order in which they would be tried.
///
/// # Errors
/// What [`Transfer::new`](super::Transfer::new) would refuse, but for a copy that was forbidden: that is a rung struck
/// out with the code `COPY_REQUIRED`.
pub fn plan(source: &Facts, sink: &Facts, request: Request) -> Result<Vec<Rung>, Failure> {
    let request = settle(source, sink, request)?;
    let pair = Pair { source, sink, request: &request };
    Ok(route::ladder(source.kind, sink.kind).iter().map(|&mechanism| rung(mechanism, pair)).collect())
}

fn rung(mechanism: Mechanism, pair: Pair<'_>) -> Rung {
    let (refused, reason) = match route::ruled_out(mechanism, pair) {
        Some(rule) => (Some(rule.code), rule.reason),
        None if mechanism == Mechanism::ReadWrite && !pair.request.fallback => {
            (Some("COPY_REQUIRED"), "a copy through user space is forbidden: fallback is off")
        }
        None => (None, route::reason(mechanism, pair)),
    };
    Rung { mechanism, refused, reason }
}
