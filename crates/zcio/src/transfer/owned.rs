//! A transfer for a driver that outlives its caller: by descriptors of its own.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::kernel::Linux;
use crate::pool::Plumbing;
use crate::sys::{self, Fd};

use super::Transfer;
use super::outcome::{Cause, Failure, Side};
use super::relay::Relay;

impl Transfer<Linux<'_>> {
    /// Makes it independent of the descriptors it has borrowed, by duplicating them.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`; the transfer has then been stopped.
    pub fn into_owned(mut self) -> Result<Transfer<Linux<'static>>, Failure> {
        match self.own_handles() {
            Ok((source, sink, relay)) => {
                let Self { flow, descent, waiting, was_cold, running } = self;
                let flow = flow.with_handles(source.into(), sink.into(), relay);
                Ok(Transfer { flow, descent, waiting, was_cold, running })
            }
            Err(errno) => {
                let cause = Cause::System { errno, call: "fcntl" };
                Err(self.stop(&Plumbing::default(), cause, None))
            }
        }
    }

    fn own_handles(&mut self) -> sys::Result<(Arc<OwnedFd>, Arc<OwnedFd>, Relay<Fd<'static>>)> {
        let share = |side| match self.handle(side) {
            Fd::Shared(fd) => Ok(Arc::clone(fd)),
            fd => sys::duplicate(fd).map(Arc::new),
        };
        let (source, sink) = (share(Side::Source)?, share(Side::Sink)?);
        Ok((source, sink, std::mem::take(&mut self.flow.sink.relay).map(Fd::into_shared)?))
    }
}
