//! Waiting on a thread that has nothing else to do: awake for a moment, then asleep.
//!
//! A peer that keeps up makes room, or sends more, within microseconds; to fall asleep and be woken takes tens of them,
//! most of all in a virtual machine, where an idle core has to be woken first. A pipe holds 64 KiB, so that is paid
//! again and again: 16 MiB from a file into a pipe took 18 ms asleep and 1.1 ms awake. A peer that takes its time is
//! waited for asleep.

use std::thread;
use std::time::{Duration, Instant};

use crate::sys::Result;

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
    /// Waits for at most `timeout` with `poll`, which does so for as long as it is told, and says how much is ready.
    pub fn wait(
        &mut self,
        timeout: Option<Duration>,
        mut poll: impl FnMut(Option<Duration>) -> Result<usize>,
    ) -> Result<usize> {
        if timeout == Some(Duration::ZERO) {
            return poll(timeout);
        }
        if self.stays_awake {
            match awake(&mut poll) {
                Ok(0) => {}
                happened => return happened,
            }
        }
        let asleep = Instant::now();
        let happened = poll(timeout);
        self.stays_awake = asleep.elapsed() < NAP;
        happened
    }
}

/// Looks again and again, and lets others have the core in between.
fn awake(mut poll: impl FnMut(Option<Duration>) -> Result<usize>) -> Result<usize> {
    let since = Instant::now();
    while since.elapsed() < AWAKE {
        let happened = poll(Some(Duration::ZERO));
        if happened != Ok(0) {
            return happened;
        }
        thread::yield_now();
    }
    Ok(0)
}
