//! Waiting for the ends of one task on the thread that drives it: awake for a moment, then asleep.
//!
//! A peer that keeps up makes room, or sends more, within microseconds; to fall asleep and be woken takes tens of them, most
//! of all in a virtual machine, where an idle core has to be woken first. A pipe holds 64 KiB, so that is paid again
//! and again: 16 MiB from a file into a pipe took 18 ms asleep and 1.1 ms awake. A peer that takes its time is waited
//! for asleep.

use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use crate::kernel::Linux;
use crate::sys::{self, Events, PollFd};
use crate::transfer::Task;

/// How long a wait goes on awake, at most: about what a sleep costs.
const AWAKE: Duration = Duration::from_micros(20);

/// A sleep so short, the time to wake included, would better have been spent awake.
const NAP: Duration = Duration::from_micros(100);

/// What the last wait has taught.
#[derive(Debug)]
pub struct Vigil {
    stays_awake: bool,
}

impl Default for Vigil {
    fn default() -> Self {
        Self { stays_awake: true }
    }
}

impl Vigil {
    /// Waits until an end that the task waits for is ready, or its deadline has passed, and tells it which.
    pub fn wait<'fd, T: Task<Linux<'fd>>>(&mut self, task: &mut T) -> sys::Result<()> {
        let ends: Vec<usize> = (0..task.ends()).filter(|end| task.waits_for(*end)).collect();
        let asked = |end: &usize| PollFd::new(task.handle_of(*end).as_fd(), task.interest(*end));
        let mut polled: Vec<PollFd<'_>> = ends.iter().map(asked).collect();
        self.poll(&mut polled, task.deadline())?;
        let found: Vec<Events> = polled.iter().map(PollFd::events).collect();
        for (end, events) in ends.into_iter().zip(found) {
            if !events.is_empty() {
                task.notice(end, events);
            }
        }
        Ok(())
    }

    fn poll(&mut self, ends: &mut [PollFd<'_>], deadline: Option<Instant>) -> sys::Result<()> {
        if self.stays_awake && poll_awake(ends)? {
            return Ok(());
        }
        let asleep = Instant::now();
        sys::poll(ends, deadline.map(|at| at.saturating_duration_since(asleep)))?;
        self.stays_awake = asleep.elapsed() < NAP;
        Ok(())
    }
}

/// Looks again and again, and lets others have the core in between; whether an end has become ready.
fn poll_awake(ends: &mut [PollFd<'_>]) -> sys::Result<bool> {
    let since = Instant::now();
    while since.elapsed() < AWAKE {
        if sys::poll(ends, Some(Duration::ZERO))? > 0 {
            return Ok(true);
        }
        thread::yield_now();
    }
    Ok(false)
}
