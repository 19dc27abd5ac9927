//! What a pool lends, keeps and lets go; and what becomes of a relay that gets no pipe, or not the one it wants.

use zcio::{Cause, Errno, Kind, Mechanism, Patience, Plumbing, Side, Step};

use crate::case::Case;
use crate::ends::Answer::{self, Again, Error, Full, Nothing, Short};
use crate::kernel::Simulated;

/// A socket has nothing: neither to splice nor, behind an urgent byte, to receive.
const DRY: [Answer; 2] = [Again(Side::Source), Again(Side::Source)];

/// From one socket to another.
fn relay(length: usize) -> Case {
    Case { source: Kind::Socket, ..Case::plain(length, Kind::Socket) }
}

fn plumbing(case: &Case) -> Plumbing<Simulated> {
    Plumbing::new(case.kernel())
}

/// Every wait being over at once: the bytes, the mechanism, and the last fallback's code.
fn outcome(case: &Case, plumbing: &Plumbing<Simulated>) -> (u64, Mechanism, Option<&'static str>) {
    let mut transfer = case.transfer().unwrap();
    loop {
        match transfer.advance(plumbing, Patience::Disk) {
            Step::End(ending) => {
                let outcome = ending.unwrap();
                let code = outcome.fallbacks.last().map(|fallback| fallback.code);
                return (outcome.bytes, outcome.mechanism, code);
            }
            _ => assert_eq!(plumbing.pipes.lent(), plumbing.kernel.rings.filled()),
        }
    }
}

#[test]
fn one_pipe_serves_one_relay_after_the_other_and_is_closed_when_told() {
    let plumbing = plumbing(&relay(100_000));
    for _ in 0..3 {
        plumbing.kernel.source.position.set(0);
        let case = relay(100_000);
        assert_eq!(outcome(&case, &plumbing), (100_000, Mechanism::Splice, None));
        assert_eq!((plumbing.pipes.lent(), plumbing.pipes.kept()), (0, 1));
        plumbing.kernel.accepted.borrow_mut().clear();
    }
    assert_eq!(plumbing.kernel.rings.made.borrow().len(), 1);
    plumbing.pipes.clear();
    assert_eq!((plumbing.pipes.kept(), plumbing.kernel.rings.open()), (0, 0));
}

#[test]
fn without_a_pipe_worth_having_it_is_copied() {
    for (granted, code) in [(None, "EMFILE"), (Some(2), "ENOBUFS")] {
        let case = Case { pipes: (vec![granted], true, 4096), ..relay(300_000) };
        let plumbing = plumbing(&case);
        assert_eq!(outcome(&case, &plumbing), (300_000, Mechanism::ReadWrite, Some(code)));
        assert_eq!((plumbing.pipes.lent(), plumbing.kernel.rings.open()), (0, 0));
    }
}

#[test]
fn a_source_that_cannot_be_spliced_is_copied_and_its_pipe_kept() {
    let case = Case { script: vec![Error(Errno::INVAL)], ..relay(300_000) };
    let plumbing = plumbing(&case);
    assert_eq!(outcome(&case, &plumbing), (300_000, Mechanism::ReadWrite, Some("EINVAL")));
    assert_eq!((plumbing.pipes.lent(), plumbing.pipes.kept()), (0, 1));
}

/// Nobody else may ever see what was in it.
#[test]
fn a_pipe_with_bytes_in_it_is_never_lent_again() {
    for kind in [Kind::Socket, Kind::File] {
        let script = [&DRY[..], &[Full, Error(Errno::INVAL)]].concat();
        let case = Case { script, sink: kind, ..relay(300_000) };
        let plumbing = plumbing(&case);
        assert_eq!(outcome(&case, &plumbing), (300_000, Mechanism::ReadWrite, Some("EINVAL")));
        assert_eq!((plumbing.pipes.lent(), plumbing.pipes.kept()), (0, 0));
        assert_eq!(plumbing.kernel.accepted.borrow().len(), 300_000);
    }
}

#[test]
fn a_pipe_is_held_only_while_bytes_are_in_it() {
    let case = Case { script: [&DRY[..], &[Full, Again(Side::Sink)]].concat(), ..relay(300_000) };
    let plumbing = plumbing(&case);
    let mut transfer = case.transfer().unwrap();
    assert!(matches!(transfer.advance(&plumbing, Patience::None), Step::Wait(Side::Source)));
    assert_eq!(plumbing.pipes.lent(), 0);
    assert!(matches!(transfer.advance(&plumbing, Patience::None), Step::Wait(Side::Sink)));
    assert_eq!(plumbing.pipes.lent(), 1);
    let failure = transfer.stop(&plumbing, Cause::Canceled, None);
    assert_eq!(failure.outcome.residual.len(), 65_536);
    assert_eq!((plumbing.pipes.lent(), plumbing.kernel.rings.open()), (0, 0));
}

/// A transfer that is just dropped takes its pipe along.
#[test]
fn a_pipe_that_is_dropped_is_not_counted_for_ever() {
    let case = Case { script: vec![Full, Again(Side::Sink)], ..relay(300_000) };
    let plumbing = plumbing(&case);
    let mut transfer = case.transfer().unwrap();
    assert!(matches!(transfer.advance(&plumbing, Patience::None), Step::Wait(Side::Sink)));
    drop(transfer);
    assert_eq!((plumbing.pipes.lent(), plumbing.kernel.rings.open()), (0, 0));
}

#[test]
fn there_is_a_limit_and_past_it_the_relay_copies() {
    let plumbing = plumbing(&relay(300_000));
    let mut lent = Vec::new();
    while let Ok(conduit) = plumbing.pipes.lend(&plumbing.kernel) {
        lent.push(conduit);
    }
    assert_eq!(plumbing.pipes.lend(&plumbing.kernel).err(), Some(Errno::NOBUFS));
    assert_eq!((lent.len(), plumbing.pipes.lent()), (512, 512));
    let mut past = relay(300_000).transfer().unwrap();
    let Step::End(Ok(outcome)) = past.advance(&plumbing, Patience::Disk) else { panic!() };
    assert_eq!((outcome.bytes, outcome.mechanism), (300_000, Mechanism::ReadWrite));
    for conduit in lent {
        plumbing.pipes.give_back(conduit);
    }
    assert_eq!((plumbing.pipes.lent(), plumbing.pipes.kept()), (0, 64));
}

#[test]
fn a_busy_pipe_is_grown_once_and_only_if_the_kernel_lets_it() {
    for may_grow in [true, false] {
        let case = Case { pipes: (Vec::new(), may_grow, 4096), ..relay(1_000_000) };
        let plumbing = plumbing(&case);
        assert_eq!(outcome(&case, &plumbing), (1_000_000, Mechanism::Splice, None));
        let conduit = plumbing.pipes.lend(&plumbing.kernel).unwrap();
        assert_eq!(conduit.capacity, if may_grow { 1 << 20 } else { 65_536 });
    }
}

/// Its slots are used up by packets and parts of pages: what a fill brings does not tell whether there is more.
#[test]
fn a_pipe_is_grown_for_a_source_that_does_not_run_dry_however_little_a_fill_brings() {
    let keeps_up = [Short(1000), Full].repeat(6);
    let runs_dry = [&[Short(1000), Full], &DRY[..]].concat().repeat(6);
    for (script, capacity) in [(keeps_up, 1 << 20), (runs_dry, 65_536)] {
        let case = Case { script, pipes: (Vec::new(), true, 4096), ..relay(6000) };
        let plumbing = plumbing(&case);
        assert_eq!(outcome(&case, &plumbing), (6000, Mechanism::Splice, None));
        assert_eq!(plumbing.pipes.lend(&plumbing.kernel).unwrap().capacity, capacity);
    }
}

/// A FIFO is opened for reading before its first writer comes: that is not its end, whichever way it is read.
#[test]
fn a_fifo_without_a_writer_is_waited_for() {
    for (sink, append, mechanism) in
        [(Kind::Socket, false, Mechanism::Splice), (Kind::File, true, Mechanism::ReadWrite)]
    {
        let case = Case { source: Kind::Pipe, unopened: true, append, ..Case::plain(5000, sink) };
        let plumbing = plumbing(&case);
        let mut transfer = case.transfer().unwrap();
        assert!(matches!(transfer.advance(&plumbing, Patience::Disk), Step::Wait(Side::Source)));
        plumbing.kernel.unopened.set(false);
        let Step::End(Ok(outcome)) = transfer.advance(&plumbing, Patience::Disk) else { panic!() };
        assert_eq!((outcome.bytes, outcome.mechanism), (5000, mechanism));
    }
}

#[test]
fn a_fifo_whose_writer_has_come_and_gone_meanwhile_has_what_it_wrote() {
    for (sink, append) in [(Kind::Socket, false), (Kind::File, true)] {
        let case = Case { source: Kind::Pipe, unopened: true, append, ..Case::plain(5000, sink) };
        let plumbing = plumbing(&case);
        plumbing.kernel.visited.set(true);
        assert_eq!(outcome(&case, &plumbing).0, 5000);
    }
}

/// Ends that do not agree on what ready is.
#[test]
fn splice_that_never_moves_is_given_up() {
    let script = vec![Nothing; 16];
    let case = Case { source: Kind::Pipe, script, ..Case::plain(5000, Kind::Socket) };
    let plumbing = plumbing(&case);
    assert_eq!(outcome(&case, &plumbing), (5000, Mechanism::ReadWrite, Some("NO_PROGRESS")));
}
