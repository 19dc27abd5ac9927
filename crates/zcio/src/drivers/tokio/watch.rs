//! What wakes a task on tokio: the ends that it waits for, registered with the runtime's epoll, and its deadline.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::unix::AsyncFd;
use tokio::time::{Sleep, sleep_until};

use crate::kernel::Linux;
use crate::sys::{self, Errno, Events, Fd, Interest};
use crate::transfer::{Cause, Task};

use super::SHUT_DOWN;

/// What wakes a task that waits.
#[derive(Default)]
pub(super) struct Watch {
    /// By the number of the end, each from when it was first waited for.
    ends: Vec<Option<End>>,
    timer: Option<Pin<Box<Sleep>>>,
}

enum End {
    Watched(AsyncFd<Arc<OwnedFd>>),
    /// What epoll does not take: a file, /dev/null.
    AlwaysReady,
}

impl Watch {
    /// Ready when an end that the task waits for is, or its deadline has passed; tells it which. The error is the
    /// end that cannot be waited for, and why.
    pub(super) fn poll<E>(
        &mut self,
        task: &mut (dyn Task<Linux<'static>, Ending = E> + Send),
        context: &mut Context<'_>,
    ) -> Poll<Result<(), (Cause, Option<usize>)>> {
        let mut any = self.poll_timer(task.deadline(), context).is_ready();
        self.ends.resize_with(task.ends(), || None);
        for (number, end) in self.ends.iter_mut().enumerate() {
            let wanted = task.waits_for(number);
            if wanted.is_empty() {
                continue;
            }
            let watched = match end {
                Some(watched) => watched,
                None => match register(task.handle_of(number), task.interest(number)) {
                    Ok(watched) => end.insert(watched),
                    Err(cause) => return Poll::Ready(Err((cause, Some(number)))),
                },
            };
            match watched.poll(wanted, context) {
                Ok(events) if events.is_empty() => {}
                Ok(events) => {
                    task.notice(number, events);
                    any = true;
                }
                Err(_) => return Poll::Ready(Err((SHUT_DOWN, None))),
            }
        }
        if any { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// The deadline of a busy task moves all the time; the timer follows when it has run out, unless it is to be
    /// sooner.
    fn poll_timer(&mut self, deadline: Option<Instant>, context: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = deadline else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline.into())));
        if timer.deadline() > deadline.into() {
            timer.as_mut().reset(deadline.into());
        }
        ready!(timer.as_mut().poll(context));
        timer.as_mut().reset(deadline.into());
        timer.as_mut().poll(context)
    }
}

impl End {
    /// What has happened since it was last asked, which is thereby forgotten: like an edge of epoll it is reported
    /// once. Nothing is missed by that, since a task waits for an end only after a call has found it not ready.
    fn poll(&self, interest: Interest, context: &mut Context<'_>) -> io::Result<Events> {
        let Self::Watched(fd) = self else { return Ok(Events::IN | Events::OUT) };
        let mut events = Events::empty();
        if interest.contains(Interest::READABLE)
            && let Poll::Ready(guard) = fd.poll_read_ready(context)
        {
            guard?.clear_ready();
            events |= Events::IN;
        }
        if interest.contains(Interest::WRITABLE)
            && let Poll::Ready(guard) = fd.poll_write_ready(context)
        {
            guard?.clear_ready();
            events |= Events::OUT;
        }
        Ok(events)
    }
}

fn register(handle: &Fd<'static>, interest: Interest) -> Result<End, Cause> {
    let failed = |errno| Cause::System { errno, call: "epoll_ctl" };
    let anew = || sys::duplicate(handle).map(Arc::new).map_err(failed);
    let fd = if let Fd::Shared(fd) = handle { Arc::clone(fd) } else { anew()? };
    let refused = match watch(fd, interest) {
        // Another task of this runtime waits with the same descriptor: epoll takes each once.
        Err(error) if errno(&error) == Some(Errno::EXIST) => watch(anew()?, interest),
        watched => watched,
    };
    match refused {
        Ok(watched) => Ok(End::Watched(watched)),
        Err(error) => match errno(&error) {
            Some(Errno::PERM) => Ok(End::AlwaysReady),
            Some(errno) => Err(failed(errno)),
            None => Err(SHUT_DOWN),
        },
    }
}

#[allow(deprecated, reason = "what takes its place is unsafe: it asks for what an OwnedFd gives")]
fn watch(fd: Arc<OwnedFd>, interest: Interest) -> io::Result<AsyncFd<Arc<OwnedFd>>> {
    AsyncFd::with_interest(
        fd,
        match (interest.contains(Interest::READABLE), interest.contains(Interest::WRITABLE)) {
            (true, false) => tokio::io::Interest::READABLE,
            (false, _) => tokio::io::Interest::WRITABLE,
            (true, true) => tokio::io::Interest::READABLE | tokio::io::Interest::WRITABLE,
        },
    )
}

fn errno(error: &io::Error) -> Option<Errno> {
    error.raw_os_error().map(Errno::from_raw)
}
