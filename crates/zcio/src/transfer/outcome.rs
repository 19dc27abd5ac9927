//! The words in which a transfer reports: where it stands, how bytes moved, why not otherwise, what is left over.

use std::fmt;

use crate::endpoint::Refusal;
pub use crate::mechanism::Mechanism;
use crate::sys::{self, Errno, Interest};

/// An end of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Where bytes come from.
    Source,
    /// Where they go.
    Sink,
}

impl Side {
    /// The word for it in errors.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Sink => "sink",
        }
    }

    /// What is waited for there.
    #[must_use]
    pub const fn interest(self) -> Interest {
        match self {
            Self::Source => Interest::READABLE,
            Self::Sink => Interest::WRITABLE,
        }
    }
}

/// A mechanism that did not run, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fallback {
    /// What was passed over or given up.
    pub mechanism: Mechanism,
    /// The kernel's error name (`EXDEV`), or the name of the condition that ruled it out (`SNAPSHOT`).
    pub code: &'static str,
}

/// What a transfer has done, whichever way it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Bytes that the sink accepted. Accepted by the kernel is not yet received by the peer.
    pub bytes: u64,
    /// How they moved: the last mechanism that ran.
    pub mechanism: Mechanism,
    /// The better ones that did not.
    pub fallbacks: Vec<Fallback>,
    /// Bytes taken from a source that cannot be read again and not accepted by the sink. After success: what of a
    /// [head](super::Transfer::with_head) lies beyond the request's length.
    pub residual: Vec<u8>,
}

impl Outcome {
    /// Of a transfer that was refused before anything moved.
    #[must_use]
    pub const fn nothing() -> Self {
        Self { bytes: 0, mechanism: Mechanism::ReadWrite, fallbacks: Vec::new(), residual: Vec::new() }
    }
}

/// Why a transfer ended before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A system call failed.
    System {
        /// What the kernel said.
        errno: Errno,
        /// The call it said it to.
        call: &'static str,
    },
    /// Only a copy through user space would have gone on, and the request forbade it.
    CopyRequired,
    /// Not two ends that bytes can be moved between; says why.
    Unsupported(&'static str),
    /// The descriptor lacks `O_NONBLOCK`, and waiting inside a call on it would hold up the driver's thread.
    Blocking,
    /// Another transfer moves bytes through the same pipe or socket in the same direction.
    Busy,
    /// It was told to stop.
    Canceled,
    /// Nothing had moved for as long as it was to wait.
    TimedOut,
}

impl From<Refusal> for Cause {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::System { errno, call } => Self::System { errno, call },
            Refusal::Unsupported(what) => Self::Unsupported(what),
        }
    }
}

/// A transfer that ended before its end: why, on which side, and what had been done by then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Why.
    pub cause: Cause,
    /// Which end it came from; `None` where the call does not tell, or neither is to blame.
    pub side: Option<Side>,
    /// What had been moved, and what was taken from the source but not moved.
    pub outcome: Outcome,
}

impl Failure {
    /// A refusal before anything has moved.
    #[must_use]
    pub const fn early(cause: Cause, side: Option<Side>) -> Self {
        Self { cause, side, outcome: Outcome::nothing() }
    }

    /// The kernel's error, or the one that comes nearest.
    #[must_use]
    pub const fn errno(&self) -> Errno {
        match self.cause {
            Cause::System { errno, .. } => errno,
            Cause::CopyRequired | Cause::Unsupported(_) | Cause::Blocking => Errno::OPNOTSUPP,
            Cause::Busy => Errno::BUSY,
            Cause::Canceled => Errno::CANCELED,
            Cause::TimedOut => Errno::TIMEDOUT,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cause {
            Cause::System { errno, call } => write!(f, "{errno}, {call}")?,
            Cause::CopyRequired => f.write_str("only a copy through user space can move these bytes")?,
            Cause::Unsupported(why) => write!(f, "unsupported: {why}")?,
            Cause::Blocking => {
                f.write_str("a descriptor without O_NONBLOCK would block the thread that serves all")?;
            }
            Cause::Busy => f.write_str("another transfer is using this pipe or socket")?,
            Cause::Canceled => f.write_str("canceled")?,
            Cause::TimedOut => f.write_str("nothing has moved for too long")?,
        }
        write!(f, " (after {} bytes)", self.outcome.bytes)
    }
}

impl std::error::Error for Failure {}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::early(refusal.into(), None)
    }
}

impl From<Failure> for std::io::Error {
    fn from(failure: Failure) -> Self {
        let kind = match failure.cause {
            Cause::System { errno, .. } => Self::from(errno).kind(),
            Cause::CopyRequired | Cause::Unsupported(_) | Cause::Blocking => std::io::ErrorKind::Unsupported,
            Cause::Busy => std::io::ErrorKind::ResourceBusy,
            Cause::Canceled => std::io::ErrorKind::Interrupted,
            Cause::TimedOut => std::io::ErrorKind::TimedOut,
        };
        Self::new(kind, failure)
    }
}

/// How a transfer ended.
pub type Ending = Result<Outcome, Failure>;

/// Where a transfer stands after [`advance`](super::Transfer::advance).
#[derive(Debug)]
pub enum Step {
    /// It has used up its turn and could go on at once; others may want theirs.
    Again,
    /// It can go on when this end is readable (source) or writable (sink).
    Wait(Side),
    /// The next call may wait for a disk, which this driver said it will not.
    Disk,
    /// It is over. There is nothing left to call.
    End(Ending),
}

/// What the calling thread is willing to wait for inside one system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Nothing: an event loop, Node's or ours.
    None,
    /// A disk: a worker of the disk pool, or a thread that belongs to the transfer.
    Disk,
}

/// Of an ending: as [`sys::may_raise`] of the call that it came from.
pub(super) fn may_raise(asked: usize, ending: &Result<usize, Failure>) -> bool {
    let result = match ending {
        Ok(moved) => Ok(*moved),
        Err(Failure { cause: Cause::System { errno, .. }, .. }) => Err(*errno),
        Err(_) => return false,
    };
    sys::may_raise(asked, result)
}
