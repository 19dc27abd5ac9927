//! Drives one task to its end on the calling thread.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use crate::endpoint::Endpoint;
use crate::kernel::Linux;
use crate::pool::Plumbing;
use crate::sys::{self, Events, Fd, PollFd, Quiet};
use crate::transfer::{
    Bridge, BridgeEnding, Cause, Ending, Failure, FanOut, FanOutEnding, FanOutRequest, Patience, Request,
    Side, Task, Transfer, Turn,
};

use super::take_turn;
use super::vigil::Vigil;

/// Moves everything from `source`, from where it stands, to `sink`, by the best means the kernel offers, and
/// returns when the last byte is accepted. Neither descriptor is closed, nor are its flags changed. A socket's
/// `SO_RCVTIMEO` and `SO_SNDTIMEO` are not heeded.
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

/// Relays between two connected stream sockets in both directions until both have ended, and passes on each end
/// when it comes; `idle_timeout`: or until nothing has moved for so long.
///
/// # Errors
/// Of ends that are not such sockets; how the directions ended is in the [`BridgeEnding`].
pub fn bridge(a: &impl AsFd, b: &impl AsFd, idle_timeout: Option<Duration>) -> Result<BridgeEnding, Failure> {
    let sockets = [endpoint(a, Side::Source)?, endpoint(b, Side::Sink)?];
    Ok(drive(Bridge::between(sockets, Default::default(), idle_timeout)?))
}

/// Gives all of `source` to each of `sinks`: by `tee(2)`, or read once where that is cheaper. The slowest sink sets the
/// pace; none holds up the others, except a blocking pipe that cannot be [opened anew](Endpoint::unblocked).
///
/// # Errors
/// Of ends that cannot be such; how it went is in the [`FanOutEnding`].
pub fn fan_out(
    source: &impl AsFd,
    sinks: &[&dyn AsFd],
    request: FanOutRequest,
) -> Result<FanOutEnding, Failure> {
    let source = endpoint(source, Side::Source)?;
    let sinks = sinks.iter().map(|sink| endpoint(sink, Side::Sink).map(Endpoint::unblocked));
    let sinks: Result<Vec<_>, _> = sinks.collect();
    Ok(drive(FanOut::new(source, sinks?, request).map_err(refused)?))
}

/// A fan-out that was not even made; the source is its end 0.
pub(super) fn refused((cause, end): (Cause, Option<usize>)) -> Failure {
    Failure::early(cause, end.map(|end| if end == 0 { Side::Source } else { Side::Sink }))
}

/// Gives a task its turns until it ends, waiting with `poll(2)` for the ends it names whenever it cannot go on.
///
/// What is known about pipes and sockets holds for as long as they are open, so many short transfers need ask but once:
///
/// ```
/// use std::os::fd::AsFd;
/// use std::sync::Arc;
/// use zcio::{Endpoint, Facts, Request, Transfer, drivers::blocking::drive};
/// # let (source, peer) = std::io::pipe()?;
/// # let (sink, other) = std::os::unix::net::UnixStream::pair()?;
/// # std::io::Write::write_all(&mut &peer, b"four bytes each.")?;
///
/// let known = (Arc::new(Facts::of(&source)?), Arc::new(Facts::of(&sink)?));
/// for _ in 0..4 {
///     let from = Endpoint::new(source.as_fd(), known.0.clone());
///     let to = Endpoint::new(sink.as_fd(), known.1.clone());
///     let four = Request { length: Some(4), ..Request::default() };
///     assert_eq!(drive(Transfer::new(from, to, four)?)?.bytes, 4);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn drive<'fd, T: Task<Linux<'fd>>>(mut task: T) -> T::Ending {
    let plumbing = Plumbing::default();
    let mut vigil = Vigil::default();
    let _quiet = Quiet::begin();
    loop {
        match take_turn(&mut task, &plumbing, Patience::Disk) {
            Turn::Again | Turn::Disk => {}
            Turn::Wait => {
                if let Err(errno) = wait(&mut vigil, &mut task) {
                    return task.give_up(&plumbing, Cause::System { errno, call: "poll" }, None);
                }
            }
            Turn::End(ending) => return ending,
        }
    }
}

/// Waits until an end that the task waits for is ready, or its deadline has passed, and tells it which.
fn wait<'fd, T: Task<Linux<'fd>>>(vigil: &mut Vigil, task: &mut T) -> sys::Result<()> {
    let ends: Vec<usize> = (0..task.ends()).filter(|end| !task.waits_for(*end).is_empty()).collect();
    let timeout = task.deadline().map(|at| at.saturating_duration_since(Instant::now()));
    let asked = |end: &usize| PollFd::new(task.handle_of(*end).as_fd(), task.waits_for(*end));
    let mut polled: Vec<PollFd<'_>> = ends.iter().map(asked).collect();
    vigil.wait(timeout, |timeout| sys::poll(&mut polled, timeout))?;
    let found: Vec<Events> = polled.iter().map(PollFd::events).collect();
    for (end, events) in ends.into_iter().zip(found) {
        if !events.is_empty() {
            task.notice(end, events);
        }
    }
    Ok(())
}

fn endpoint(fd: &impl AsFd, side: Side) -> Result<Endpoint<Fd<'_>>, Failure> {
    Endpoint::of(fd.as_fd()).map_err(|refusal| Failure::early(refusal.into(), Some(side)))
}
