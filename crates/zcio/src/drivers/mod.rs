//! What waits for a transfer, so that the transfer need not.
//!
//! A driver calls [`Transfer::advance`](crate::transfer::Transfer::advance) and waits for what it names: with
//! `poll(2)` on the caller's thread ([`blocking`]), on one thread for all transfers of the process ([`reactor`]), or
//! as a future on tokio (`tokio`, with the feature of that name); or not at all, where only what can be done at once is
//! wanted ([`inline`]). Drivers never choose a system call.

pub mod blocking;
pub mod inline;
pub mod reactor;
#[cfg(feature = "tokio")]
pub mod tokio;
mod vigil;

use crate::kernel::Linux;
use crate::pool::Plumbing;
use crate::sys;
use crate::transfer::{Patience, Task, Turn};

/// A turn on a thread of the application, where a sink that is gone must be an error in the result and not a signal.
fn take_turn<'fd, T: Task<Linux<'fd>> + ?Sized>(
    task: &mut T,
    plumbing: &Plumbing<Linux<'fd>>,
    patience: Patience,
) -> Turn<T::Ending> {
    sys::without_signals_if(|| {
        let turn = task.turn(plumbing, patience);
        let raised = task.may_have_raised(&turn);
        (turn, raised)
    })
}
