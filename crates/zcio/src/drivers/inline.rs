//! The calling thread as a driver that does not wait: what can be done at once is, and the rest is for another.

use crate::kernel::Linux;
use crate::pool::Plumbing;
use crate::sys::Quiet;
use crate::transfer::{Cause, Patience, Task, Turn};

use super::{reactor, take_turn};

/// Gives a task turns for as long as it can go on without waiting for anything, and returns how it ended, if it did.
/// One that goes on where the [`Reactor`](super::reactor::Reactor) is at work ends with [`Cause::Busy`]: it
/// would overtake.
pub fn attempt<'fd, T: Task<Linux<'fd>>>(task: &mut T) -> Option<T::Ending> {
    let plumbing = Plumbing::default();
    if reactor::is_busy(task) {
        return Some(task.give_up(&plumbing, Cause::Busy, None));
    }
    let _quiet = Quiet::begin();
    loop {
        match take_turn(task, &plumbing, Patience::None) {
            Turn::Again => {}
            Turn::Wait | Turn::Disk => return None,
            Turn::End(ending) => return Some(ending),
        }
    }
}
