//! Descriptors of JavaScript's as the ends of tasks: by what the kernel says of them, and, for tasks that outlive the
//! call, by duplicates.

use std::os::fd::AsFd;

use zcio::{Cause, Endpoint, Facts, Failure, Fd, Side};

use crate::convert::Descriptor;

/// An end as the reactor can use it, if it can.
pub fn end(descriptor: &Descriptor, side: Side) -> Result<Endpoint<Fd<'_>>, Failure> {
    let facts = facts(descriptor, side)?;
    Ok(Endpoint::new(descriptor.as_fd(), facts).unblocked())
}

/// An end of a fan-out, by a duplicate. One that could hold up the reactor is refused.
pub fn own_end(descriptor: &Descriptor, side: Side) -> Result<Endpoint<Fd<'static>>, Failure> {
    let Endpoint { handle, facts } = end(descriptor, side)?;
    if facts.can_block() {
        return Err(Failure::early(Cause::Blocking, Some(side)));
    }
    let handle = handle.into_shared();
    let handle = handle.map_err(|errno| Failure::early(Cause::System { errno, call: "fcntl" }, None))?;
    Ok(Endpoint::new(handle, facts))
}

/// An end of a bridge, by a duplicate.
pub fn own(socket: &Descriptor) -> Result<Endpoint<Fd<'static>>, Failure> {
    let handle = Fd::from(socket.as_fd()).into_shared();
    let handle = handle.map_err(|errno| Failure::early(Cause::System { errno, call: "fcntl" }, None))?;
    Ok(Endpoint::stream_socket(handle))
}

/// What a descriptor is, or why it cannot be this end.
fn facts(descriptor: &Descriptor, side: Side) -> Result<Facts, Failure> {
    Facts::of(descriptor).map_err(|refusal| Failure::early(refusal.into(), Some(side)))
}
