//! Who moves bytes through which pipe or socket: at most one task in each direction.

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use crate::endpoint::{Facts, Kind};
use crate::kernel::Linux;
use crate::sys::Interest;
use crate::transfer::{Side, Task};

/// The pipes and sockets that a job moves bytes through, each in one direction. Two transfers that read one pipe
/// would tear its bytes apart. Files are never claimed, nor what the caller told us instead of letting us ask.
#[derive(Debug, Default)]
pub(super) struct Claims(Box<[Claim]>);

type Claim = (u64, u64, Side);

impl Claims {
    pub(super) fn on<T: Task<Linux<'static>>>(task: &T) -> Option<Self> {
        let wanted: Box<[Claim]> = wanted_by(task).collect();
        let mut taken = taken();
        // The sinks of one fan-out could be the same pipe twice.
        let is_taken = |(index, claim)| taken.contains(claim) || wanted[..index].contains(claim);
        if wanted.iter().enumerate().any(is_taken) {
            return None;
        }
        taken.extend(&wanted);
        Some(Self(wanted))
    }

    /// Whether another job has what this task would claim.
    pub(super) fn are_taken<'fd, T: Task<Linux<'fd>>>(task: &T) -> bool {
        let taken = taken();
        wanted_by(task).any(|claim| taken.contains(&claim))
    }
}

fn wanted_by<'fd, T: Task<Linux<'fd>>>(task: &T) -> impl Iterator<Item = Claim> {
    let claims_of = move |end| {
        let directions = [(Interest::READABLE, Side::Source), (Interest::WRITABLE, Side::Sink)];
        let used = directions.into_iter().filter(move |(use_of, _)| task.interest(end).contains(*use_of));
        used.filter_map(move |(_, side)| claim(task.facts_of(end), side))
    };
    (0..task.ends()).flat_map(claims_of)
}

impl Drop for Claims {
    fn drop(&mut self) {
        let mut taken = taken();
        for claim in &self.0 {
            taken.remove(claim);
        }
    }
}

fn claim(facts: &Facts, side: Side) -> Option<Claim> {
    let exclusive = matches!(facts.kind, Kind::Pipe | Kind::Socket) && facts.identity.inode != 0;
    exclusive.then_some((facts.identity.device, facts.identity.inode, side))
}

fn taken() -> MutexGuard<'static, HashSet<Claim>> {
    static TAKEN: LazyLock<Mutex<HashSet<Claim>>> = LazyLock::new(Mutex::default);
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner)
}
