//! Two sockets joined in both directions.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use zcio::{Bridge, BridgeEnding, Cause, Endpoint, Errno, Facts, Fd, Mechanism, Reactor, Ticket};

use crate::common::{assert_same, bytes, exchange};
use crate::{comes_to_rest, socket};

struct Joined {
    /// Whom the bridge connects.
    left: UnixStream,
    right: UnixStream,
    ticket: Ticket,
    ending: Receiver<BridgeEnding>,
}

impl Joined {
    fn end(&self) -> BridgeEnding {
        self.ending.recv_timeout(Duration::from_secs(20)).expect("a bridge ends")
    }
}

fn join(heads: [Vec<u8>; 2], idle_timeout: Option<Duration>) -> Joined {
    let ((a, left), (b, right)) = (socket(), socket());
    let ends = [a, b].map(|socket| {
        let facts = Facts::of(&socket).unwrap();
        Endpoint::new(Fd::Shared(Arc::new(socket.into())), facts)
    });
    let (on_end, ending) = channel();
    let bridge = Bridge::between(ends, heads, idle_timeout).unwrap();
    let told = move |ending| drop(on_end.send(ending));
    let ticket = Reactor::global().unwrap().carry_out(bridge, told).expect("not busy");
    Joined { left, right, ticket, ending }
}

#[test]
fn it_moves_both_ways_at_once_and_passes_on_each_end() {
    let joined = join(Default::default(), None);
    let (there, back) = (bytes(3_000_001), bytes(5_000_003));
    let left = exchange(&joined.left, there.clone());
    let right = exchange(&joined.right, back.clone());
    assert_same(&right.join().unwrap(), &there);
    assert_same(&left.join().unwrap(), &back);
    let BridgeEnding { a_to_b, b_to_a } = joined.end();
    let (a_to_b, b_to_a) = (a_to_b.unwrap(), b_to_a.unwrap());
    assert_eq!((a_to_b.bytes, b_to_a.bytes), (3_000_001, 5_000_003));
    assert_eq!((a_to_b.mechanism, b_to_a.mechanism), (Mechanism::Splice, Mechanism::Splice));
    assert_eq!(joined.ticket.progress(), [3_000_001, 5_000_003]);
}

#[test]
fn one_direction_goes_on_when_the_other_has_ended() {
    let mut joined = join(Default::default(), None);
    joined.left.write_all(b"question").unwrap();
    joined.left.shutdown(Shutdown::Write).unwrap();
    let mut question = String::new();
    joined.right.read_to_string(&mut question).unwrap();
    assert_eq!(question, "question");
    joined.right.write_all(b"answer").unwrap();
    drop(joined.right.try_clone());
    joined.right.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    joined.left.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "answer");
    assert!(joined.end().failure().is_none());
}

#[test]
fn heads_go_first() {
    let joined = join([b"head of a, ".to_vec(), b"head of b, ".to_vec()], None);
    let left = exchange(&joined.left, b"a".to_vec());
    let right = exchange(&joined.right, b"b".to_vec());
    assert_eq!(right.join().unwrap(), b"head of a, a");
    assert_eq!(left.join().unwrap(), b"head of b, b");
    let BridgeEnding { a_to_b, .. } = joined.end();
    assert_eq!(a_to_b.unwrap().bytes, 12);
}

#[test]
fn nothing_is_read_from_one_that_writes_faster_than_the_other_reads() {
    let joined = join(Default::default(), None);
    let mut flood = joined.left.try_clone().unwrap();
    let flooding = thread::spawn(move || {
        let _ = flood.write_all(&vec![7; 64 << 20]);
    });
    // It comes to rest, and the other direction does not.
    let accepted = comes_to_rest(&joined.ticket);
    assert!(accepted < 32 << 20);
    let mut left = joined.left.try_clone().unwrap();
    (&joined.right).write_all(b"still here").unwrap();
    let mut answer = [0; 10];
    left.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"still here");
    joined.ticket.hang_up(0);
    assert_eq!(joined.end().failure().unwrap().cause, Cause::Canceled);
    flooding.join().unwrap();
}

#[test]
fn what_was_taken_and_not_accepted_comes_back() {
    let joined = join(Default::default(), None);
    let content = bytes(4 << 20);
    let mut writer = joined.left.try_clone().unwrap();
    let sent = content.clone();
    let writing = thread::spawn(move || {
        let _ = writer.write_all(&sent);
    });
    comes_to_rest(&joined.ticket);
    joined.ticket.cancel();
    let ending = joined.end();
    let outcome = ending.a_to_b.unwrap_err().outcome;
    let mut accepted = vec![0; usize::try_from(outcome.bytes).unwrap()];
    (&joined.right).read_exact(&mut accepted).unwrap();
    accepted.extend_from_slice(&outcome.residual);
    assert_same(&accepted, &content[..accepted.len()]);
    drop(joined.left);
    drop(writing);
}

#[test]
fn one_that_is_gone_ends_both() {
    let joined = join(Default::default(), None);
    drop(joined.right);
    (&joined.left).write_all(&bytes(100_000)).ok();
    let ending = joined.ending.recv_timeout(Duration::from_secs(20)).unwrap();
    let Cause::System { errno, .. } = ending.failure().unwrap().cause else { panic!("{ending:?}") };
    assert!(matches!(errno, Errno::PIPE | Errno::CONNRESET), "{errno}");
    let mut rest = Vec::new();
    (&joined.left).read_to_end(&mut rest).ok();
}

#[test]
fn one_that_is_idle_for_too_long_ends() {
    let since = Instant::now();
    let joined = join(Default::default(), Some(Duration::from_millis(300)));
    thread::sleep(Duration::from_millis(200));
    (&joined.left).write_all(b"sign of life").unwrap();
    let ending = joined.end();
    assert_eq!(ending.a_to_b.as_ref().unwrap_err().cause, Cause::TimedOut);
    assert_eq!(ending.a_to_b.unwrap_err().outcome.bytes, 12);
    assert!(since.elapsed() >= Duration::from_millis(500));
}

/// Timers of those that have ended are dropped, and no others.
#[test]
fn one_that_is_idle_for_too_long_ends_among_many_that_have_ended_before() {
    let idle = join(Default::default(), Some(Duration::from_secs(1)));
    for _ in 0..200 {
        let brief = join(Default::default(), Some(Duration::from_secs(86_400)));
        for peer in [&brief.left, &brief.right] {
            peer.shutdown(Shutdown::Write).unwrap();
        }
        brief.end();
    }
    assert_eq!(idle.end().a_to_b.unwrap_err().cause, Cause::TimedOut);
}

#[test]
fn an_idle_one_is_small() {
    assert!(size_of::<Bridge<zcio::Linux<'static>>>() <= 900);
}
