//! One round of a fan-out: what the source gives now, handed out to every sink.

use crate::endpoint::{Endpoint, Kind};
use crate::kernel::Kernel;
use crate::pool::Plumbing;
use crate::sys::Errno;

use super::super::flow::Move;
use super::super::{buffered, relay, residency};
use super::FanOut;
use super::branch::Branch;

/// The most that one round takes by tee, what a pipe holds that has not been grown; and the first that is copied.
const ROUND: usize = 64 * 1024;

/// The most that is copied in one round: twice or four times as much costs who sends to 16 sockets no less, and has the
/// receivers read from memory what less leaves in the processor's caches, 3 % of their time.
const COPIED_ROUND: usize = 256 * 1024;

/// The most that one round hands out to all sinks together: while it does, the thread is nobody else's.
const HANDED_OUT: usize = 16 << 20;

/// A pipe had fewer slots than the one that was to be duplicated into it.
const SHORT_TEE: &str = "SHORT_TEE";

impl<K: Kernel> FanOut<K> {
    /// Takes what the source gives now, and hands it out to the sinks.
    pub(super) fn fill(&mut self, plumbing: &Plumbing<K>) -> Move {
        let Some(last) = self.branches.iter().rposition(Branch::is_alive) else { return Move::Nothing };
        let most = self.next_round();
        let source = (&self.source, &mut self.source_offset);
        let relay = &mut self.branches[last].sink.relay;
        let filled = if self.copies.is_none() {
            relay::fill(plumbing, source, relay, most)
        } else {
            buffered::fill(&plumbing.kernel, source, &mut self.shared, most)
        };
        if !matches!(filled, Move::Taken) {
            return filled;
        }
        let held = self.branches[last].sink.relay.held();
        let taken = if held > 0 { held } else { self.shared.pending().len() };
        self.taken += taken as u64;
        self.last_round = taken;
        if let Some(remaining) = &mut self.remaining {
            *remaining -= taken as u64;
        }
        if held == 0 {
            self.hand_out_copy();
        } else if let Err(code) = self.hand_out(plumbing, last, held) {
            self.copy(plumbing, last, code);
        }
        Move::Bytes(taken as u64)
    }

    /// How much the next round takes at most. A source has to fill a small round before it is given a large one: there
    /// is memory for no more than it brings.
    fn next_round(&self) -> usize {
        let most = if self.copies.is_some() && self.last_round >= ROUND {
            (HANDED_OUT / self.branches.len()).clamp(ROUND, COPIED_ROUND)
        } else {
            ROUND
        };
        self.remaining.map_or(most, |remaining| usize::try_from(remaining).unwrap_or(most).min(most))
    }

    /// Duplicates what the last sink's pipe holds into one for each other.
    fn hand_out(&mut self, plumbing: &Plumbing<K>, last: usize, held: usize) -> Result<(), &'static str> {
        let Plumbing { kernel, pipes } = plumbing;
        let (others, rest) = self.branches.split_at_mut(last);
        let Some(full) = rest[0].sink.relay.conduit() else { return Err("EMPTY") };
        for branch in others.iter_mut().filter(|branch| branch.is_alive()) {
            let mut conduit = pipes.lend(kernel).map_err(Errno::name)?;
            if conduit.capacity < full.capacity {
                pipes.grow(kernel, &mut conduit);
            }
            match kernel.tee(&full.reader, &conduit.writer, held) {
                Ok(bytes) if bytes == held => branch.sink.relay.hold(conduit, held),
                // The rest cannot be duplicated any more, since tee(2) always begins at the beginning.
                Ok(_) => return Err(SHORT_TEE),
                Err(errno) => return Err(errno.name()),
            }
        }
        Ok(())
    }

    /// Nothing of this round has gone out: reads it back, for every sink to be written. So are later rounds, unless it
    /// was just that a larger pipe held more than a smaller one can.
    fn copy(&mut self, plumbing: &Plumbing<K>, last: usize, code: &'static str) {
        if code != SHORT_TEE {
            self.copies = Some(code);
        }
        relay::pour_out(plumbing, &mut self.branches[last].sink);
        self.shared = std::mem::take(&mut self.branches[last].sink.carry);
        for branch in &mut self.branches[..last] {
            branch.sink.relay = relay::Relay::default();
        }
        self.hand_out_copy();
    }

    pub(super) fn hand_out_copy(&mut self) {
        let length = self.shared.pending().len();
        for branch in self.branches.iter_mut().filter(|branch| branch.is_alive()) {
            branch.behind = length;
        }
    }

    /// Whether the next fill can be made on a thread that must not wait for a disk.
    pub(super) fn source_is_ready(&self, kernel: &K) -> bool {
        let Endpoint { facts, .. } = &self.source;
        let position = self.source_offset.unwrap_or(facts.position + self.taken);
        let length = (self.next_round() as u64).min(facts.size.saturating_sub(position));
        facts.kind != Kind::File || residency::is_resident(kernel, &self.source, position, length)
    }
}
