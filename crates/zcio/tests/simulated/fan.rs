//! A fan-out over a simulated kernel: whatever the calls answer, every sink has a beginning of the source, and what was
//! taken has arrived or is given back.

use std::cell::{Cell, RefCell};

use proptest::option;
use proptest::prelude::*;
use zcio::endpoint::Identity;
use zcio::sys::Events;
use zcio::transfer::route;
use zcio::{
    Cause, Endpoint, Errno, Facts, FanOut, FanOutEnding, FanOutRequest, Kind, Mechanism, Mechanisms,
    Patience, Plumbing, Task, Turn,
};

use crate::config;
use crate::ends::CONTENT;
use crate::fan_kernel::{Answer, Fan, Handle};
use crate::ring::Rings;

/// Long enough for a large round after a small one.
const LONGEST: usize = 900_000;

#[derive(Debug, Clone)]
struct Case {
    source: Kind,
    sinks: Vec<Kind>,
    length: usize,
    limit: Option<u64>,
    drop_failed: bool,
    script: Vec<Answer>,
    granted: Vec<Option<usize>>,
    piece: usize,
    stop_before: Option<usize>,
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_sink_has_its_bytes_and_the_slowest_sets_what_counts(case in cases()) {
        let plumbing = Plumbing::new(kernel(&case));
        let ends = case
            .sinks
            .iter()
            .enumerate()
            .map(|(sink, kind)| Endpoint::new(Handle::Sink(sink), facts(*kind, sink + 1)));
        let request = FanOutRequest {
            length: case.limit,
            drop_failed: case.drop_failed,
            ..FanOutRequest::default()
        };
        let source = Endpoint::new(Handle::Source, facts(case.source, 0));
        let fan_out = FanOut::new(source, ends.collect(), request).unwrap();
        let ending = drive(&case, &plumbing, fan_out)?;
        prop_assert_eq!(plumbing.pipes.lent(), 0, "a pipe is not given back");
        the_sinks_hold_what_was_counted(&plumbing.kernel, &ending)?;
        what_was_taken_has_arrived_or_is_given_back(&plumbing.kernel, &ending)?;
        it_ended_for_a_reason(&case, &ending)?;
        the_route_was_followed(&case, &ending)?;
    }
}

fn kernel(case: &Case) -> Fan {
    Fan {
        source: case.source,
        position: Cell::new(0),
        length: case.length,
        sinks: case.sinks.iter().map(|kind| (*kind, RefCell::default())).collect(),
        script: RefCell::new(case.script.clone().into()),
        rings: Rings {
            granted: RefCell::new(case.granted.clone().into()),
            may_grow: true,
            piece: case.piece,
            made: RefCell::default(),
        },
    }
}

fn facts(kind: Kind, end: usize) -> Facts {
    let identity = Identity { inode: end as u64, ..Identity::default() };
    Facts { kind, size: LONGEST as u64, identity, ..Facts::stream_socket() }
}

/// As a driver does it; checks each step.
fn drive(
    case: &Case,
    plumbing: &Plumbing<Fan>,
    mut fan_out: FanOut<Fan>,
) -> Result<FanOutEnding, TestCaseError> {
    let mut patience = Patience::None;
    for turn in 0..1_000_000 {
        if case.stop_before.is_some_and(|stop| turn >= stop) {
            return Ok(fan_out.give_up(plumbing, Cause::Canceled, None));
        }
        match fan_out.turn(plumbing, patience) {
            Turn::Again => {}
            Turn::Disk => {
                prop_assert_eq!(patience, Patience::None);
                patience = Patience::Disk;
            }
            Turn::Wait => {
                let waited: Vec<usize> =
                    (0..fan_out.ends()).filter(|end| !fan_out.waits_for(*end).is_empty()).collect();
                prop_assert!(!waited.is_empty(), "waits for nothing");
                for end in waited {
                    fan_out.notice(end, Events::all());
                }
                patience = Patience::None;
            }
            Turn::End(ending) => return Ok(ending),
        }
        for (sink, (_, accepted)) in plumbing.kernel.sinks.iter().enumerate() {
            prop_assert_eq!(fan_out.progress_of(sink), accepted.borrow().len() as u64);
        }
    }
    Err(TestCaseError::fail("it spins"))
}

fn the_sinks_hold_what_was_counted(kernel: &Fan, ending: &FanOutEnding) -> Result<(), TestCaseError> {
    for (sink, (_, accepted)) in ending.sinks.iter().zip(&kernel.sinks) {
        let accepted = accepted.borrow();
        prop_assert_eq!(accepted.len() as u64, sink.bytes);
        prop_assert!(accepted[..] == CONTENT[..accepted.len()], "not a beginning of the source");
        prop_assert!(
            sink.failure.is_some() || sink.bytes >= ending.bytes,
            "it went on without one that stayed"
        );
    }
    Ok(())
}

/// in = out + residual, for the slowest.
fn what_was_taken_has_arrived_or_is_given_back(
    kernel: &Fan,
    ending: &FanOutEnding,
) -> Result<(), TestCaseError> {
    let (bytes, residual) = (usize::try_from(ending.bytes).unwrap(), &ending.residual);
    prop_assert_eq!(kernel.position.get(), bytes + residual.len());
    prop_assert_eq!(&residual[..], &CONTENT[bytes..bytes + residual.len()]);
    prop_assert!(kernel.source != Kind::File || residual.is_empty(), "a file can be read again");
    Ok(())
}

fn it_ended_for_a_reason(case: &Case, ending: &FanOutEnding) -> Result<(), TestCaseError> {
    let failed: Vec<_> = ending.sinks.iter().filter_map(|sink| sink.failure).collect();
    match ending.failure {
        None => {
            let all =
                case.limit.map_or(case.length, |limit| case.length.min(usize::try_from(limit).unwrap()));
            prop_assert_eq!(ending.bytes, all as u64, "it stopped early");
            prop_assert!(case.drop_failed || failed.is_empty());
            let stayed = ending.sinks.iter().filter(|sink| sink.failure.is_none());
            prop_assert!(stayed.clone().count() > 0 && stayed.clone().all(|sink| sink.bytes == ending.bytes));
        }
        Some((Cause::Canceled, None)) => prop_assert!(case.stop_before.is_some()),
        Some((_, Some(0))) => {}
        Some((cause, Some(end))) => prop_assert_eq!(ending.sinks[end - 1].failure, Some(cause)),
        Some(failure) => prop_assert!(false, "not a failure of these ends: {failure:?}"),
    }
    Ok(())
}

fn the_route_was_followed(case: &Case, ending: &FanOutEnding) -> Result<(), TestCaseError> {
    let (source, sinks): (Facts, Vec<Facts>) =
        (facts(case.source, 0), case.sinks.iter().map(|kind| facts(*kind, 1)).collect());
    let sinks: Vec<&Facts> = sinks.iter().collect();
    let rule = route::copies(route::Fan { source: &source, sinks: &sinks, switched_off: Mechanisms::NONE });
    if let Some(rule) = rule {
        prop_assert!(ending.sinks.iter().all(|sink| sink.mechanism == Mechanism::ReadWrite));
        prop_assert_eq!(ending.fallbacks[0].code, rule.code);
    }
    Ok(())
}

fn cases() -> impl Strategy<Value = Case> {
    let kind = || prop::sample::select(&[Kind::File, Kind::Pipe, Kind::Socket][..]);
    let granted = prop_oneof![8 => Just(Some(16)), 1 => Just(Some(2)), 1 => Just(None)];
    let piece = prop_oneof![Just(1), Just(1448), Just(4096), 1..20_000_usize];
    let ends = (kind(), prop::collection::vec(kind(), 1..6), 0..LONGEST);
    let request = (option::of(0..LONGEST as u64), any::<bool>(), option::weighted(0.2, 0..40_usize));
    let kernel = (prop::collection::vec(answer(), 0..60), prop::collection::vec(granted, 0..8), piece);
    (ends, request, kernel).prop_map(|(ends, (limit, drop_failed, stop_before), (script, granted, piece))| {
        let (source, sinks, length) = ends;
        // A piece of a byte is a slot of a byte: a whole source of them would take a minute.
        let length = if piece == 1 { length % 2000 } else { length };
        Case { source, sinks, length, limit, drop_failed, script, granted, piece, stop_before }
    })
}

fn answer() -> impl Strategy<Value = Answer> {
    const ERRORS: [Errno; 6] =
        [Errno::INVAL, Errno::NOSYS, Errno::PIPE, Errno::CONNRESET, Errno::NOSPC, Errno::IO];
    prop_oneof![
        6 => Just(Answer::Full),
        6 => (1..600_000_usize).prop_map(Answer::Short),
        4 => (1..100_usize).prop_map(Answer::Short),
        6 => Just(Answer::Again),
        1 => prop::sample::select(&ERRORS[..]).prop_map(Answer::Error),
    ]
}
