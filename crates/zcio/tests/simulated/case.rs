//! What is drawn at random: two ends, a request, and the kernel's answers.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use proptest::option;
use proptest::prelude::*;
use zcio::endpoint::Identity;
use zcio::sys::Result;
use zcio::{Endpoint, Errno, Facts, Failure, Kind, Mechanism, Request, Side, Transfer};

use crate::ends::{Answer, End, Handle};
use crate::kernel::Simulated;
use crate::ring::Rings;

/// Long enough for several buffers of read and write.
const LONGEST: usize = 400_000;

#[derive(Debug, Clone)]
pub struct Case {
    pub source: Kind,
    pub sink: Kind,
    /// Bytes in the source, and in a sink that is a file.
    pub lengths: (usize, usize),
    /// Where both stand, if they are files.
    pub positions: (usize, usize),
    pub append: bool,
    pub blind: &'static [&'static str],
    pub request: Request,
    pub script: Vec<Answer>,
    /// Where both ends are, if they are files: the engine remembers for the whole process which ones were warm.
    pub device: u64,
    /// A source that is a pipe is a FIFO without a writer, at first.
    pub unopened: bool,
    /// Slots of the pipes to be had, `None` being none; whether they grow; and bytes a slot refers to.
    pub pipes: (Vec<Option<usize>>, bool, usize),
    pub resident: Vec<Result<bool>>,
    /// Driven as by the reactor (files go to the disk pool), or by a thread of its own.
    pub patient: bool,
    /// The owner stops it before so many turns.
    pub stop_before: Option<usize>,
}

impl Case {
    /// Nothing drawn: a file of so many bytes to `sink`, on a kernel that does as it is told.
    pub fn plain(length: usize, sink: Kind) -> Self {
        Self {
            source: Kind::File,
            sink,
            lengths: (length, 0),
            positions: (0, 0),
            append: false,
            blind: &[],
            request: Request::default(),
            script: Vec::new(),
            device: 2,
            unopened: false,
            pipes: (Vec::new(), true, 4096),
            resident: Vec::new(),
            patient: false,
            stop_before: None,
        }
    }

    pub fn kernel(&self) -> Simulated {
        let end = |kind: Kind, append, position| End {
            kind,
            append,
            position: Cell::new(if kind == Kind::File { position } else { 0 }),
        };
        let held = if self.sink == Kind::File { self.lengths.1 } else { 0 };
        Simulated {
            source: end(self.source, false, self.positions.0),
            sink: end(self.sink, self.append, self.positions.1),
            length: Cell::new(self.lengths.0),
            accepted: RefCell::new(vec![b'x'; held]),
            blind: self.blind,
            script: RefCell::new(VecDeque::from(self.script.clone())),
            resident: RefCell::new(VecDeque::from(self.resident.clone())),
            probed: RefCell::default(),
            blocked: Cell::new(None),
            last_error: Cell::new(None),
            refused_silently: Cell::new(false),
            fruitless: Cell::new(0),
            unopened: Cell::new(self.unopened && self.source == Kind::Pipe),
            visited: Cell::new(false),
            rings: Rings {
                granted: RefCell::new(VecDeque::from(self.pipes.0.clone())),
                may_grow: self.pipes.1,
                piece: self.pipes.2,
                made: RefCell::default(),
            },
        }
    }

    pub fn transfer(&self) -> std::result::Result<Transfer<Simulated>, Failure> {
        let [source, sink] =
            [Side::Source, Side::Sink].map(|side| Endpoint::new(Handle::End(side), self.facts(side)));
        Transfer::new(source, sink, self.request)
    }

    pub fn facts(&self, side: Side) -> Facts {
        let (kind, size, position, inode) = match side {
            Side::Source => {
                (self.source, if self.blind.len() > 2 { 0 } else { self.lengths.0 }, self.positions.0, 1)
            }
            Side::Sink => (self.sink, self.lengths.1, self.positions.1, 2),
        };
        let of_file = |number: usize| if kind == Kind::File { number as u64 } else { 0 };
        Facts {
            kind,
            append: side == Side::Sink && self.append,
            size: of_file(size),
            position: of_file(position),
            identity: Identity { device: self.device, inode, modified: (0, 0) },
            ..Facts::stream_socket()
        }
    }

    /// Where in the source the first byte is.
    pub fn start(&self) -> usize {
        let position = if self.source == Kind::File { self.positions.0 } else { 0 };
        self.request.start.map_or(position, |start| usize::try_from(start).unwrap())
    }

    /// Where in the sink it goes.
    pub fn sink_start(&self) -> usize {
        match (self.sink, self.append) {
            (Kind::File, false) => {
                self.request.sink_start.map_or(self.positions.1, |start| usize::try_from(start).unwrap())
            }
            (Kind::File, true) => self.lengths.1,
            _ => 0,
        }
    }
}

pub fn cases() -> impl Strategy<Value = Case> {
    let kind = || prop_oneof![3 => Just(Kind::File), 1 => Just(Kind::Pipe), 1 => Just(Kind::Socket)];
    let lengths = (0..LONGEST, prop_oneof![Just(0), 0..9_000_usize]);
    let ends = (kind(), kind(), lengths, prop::bool::weighted(0.2), blind());
    let script = prop::collection::vec(answer(), 0..40);
    let driver = (prop::collection::vec(resident(), 0..6), any::<bool>(), option::weighted(0.2, 0..20_usize));
    (ends, script, driver, pipes()).prop_flat_map(|(ends, script, driver, (unopened, pipes))| {
        let (source, sink, lengths, append, blind) = ends;
        let append = append && sink == Kind::File;
        let request = request(source, sink, append, lengths.0);
        let positions = (prop_oneof![Just(0), 0..=lengths.0], prop_oneof![Just(0), 0..=lengths.1]);
        (request, positions).prop_map(move |(request, positions)| Case {
            source,
            sink,
            lengths,
            positions,
            append,
            blind,
            request,
            script: script.clone(),
            device: 1,
            unopened,
            pipes: pipes.clone(),
            resident: driver.0.clone(),
            patient: driver.1,
            stop_before: driver.2,
        })
    })
}

fn blind() -> impl Strategy<Value = &'static [&'static str]> {
    const ALL: &[&str] = &["copy_file_range", "sendfile", "splice"];
    prop_oneof![8 => Just(&ALL[..0]), 1 => Just(ALL), 1 => Just(&ALL[..1]), 1 => Just(&ALL[1..2])]
}

/// Whether there is no writer yet, and what the engine's own pipes are like.
#[allow(clippy::type_complexity, reason = "drawn once, taken apart at once")]
fn pipes() -> impl Strategy<Value = (bool, (Vec<Option<usize>>, bool, usize))> {
    let granted = prop_oneof![8 => Just(Some(16)), 1 => Just(Some(2)), 1 => Just(None)];
    let piece = prop_oneof![Just(1), Just(1448), Just(4096), 1..20_000_usize];
    let pipes = (prop::collection::vec(granted, 0..3), any::<bool>(), piece);
    (prop::bool::weighted(0.2), pipes)
}

const SWITCHABLE: [Mechanism; 4] =
    [Mechanism::Reflink, Mechanism::CopyFileRange, Mechanism::Sendfile, Mechanism::Splice];

fn request(source: Kind, sink: Kind, append: bool, length: usize) -> impl Strategy<Value = Request> {
    let offset = |fits, most| option::of(0..most as u64).prop_map(move |offset| offset.filter(|_| fits));
    (
        offset(source == Kind::File, length + 1000),
        offset(sink == Kind::File && !append, 20_000),
        option::of(0..length as u64 + 1000),
        prop::bool::weighted(0.8),
        prop::bool::weighted(0.2),
        prop_oneof![3 => Just(Vec::new()), 1 => prop::sample::subsequence(SWITCHABLE.to_vec(), 0..=4)],
    )
        .prop_map(|(start, sink_start, length, fallback, snapshot, off)| Request {
            start,
            sink_start,
            length,
            fallback,
            snapshot,
            asynchronous: true,
            switched_off: off.into_iter().collect(),
        })
}

fn answer() -> impl Strategy<Value = Answer> {
    const REFUSALS: [Errno; 9] = [
        Errno::INVAL,
        Errno::NOSYS,
        Errno::OPNOTSUPP,
        Errno::XDEV,
        Errno::PERM,
        Errno::BADF,
        Errno::IO,
        Errno::ACCES,
        Errno::TXTBSY,
    ];
    const FAILURES: [Errno; 5] = [Errno::NOSPC, Errno::FBIG, Errno::PIPE, Errno::CONNRESET, Errno::STALE];
    prop_oneof![
        4 => Just(Answer::Full),
        6 => (1..150_000_usize).prop_map(Answer::Short),
        2 => (1..5_usize).prop_map(Answer::Short),
        4 => prop::sample::select(&[Side::Source, Side::Sink][..]).prop_map(Answer::Again),
        3 => prop::sample::select(&REFUSALS[..]).prop_map(Answer::Error),
        1 => prop::sample::select(&FAILURES[..]).prop_map(Answer::Error),
        1 => (0..LONGEST).prop_map(Answer::Resize),
        1 => Just(Answer::Nothing),
    ]
}

fn resident() -> impl Strategy<Value = Result<bool>> {
    prop_oneof![Just(Ok(true)), Just(Ok(false)), Just(Err(Errno::OPNOTSUPP)), Just(Err(Errno::INVAL))]
}
