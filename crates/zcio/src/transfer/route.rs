//! THE table: which mechanisms a pair of ends may use, in which order, and what rules one out beforehand.
//!
//! This is data. [`ladder`] gives the mechanisms for a pair of kinds, best first; [`RULES`] name the conditions of
//! flags and options under which a rung is known not to fit, so that nobody has to ask the kernel; [`REASONS`] say for
//! people what a rung does and what it depends on. What only the kernel can tell (different file systems, no such call)
//! is left to it: a refused call costs a fraction of a microsecond and cannot be out of date. [`demotes`] lists the
//! refusals that lead to the next rung. A fan-out has one ladder, `tee(2)` and splice before read and write, and
//! [`FAN_OUT_RULES`] of its own.

use crate::endpoint::{Facts, Kind};
use crate::mechanism::Mechanisms;
use crate::sys::Errno;

use super::Request;
use super::outcome::Mechanism::{self, CopyFileRange, ReadWrite, Reflink, Sendfile, Splice};

/// The mechanisms for a pair of kinds, best first. The last of a ladder can move anything that can be read.
#[must_use]
pub const fn ladder(source: Kind, sink: Kind) -> &'static [Mechanism] {
    match (source, sink) {
        (Kind::File, Kind::File) => &[Reflink, CopyFileRange, Sendfile, Splice, ReadWrite],
        (Kind::File, Kind::Pipe) => &[Splice, ReadWrite],
        (Kind::File, _) => &[Sendfile, ReadWrite],
        _ => &[Splice, ReadWrite],
    }
}

/// Two ends and what is wanted of them: all that a rule may look at.
#[derive(Debug, Clone, Copy)]
pub struct Pair<'a> {
    /// Where bytes come from.
    pub source: &'a Facts,
    /// Where they go.
    pub sink: &'a Facts,
    /// What was asked for.
    pub request: &'a Request,
}

/// A condition that rules mechanisms out before anything is called.
pub struct Rule {
    /// Its name in [`Fallback`](super::Fallback).
    pub code: &'static str,
    /// The same for people.
    pub reason: &'static str,
    /// What it rules out.
    pub excludes: &'static [Mechanism],
    /// When.
    pub applies: fn(Mechanism, Pair<'_>) -> bool,
}

/// The most that is not worth relaying through a pipe.
const SHORT: u64 = 16 << 10;

/// The conditions, in the order in which they are named.
pub const RULES: &[Rule] = &[
    Rule {
        code: "SNAPSHOT",
        reason: "pages sent by reference would show later writes to the file",
        excludes: &[Sendfile, Splice],
        applies: |_, pair| {
            pair.request.snapshot && pair.source.kind == Kind::File && pair.sink.kind != Kind::File
        },
    },
    Rule {
        code: "O_APPEND",
        reason: "the kernel refuses a sink opened with O_APPEND",
        excludes: &[Reflink, CopyFileRange, Sendfile, Splice],
        applies: |_, pair| pair.sink.append && pair.sink.kind != Kind::Pipe,
    },
    Rule {
        code: "O_DIRECT",
        reason: "a file opened with O_DIRECT has no pages to pass on",
        excludes: &[Sendfile, Splice],
        applies: |_, pair| pair.source.direct || pair.sink.direct,
    },
    Rule {
        code: "RANGE",
        reason: "only a whole file can be cloned, into an empty one",
        excludes: &[Reflink],
        applies: |_, pair| !clones_whole(pair),
    },
    Rule {
        code: "SINK_START",
        reason: "sendfile(2) writes a file at its own position, not at an offset",
        excludes: &[Sendfile],
        applies: |_, pair| pair.request.sink_start.is_some(),
    },
    Rule {
        code: "BLOCKING_SOCKET",
        reason: "sendfile(2) and splice(2) on a socket without O_NONBLOCK would hold up their thread",
        excludes: &[Sendfile, Splice],
        applies: |_, pair| pair.request.asynchronous && (pair.source.can_block() || pair.sink.can_block()),
    },
    // A blocking transfer of 4 KiB between two sockets: 7 µs less by read and write, of 64 KiB as much either way. In a
    // reactor, which keeps pipes, both cost the same up to this length.
    Rule {
        code: "SHORT",
        reason: "no more than 16 KiB are asked for, and no end is a pipe: to copy them costs less than to find a pipe, \
                 fill it and empty it",
        excludes: &[Splice],
        applies: |_, pair| {
            let is_short = pair.request.length.is_some_and(|length| length <= SHORT);
            is_short && pair.request.fallback && !has_pipe(pair.source, pair.sink)
        },
    },
    Rule {
        code: "SWITCHED_OFF",
        reason: "it has been switched off: for this transfer, for the process, or for the file system of an end",
        excludes: &[Reflink, CopyFileRange, Sendfile, Splice],
        applies: |mechanism, pair| {
            let switches = [pair.request.switched_off, pair.source.switched_off, pair.sink.switched_off];
            switches.iter().any(|switched_off| switched_off.contains(mechanism))
        },
    },
];

/// The ends of a fan-out: all that a rule about it may look at.
#[derive(Debug, Clone, Copy)]
pub struct Fan<'a> {
    /// Where bytes come from.
    pub source: &'a Facts,
    /// Where they go.
    pub sinks: &'a [&'a Facts],
    /// What the configuration switches off.
    pub switched_off: Mechanisms,
}

/// A condition under which a fan-out reads once and writes to every sink, instead of duplicating references to pages.
pub struct FanOutRule {
    /// Its name in [`Fallback`](super::Fallback).
    pub code: &'static str,
    /// The same for people.
    pub reason: &'static str,
    /// When.
    pub applies: fn(Fan<'_>) -> bool,
}

/// The conditions, in the order in which they are named.
pub const FAN_OUT_RULES: &[FanOutRule] = &[
    FanOutRule {
        code: "SWITCHED_OFF",
        reason: "splice has been switched off: for the process, or for the file system of an end",
        applies: |fan| {
            let mut ends = fan.sinks.iter().copied().chain([fan.source]);
            fan.switched_off.contains(Splice) || ends.any(|end| end.switched_off.contains(Splice))
        },
    },
    // CPU of sender and receivers, on one machine. 512 MiB in all to 2 TCP sockets: 735 ms by tee, 545 by read and
    // write; to 16: 450 to 560 and 360 to 410. To 16 files as much, in a fifth less time. But 128 MiB to 16 pipes: 50 ms
    // by tee, 135 by read and write.
    FanOutRule {
        code: "FEW_PIPES",
        reason: "to more than one sink, of which fewer than half are pipes: sockets carry the references one page at a \
                 time, which costs the receiver more than the copy costs the sender, and files copy anyway",
        applies: |fan| {
            let pipes = fan.sinks.iter().filter(|sink| sink.kind == Kind::Pipe).count();
            fan.sinks.len() > 1 && pipes * 2 < fan.sinks.len()
        },
    },
    FanOutRule {
        code: "BLOCKING_SOCKET",
        reason: "splice(2) to a socket without O_NONBLOCK would hold up the other sinks",
        applies: |fan| fan.sinks.iter().any(|sink| sink.kind == Kind::Socket && sink.can_block()),
    },
];

/// The rule by which a fan-out between these ends copies from the start, if there is one.
#[must_use]
pub fn copies(fan: Fan<'_>) -> Option<&'static FanOutRule> {
    FAN_OUT_RULES.iter().find(|rule| (rule.applies)(fan))
}

/// What a mechanism does between two ends, and what that depends on.
pub struct Reason {
    /// Which.
    pub mechanism: Mechanism,
    /// For people.
    pub reason: &'static str,
    /// Between which ends.
    pub applies: fn(Pair<'_>) -> bool,
}

/// What rungs do; of a mechanism the first that applies, and the last of each always does.
pub const REASONS: &[Reason] = &[
    Reason {
        mechanism: Reflink,
        reason: "the files are on different devices, where only subvolumes of one file system can share blocks: else \
                 the kernel refuses with EXDEV",
        applies: are_on_different_devices,
    },
    Reason {
        mechanism: Reflink,
        reason: "the files share their blocks until one is written, if their file system can (btrfs, xfs): else the \
                 kernel refuses with ENOTSUP",
        applies: |_| true,
    },
    Reason {
        mechanism: CopyFileRange,
        reason: "the files are on different devices, between which the kernel copies only within one file system: \
                 else it refuses with EXDEV",
        applies: are_on_different_devices,
    },
    Reason {
        mechanism: CopyFileRange,
        reason: "the file system copies inside the kernel, shares blocks, or has its server copy; the kernel refuses \
                 where it cannot",
        applies: |_| true,
    },
    Reason {
        mechanism: Sendfile,
        reason: "the kernel copies from the source's pages to the sink's, never through user space",
        applies: |pair| pair.sink.kind == Kind::File,
    },
    Reason {
        mechanism: Sendfile,
        reason: "the file's pages go to the sink by reference, if its file system can: else the kernel refuses with \
                 EINVAL",
        applies: |_| true,
    },
    Reason {
        mechanism: Splice,
        reason: "an end is a pipe: one call moves pages by reference, if the other end can: else the kernel refuses \
                 with EINVAL",
        applies: |pair| has_pipe(pair.source, pair.sink),
    },
    Reason {
        mechanism: Splice,
        reason: "pages go by reference through a pipe of the engine's, if both ends can and a pipe is to be had: else \
                 the kernel refuses with EINVAL, EMFILE or ENOBUFS",
        applies: |_| true,
    },
    Reason {
        mechanism: ReadWrite,
        reason: "copies through user space; moves anything that can be read and written",
        applies: |_| true,
    },
];

/// Whether splice needs no pipe of the engine's.
pub(super) fn has_pipe(source: &Facts, sink: &Facts) -> bool {
    [source.kind, sink.kind].contains(&Kind::Pipe)
}

fn are_on_different_devices(pair: Pair<'_>) -> bool {
    pair.source.identity.device != pair.sink.identity.device
}

/// What this mechanism does between these ends.
#[must_use]
pub fn reason(mechanism: Mechanism, pair: Pair<'_>) -> &'static str {
    let fits = |entry: &&Reason| entry.mechanism == mechanism && (entry.applies)(pair);
    REASONS.iter().find(fits).map_or("", |entry| entry.reason)
}

fn clones_whole(pair: Pair<'_>) -> bool {
    let Pair { source, sink, request } = pair;
    let starts_at_zero =
        request.start.unwrap_or(source.position) == 0 && request.sink_start.unwrap_or(sink.position) == 0;
    let to_the_end = request.length.is_none_or(|length| length >= source.size);
    starts_at_zero && to_the_end && source.size > 0 && sink.size == 0
}

/// The rule that keeps this pair from using `mechanism`, if there is one.
#[must_use]
pub fn ruled_out(mechanism: Mechanism, pair: Pair<'_>) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.excludes.contains(&mechanism) && (rule.applies)(mechanism, pair))
}

/// Whether an error of a mechanism means «not this way» rather than «not at all».
///
/// A genuine error is met again, and then reported, by read and write at the end of the ladder. `EBADF`: an
/// `O_APPEND` set midway; `EIO`, `EACCES`: `copy_file_range` on CIFS and on old Ceph; `EPERM`, `ENOSYS`: seccomp;
/// `ENOTTY`: a kernel without `FICLONERANGE`, such as gVisor's; `ETXTBSY`: a swap file.
#[must_use]
pub fn demotes(errno: Errno) -> bool {
    const REFUSALS: [Errno; 15] = [
        Errno::INVAL,
        Errno::NOSYS,
        Errno::OPNOTSUPP,
        Errno::XDEV,
        Errno::PERM,
        Errno::BADF,
        Errno::IO,
        Errno::ACCES,
        Errno::NOTSOCK,
        Errno::NOTTY,
        Errno::OVERFLOW,
        Errno::TXTBSY,
        // No pipe to be had for a relay.
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOBUFS,
    ];
    REFUSALS.contains(&errno)
}
