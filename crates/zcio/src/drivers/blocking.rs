//! Drives one transfer to its end on the calling thread.

use std::os::fd::AsFd;

use crate::endpoint::{Endpoint, Facts};
use crate::kernel::{Kernel, Linux};
use crate::pool::Plumbing;
use crate::sys::{self, Fd};
use crate::transfer::{Cause, Ending, Failure, Patience, Request, Side, Step, Transfer};

/// Moves everything from `source`, from where it stands, to `sink`, by the best means the kernel offers, and
/// returns when the last byte is accepted. Neither descriptor is closed, nor are its flags changed.
///
/// # Errors
/// See [`Failure`]: it says how much had moved and holds what had been taken and not been moved.
pub fn transfer(source: &impl AsFd, sink: &impl AsFd) -> Ending {
    transfer_with(source, sink, Request::default())
}

/// The same with options.
///
/// # Errors
/// See [`Failure`].
pub fn transfer_with(source: &impl AsFd, sink: &impl AsFd, request: Request) -> Ending {
    let source = endpoint(source, Side::Source)?;
    let sink = endpoint(sink, Side::Sink)?;
    drive(Transfer::new(source, sink, request)?)
}

/// Advances a transfer until it ends, waiting for either end with `poll(2)` whenever it is not ready.
///
/// # Errors
/// See [`Failure`].
pub fn drive(mut transfer: Transfer<Linux<'_>>) -> Ending {
    let plumbing = Plumbing::default();
    loop {
        // A sink that is gone must be an error in the result, not a signal in the caller's process.
        match sys::without_signals(|| transfer.advance(&plumbing, Patience::Disk)) {
            Step::Again | Step::Disk => {}
            Step::Wait(side) => {
                if let Err((errno, call)) = wait(&transfer, side) {
                    return Err(transfer.stop(&plumbing, Cause::System { errno, call }, Some(side)));
                }
            }
            Step::End(ending) => return ending,
        }
    }
}

fn wait(transfer: &Transfer<Linux<'_>>, side: Side) -> Result<(), (sys::Errno, &'static str)> {
    let handle: &<Linux as Kernel>::Handle = transfer.handle(side);
    let ready = match side {
        Side::Source => sys::wait_readable(handle, None),
        Side::Sink => sys::wait_writable(handle, None),
    };
    ready.map(drop).map_err(|errno| (errno, "poll"))
}

fn endpoint(fd: &impl AsFd, side: Side) -> Result<Endpoint<Fd<'_>>, Failure> {
    let facts = Facts::of(fd).map_err(|refusal| Failure::early(refusal.into(), Some(side)))?;
    Ok(Endpoint { handle: Fd::Borrowed(fd.as_fd()), facts })
}
