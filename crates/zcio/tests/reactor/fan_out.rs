//! One source, many sinks.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use zcio::{
    Cause, Endpoint, Errno, Fallback, FanOut, FanOutEnding, FanOutRequest, Fd, Linux, Mechanism, Reactor,
    Side, SinkEnding, Ticket, sys,
};

use crate::common::{assert_same, bytes, content, eventually, file, receive};
use crate::{comes_to_rest, socket};

struct Started {
    ticket: Ticket,
    ending: Receiver<FanOutEnding>,
}

impl Started {
    fn end(&self) -> FanOutEnding {
        self.ending.recv_timeout(Duration::from_secs(20)).expect("a fan-out ends")
    }
}

fn end(fd: &impl AsFd) -> Endpoint<Fd<'static>> {
    let own: OwnedFd = sys::duplicate(fd).unwrap();
    Endpoint::of(own).unwrap()
}

fn start(source: &impl AsFd, sinks: &[&dyn AsFd], request: FanOutRequest) -> Started {
    start_with(source, sinks, request, |task| task)
}

fn start_with(
    source: &impl AsFd,
    sinks: &[&dyn AsFd],
    request: FanOutRequest,
    with: impl FnOnce(FanOut<Linux<'static>>) -> FanOut<Linux<'static>>,
) -> Started {
    let sinks = sinks.iter().map(|sink| end(&sink.as_fd())).collect();
    let task = with(FanOut::new(end(source), sinks, request).unwrap());
    let (on_end, ending) = channel();
    let told = move |ending| drop(on_end.send(ending));
    let ticket = Reactor::global().unwrap().carry_out(task, told).expect("not busy");
    Started { ticket, ending }
}

fn read_all(reader: OwnedFd) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        sys::wait_readable(&reader, None).unwrap();
        let mut received = Vec::new();
        let mut buffer = vec![0; 1 << 16];
        loop {
            match sys::read(&reader, &mut buffer) {
                Ok(0) => return received,
                Ok(bytes) => received.extend_from_slice(&buffer[..bytes]),
                Err(Errno::AGAIN) => drop(sys::wait_readable(&reader, None)),
                Err(errno) => panic!("{errno}"),
            }
        }
    })
}

#[test]
fn a_file_reaches_sinks_of_every_kind() {
    let original = bytes(3_000_001);
    let (pipe_end, writer) = sys::pipe().unwrap();
    let (near, far) = socket();
    let copy = file(b"");
    let (from_pipe, from_socket) = (read_all(pipe_end), receive(far));
    let ending = start(&file(&original), &[&copy, &writer, &near], FanOutRequest::default()).end();
    drop((writer, near));
    assert!(ending.failure.is_none(), "{ending:?}");
    assert_eq!(ending.bytes, 3_000_001);
    let copied = |sink: &SinkEnding| sink.bytes == 3_000_001 && sink.mechanism == Mechanism::ReadWrite;
    assert!(ending.sinks.iter().all(copied));
    assert_eq!(ending.fallbacks, [Fallback { mechanism: Mechanism::Splice, code: "FEW_PIPES" }]);
    assert_same(&content(&copy), &original);
    assert_same(&from_pipe.join().unwrap(), &original);
    assert_same(&from_socket.join().unwrap(), &original);
}

#[test]
fn a_socket_and_a_pipe_are_sources_too() {
    let original = bytes(2_000_003);
    for is_pipe in [false, true] {
        let ((source, mut writer), (first, first_peer), (second, second_peer)) =
            (socket(), socket(), socket());
        let (pipe_end, pipe_writer) = sys::pipe().unwrap();
        let received = [receive(first_peer), receive(second_peer)];
        let started = if is_pipe {
            start(&pipe_end, &[&first, &second], FanOutRequest::default())
        } else {
            start(&source, &[&first, &second], FanOutRequest::default())
        };
        let content = original.clone();
        let writing = thread::spawn(move || {
            if is_pipe {
                drop(writer);
                let mut rest = &content[..];
                while !rest.is_empty() {
                    sys::wait_writable(&pipe_writer, None).unwrap();
                    rest = &rest[sys::write(&pipe_writer, rest).unwrap_or(0)..];
                }
            } else {
                drop(pipe_writer);
                writer.write_all(&content).unwrap();
            }
        });
        let ending = started.end();
        writing.join().unwrap();
        drop((first, second, source));
        assert_eq!((ending.bytes, ending.failure), (2_000_003, None));
        for received in received {
            assert_same(&received.join().unwrap(), &original);
        }
    }
}

#[test]
fn the_slowest_sink_sets_the_pace() {
    let (source, mut writer) = socket();
    let ((fast, fast_peer), (slow, mut slow_peer)) = (socket(), socket());
    let started = start(&source, &[&fast, &slow], FanOutRequest::default());
    let original = bytes(8 << 20);
    let sent = original.clone();
    let writing = thread::spawn(move || writer.write_all(&sent).unwrap());
    let received = receive(fast_peer);
    let rest = comes_to_rest(&started.ticket);
    assert!(rest < 4 << 20, "{rest}");
    let mut slowly = Vec::new();
    slow_peer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let reading = thread::spawn(move || {
        slow_peer.read_to_end(&mut slowly).unwrap();
        slowly
    });
    writing.join().unwrap();
    let ending = started.end();
    drop((fast, slow));
    assert_eq!(ending.bytes, 8 << 20);
    assert_same(&reading.join().unwrap(), &original);
    assert_same(&received.join().unwrap(), &original);
}

#[test]
fn a_sink_that_fails_ends_it_or_is_left_out() {
    for drop_failed in [false, true] {
        let original = bytes(4 << 20);
        let ((good, good_peer), (bad, bad_peer)) = (socket(), socket());
        drop(bad_peer);
        let received = receive(good_peer);
        let request = FanOutRequest { drop_failed, ..FanOutRequest::default() };
        let ending = start(&file(&original), &[&bad, &good], request).end();
        drop(good);
        let Some(Cause::System { errno: Errno::PIPE, .. }) = ending.sinks[0].failure else {
            panic!("{ending:?}")
        };
        let received = received.join().unwrap();
        if drop_failed {
            assert!(ending.failure.is_none());
            assert_eq!(ending.bytes, original.len() as u64);
            assert_same(&received, &original);
        } else {
            assert_eq!(ending.failure.unwrap().1, Some(1));
            assert_same(&received, &original[..received.len()]);
        }
    }
}

#[test]
fn a_sink_that_accepts_nothing_for_too_long_is_left_out() {
    let original = bytes(4 << 20);
    let ((good, good_peer), (stuck, _peer)) = (socket(), socket());
    let received = receive(good_peer);
    let sink_timeout = Some(Duration::from_millis(200));
    let ending =
        start(&file(&original), &[&good, &stuck], FanOutRequest { sink_timeout, ..FanOutRequest::default() })
            .end();
    drop(good);
    assert_eq!(ending.failure, None);
    assert_eq!(ending.sinks[1].failure, Some(Cause::TimedOut));
    assert!(ending.sinks[1].bytes < original.len() as u64);
    assert_eq!(ending.bytes, original.len() as u64);
    assert_same(&received.join().unwrap(), &original);
}

#[test]
fn who_is_left_out_is_told_of_while_the_others_go_on() {
    let ((source, mut writer), (good, mut good_peer), (stuck, _peer)) = (socket(), socket(), socket());
    let (left, leaving) = channel();
    let sink_timeout = Some(Duration::from_secs(1));
    let request = FanOutRequest { sink_timeout, ..FanOutRequest::default() };
    let started = start_with(&source, &[&stuck, &good], request, |task| {
        task.on_leave(move |sink, ending| left.send((sink, ending)).unwrap())
    });
    let original = bytes(4 << 20);
    let sent = original.clone();
    let writing = thread::spawn(move || {
        writer.write_all(&sent).unwrap();
        writer
    });
    let mut received = vec![0; original.len()];
    good_peer.read_exact(&mut received).unwrap();
    assert_same(&received, &original);
    let (sink, left) = leaving.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!((sink, left.failure), (0, Some(Cause::TimedOut)));
    assert!(started.ending.try_recv().is_err());
    drop(writing.join().unwrap());
    let ending = started.end();
    assert_eq!((ending.sinks[0].bytes, ending.bytes), (left.bytes, original.len() as u64));
    assert!(leaving.recv().is_err(), "told once");
}

#[test]
fn what_was_taken_and_not_accepted_comes_back() {
    let (source, mut writer) = socket();
    let ((fast, fast_peer), (stuck, mut stuck_peer)) = (socket(), socket());
    let started = start(&source, &[&fast, &stuck], FanOutRequest::default());
    let original = bytes(4 << 20);
    let sent = original.clone();
    let writing = thread::spawn(move || drop(writer.write_all(&sent)));
    let received = receive(fast_peer);
    comes_to_rest(&started.ticket);
    started.ticket.cancel();
    let ending = started.end();
    assert_eq!(ending.failure, Some((Cause::Canceled, None)));
    let slowly = usize::try_from(ending.sinks[1].bytes).unwrap();
    assert_eq!(ending.bytes, slowly as u64);
    drop((fast, stuck));
    let mut accepted = Vec::new();
    stuck_peer.read_to_end(&mut accepted).unwrap();
    assert_eq!(accepted.len(), slowly);
    accepted.extend_from_slice(&ending.residual);
    assert_same(&accepted, &original[..accepted.len()]);
    assert!(received.join().unwrap().len() <= accepted.len());
    drop(source);
    writing.join().unwrap();
}

#[test]
fn what_the_last_sink_had_not_accepted_when_it_failed_comes_back() {
    for drop_failed in [false, true] {
        let (source, mut writer) = socket();
        let (near, mut peer) = socket();
        let request = FanOutRequest { drop_failed, ..FanOutRequest::default() };
        let started = start(&source, &[&near], request);
        let original = bytes(4 << 20);
        let sent = original.clone();
        let writing = thread::spawn(move || drop(writer.write_all(&sent)));
        assert!(eventually(|| started.ticket.bytes_of(0) > 0));
        let mut last = u64::MAX;
        assert!(eventually(|| {
            thread::sleep(Duration::from_millis(50));
            let moved = started.ticket.bytes_of(0);
            std::mem::replace(&mut last, moved) == moved
        }));
        let mut first = [0; 1000];
        peer.read_exact(&mut first).unwrap();
        drop(peer);
        let ending = started.end();
        assert!(matches!(ending.failure, Some((Cause::System { errno: Errno::PIPE, .. }, Some(1)))));
        assert_eq!(ending.bytes, ending.sinks[0].bytes);
        let moved = usize::try_from(ending.bytes).unwrap();
        assert!(!ending.residual.is_empty());
        assert_same(&ending.residual, &original[moved..moved + ending.residual.len()]);
        drop(source);
        writing.join().unwrap();
    }
}

#[test]
fn of_a_head_no_more_is_given_than_the_length() {
    let (source, writer) = socket();
    let copy = file(b"");
    let request = FanOutRequest { length: Some(4), ..FanOutRequest::default() };
    let task: FanOut<Linux<'static>> = FanOut::new(end(&source), vec![end(&copy)], request).unwrap();
    let (on_end, ending) = channel();
    let told = move |ending| drop(on_end.send(ending));
    let task = task.with_head(b"0123456789".to_vec());
    let ticket = Reactor::global().unwrap().carry_out(task, told).expect("not busy");
    let ending = Started { ticket, ending }.end();
    assert_eq!((ending.bytes, ending.failure), (4, None));
    assert_eq!(ending.residual, b"456789");
    assert_eq!(content(&copy), b"0123");
    drop(writer);
}

#[test]
fn sinks_that_are_all_late_end_it_and_an_idle_source_makes_nobody_late() {
    let (source, mut writer) = socket();
    let ((one, one_peer), (other, other_peer)) = (socket(), socket());
    let sink_timeout = Some(Duration::from_millis(100));
    let started = start(&source, &[&one, &other], FanOutRequest { sink_timeout, ..FanOutRequest::default() });
    writer.write_all(b"a little").unwrap();
    assert!(started.ending.recv_timeout(Duration::from_millis(400)).is_err());
    let writing = thread::spawn(move || drop(writer.write_all(&bytes(8 << 20))));
    let ending = started.end();
    assert!(matches!(ending.failure, Some((Cause::TimedOut, Some(_)))), "{ending:?}");
    assert!(ending.sinks.iter().all(|sink| sink.failure == Some(Cause::TimedOut)));
    drop((source, one_peer, other_peer));
    writing.join().unwrap();
}

#[test]
fn one_pipe_cannot_be_two_of_its_sinks() {
    let (_reader, writer) = sys::pipe().unwrap();
    let task: FanOut<Linux<'static>> =
        FanOut::new(end(&file(b"some")), vec![end(&writer), end(&writer)], FanOutRequest::default()).unwrap();
    let refused = Reactor::global().unwrap().carry_out(task, drop).unwrap_err();
    assert!(matches!(refused.failure, Some((Cause::Busy, None))));
}

#[test]
fn pipes_get_references_and_a_sink_that_cannot_be_spliced_into_is_written() {
    let original = bytes(1_000_001);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("appended");
    let appended = std::fs::File::options().append(true).create(true).open(&path).unwrap();
    let (pipe_end, writer) = sys::pipe().unwrap();
    let from_pipe = read_all(pipe_end);
    let ending = start(&file(&original), &[&appended, &writer], FanOutRequest::default()).end();
    drop(writer);
    assert_eq!(ending.failure, None, "{ending:?}");
    let mechanisms = [ending.sinks[0].mechanism, ending.sinks[1].mechanism];
    assert_eq!(mechanisms, [Mechanism::ReadWrite, Mechanism::Splice]);
    assert_eq!(ending.fallbacks, []);
    assert_same(&std::fs::read(path).unwrap(), &original);
    assert_same(&from_pipe.join().unwrap(), &original);
}

#[test]
fn a_length_and_a_start_cut_what_is_given() {
    let original = bytes(1_000_000);
    let (one, other) = (file(b""), file(b""));
    let source = file(&original);
    let request = FanOutRequest { start: Some(100_000), length: Some(300_001), ..FanOutRequest::default() };
    let ending = zcio::fan_out(&source, &[&one, &other], request).unwrap();
    assert_eq!((ending.bytes, sys::seek_position(&source).unwrap()), (300_001, 0));
    assert_same(&content(&one), &original[100_000..400_001]);
    assert_same(&content(&other), &original[100_000..400_001]);
}

#[test]
fn what_could_only_fail_is_refused() {
    let source = file(b"some");
    let none: [&dyn AsFd; 0] = [];
    assert!(zcio::fan_out(&source, &none, FanOutRequest::default()).is_err());
    let (reader, _writer) = sys::pipe().unwrap();
    let failure = zcio::fan_out(&source, &[&reader], FanOutRequest::default()).unwrap_err();
    assert!(matches!(failure.cause, Cause::System { errno: Errno::BADF, .. }));
    let (near, _far) = UnixStream::pair().unwrap();
    let request = FanOutRequest { start: Some(0), ..FanOutRequest::default() };
    let failure = zcio::fan_out(&near, &[&file(b"")], request).unwrap_err();
    assert!(matches!(failure.cause, Cause::System { errno: Errno::SPIPE, .. }));
}

/// It would never end.
#[test]
fn what_would_write_its_own_source_is_refused() {
    let named = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(named.path(), b"some").unwrap();
    let again = std::fs::OpenOptions::new().append(true).open(named.path()).unwrap();
    let (reader, writer) = sys::pipe().unwrap();
    let one: [(&dyn AsFd, &dyn AsFd); 2] = [(named.as_file(), &again), (&reader, &writer)];
    for (source, sink) in one {
        let failure = zcio::fan_out(&source, &[&file(b""), sink], FanOutRequest::default()).unwrap_err();
        assert_eq!((failure.side, failure.outcome.bytes), (Some(Side::Sink), 0));
        assert!(matches!(failure.cause, Cause::Unsupported(_)), "{failure}");
    }
    assert_eq!(std::fs::read(named.path()).unwrap(), b"some");
}

/// std's pipes and sockets wait inside a call, where no clock is looked at.
#[test]
fn a_blocking_sink_that_takes_nothing_is_left_after_its_time() {
    let (_reader, pipe) = std::io::pipe().unwrap();
    let (socket, _peer) = UnixStream::pair().unwrap();
    let (sinks, original): ([&dyn AsFd; 2], _) = ([&pipe, &socket], bytes(1_000_000));
    for stuck in sinks {
        let (kept, request) = (file(b""), Duration::from_millis(50));
        let request = FanOutRequest { sink_timeout: Some(request), ..FanOutRequest::default() };
        let ending = zcio::fan_out(&file(&original), &[stuck, &kept], request).unwrap();
        assert_eq!((ending.failure, ending.sinks[0].failure), (None, Some(Cause::TimedOut)));
        assert_same(&content(&kept), &original);
    }
}
