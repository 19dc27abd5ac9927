//! Relays on the reactor: every pair, the residual of a cancel, and how few pipes it takes.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::thread;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{MsgFlags, send as send_flags};
use zcio::sys::{self, Errno};
use zcio::{Cause, Mechanism, Request};

use crate::common::ends::{Of, Sink, Source, nonblocking};
use crate::common::{assert_same, bytes, eventually, fallbacks, file, in_child, receive, send, tcp};
use crate::{Started, socket, start, start_with};

const MIB: usize = 1 << 20;

/// No edge of epoll tells of what is behind it.
#[test]
fn what_is_behind_an_urgent_byte_arrives() {
    for of in [Of::Unix, Of::File, Of::Pipe] {
        let (source, mut peer) = tcp();
        let sink = Sink::new(of);
        nonblocking(&source);
        nonblocking(&sink);
        peer.write_all(b"hello").unwrap();
        send_flags(peer.as_raw_fd(), b"!", MsgFlags::MSG_OOB).unwrap();
        peer.write_all(b"world").unwrap();
        let started = start(&source, &sink);
        eventually(|| started.ticket.bytes() == 10);
        peer.write_all(b".").unwrap();
        drop(peer);
        assert_eq!(started.end().unwrap().bytes, 11);
        assert_eq!(sink.end(), b"helloworld.");
    }
}

#[test]
fn every_pair_is_moved_by_the_reactor() {
    for source in Of::ALL {
        for sink in Of::ALL {
            for length in [0, 65_537, 3 * MIB + 3] {
                let (from, to) = (Source::new(source, bytes(length)), Sink::new(sink));
                nonblocking(&from);
                nonblocking(&to);
                let outcome = start(&from, &to).end().unwrap();
                assert_eq!(outcome.bytes, length as u64, "{source:?} to {sink:?}");
                if length > 0 {
                    let file_to_other = source == Of::File && sink != Of::Pipe;
                    let expected = if file_to_other { Mechanism::Sendfile } else { Mechanism::Splice };
                    assert_eq!(
                        outcome.mechanism,
                        expected,
                        "{source:?} to {sink:?}: {:?}",
                        fallbacks(&outcome)
                    );
                }
                assert_same(&to.end(), &bytes(length));
                from.end();
            }
        }
    }
}

/// in = out + residual, and the rest is still in the source.
#[test]
fn what_a_cancelled_relay_had_taken_is_given_back() {
    for source in [Of::Tcp, Of::Unix, Of::Pipe] {
        for point in [0, 70_000, 900_000] {
            let from = Source::new(source, bytes(2 * MIB));
            nonblocking(&from);
            let (sink, mut receiver) = socket();
            let started = start(&from, &sink);
            let mut arrived = vec![0; point];
            receiver.read_exact(&mut arrived).unwrap();
            started.ticket.cancel();
            let failure = started.end().unwrap_err();
            assert_eq!(failure.cause, Cause::Canceled);
            drop(sink);
            receiver.read_to_end(&mut arrived).unwrap();
            assert_eq!(failure.outcome.bytes, arrived.len() as u64);
            sys::set_nonblocking(&from, false).unwrap();
            let rest = receive(fs::File::from(from.fd.try_clone().unwrap()));
            assert_same(&[arrived, failure.outcome.residual, rest.join().unwrap()].concat(), &bytes(2 * MIB));
            from.end();
        }
    }
}

/// Descriptors of this process that are pipes.
fn pipes() -> usize {
    let links =
        fs::read_dir("/proc/self/fd").unwrap().filter_map(|fd| fs::read_link(fd.unwrap().path()).ok());
    links.filter(|link| link.to_string_lossy().starts_with("pipe:")).count()
}

/// As a proxy with many clients who think.
#[test]
fn idle_relays_hold_no_pipe_and_an_idle_reactor_keeps_none() {
    in_child("relay::idle_relays_hold_no_pipe_and_an_idle_reactor_keeps_none", || {
        let before = pipes();
        let mut relays: Vec<_> = (0..60)
            .map(|_| {
                let ((source, peer), (sink, receiver)) = (socket(), socket());
                (start(&source, &sink), peer, receiver)
            })
            .collect();
        for (_, peer, receiver) in &mut relays {
            peer.write_all(b"once").unwrap();
            receiver.read_exact(&mut [0; 4]).unwrap();
        }
        assert!(eventually(|| relays.iter().all(|(started, ..)| started.ticket.bytes() == 4)));
        assert!(eventually(|| pipes() == before), "{} pipes while all are idle", pipes());

        // And they are not tired.
        let endings: Vec<_> = relays
            .into_iter()
            .map(|(started, mut peer, receiver)| {
                peer.write_all(b" more").unwrap();
                drop(peer);
                (started, receiver)
            })
            .collect();
        for (started, receiver) in endings {
            let outcome = started.end().unwrap();
            assert_eq!((outcome.bytes, outcome.mechanism), (9, Mechanism::Splice));
            drop(receiver);
        }
        assert!(eventually(|| pipes() == before), "{} pipes with nothing to do", pipes());
    });
}

#[test]
fn a_relay_to_a_file_leaves_no_pipe_and_no_trace() {
    in_child("relay::a_relay_to_a_file_leaves_no_pipe_and_no_trace", || {
        let before = pipes();
        for _ in 0..20 {
            // All of it, and the end, is there before the first call: the disk pool ends it.
            let (source, mut peer) = socket();
            peer.write_all(b"all there is").unwrap();
            drop(peer);
            assert_eq!(start(&source, &file(b"")).end().unwrap().bytes, 12);
        }
        assert!(eventually(|| pipes() == before), "{} pipes with nothing to do", pipes());
    });
}

/// It has nothing, has not hung up, and makes no edge: whether the first writer writes or just goes.
#[test]
fn a_fifo_is_waited_for_until_its_first_writer_has_been_there() {
    let folder = tempfile::tempdir().unwrap();
    for words in [&b"some words"[..], b""] {
        let path = folder.path().join(words.len().to_string());
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let nonblocking = nix::fcntl::OFlag::O_NONBLOCK.bits();
        let source = fs::OpenOptions::new().read(true).custom_flags(nonblocking).open(&path).unwrap();
        let (sink, peer) = socket();
        let started = start(&source, &sink);
        assert!(started.is_under_way(), "nobody has written yet");
        fs::OpenOptions::new().write(true).open(&path).unwrap().write_all(words).unwrap();
        let outcome = started.end().unwrap();
        assert_eq!((outcome.bytes, outcome.mechanism), (words.len() as u64, Mechanism::Splice));
        drop(sink);
        assert_eq!(receive(peer).join().unwrap(), words);
    }
}

/// Only those wait with bytes in a pipe whose sink is full.
#[test]
fn stuck_relays_hold_a_pipe_each_and_end_whole() {
    in_child("relay::stuck_relays_hold_a_pipe_each_and_end_whole", || {
        let before = pipes();
        let stuck: Vec<(Started, _, _)> = (0..20)
            .map(|_| {
                let ((source, peer), (sink, receiver)) = (socket(), socket());
                (start(&source, &sink), send(peer, bytes(2 * MIB)), receiver)
            })
            .collect();
        thread::sleep(Duration::from_millis(200));
        assert!(pipes() >= before + 40, "{} ends of pipes", pipes());
        for (started, sender, receiver) in stuck {
            let received = receive(receiver);
            assert_eq!(started.end().unwrap().bytes, 2 * MIB as u64);
            sender.join().unwrap();
            assert_same(&received.join().unwrap(), &bytes(2 * MIB));
        }
    });
}

#[test]
fn without_descriptors_for_a_pipe_the_reactor_copies() {
    in_child("relay::without_descriptors_for_a_pipe_the_reactor_copies", || {
        let before = pipes();
        let ((source, mut peer), (sink, receiver)) = (socket(), socket());
        let started = start(&source, &sink);
        // It has looked once, and what pipe that took is closed.
        assert!(started.is_under_way() && eventually(|| pipes() == before));
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, 3, hard).unwrap();
        peer.write_all(&bytes(1000)).unwrap();
        assert!(eventually(|| started.ticket.bytes() == 1000));
        setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
        let (sender, received) = (send(peer, bytes(MIB)), receive(receiver));
        let outcome = started.end().unwrap();
        drop(sink);
        assert_eq!((outcome.mechanism, outcome.bytes), (Mechanism::ReadWrite, 1000 + MIB as u64));
        assert_eq!(fallbacks(&outcome), [("splice", Errno::MFILE.name())]);
        sender.join().unwrap();
        assert_same(&received.join().unwrap(), &[bytes(1000), bytes(MIB)].concat());
    });
}

/// One that is sent byte by byte does not keep the thread from the others.
#[test]
fn a_relay_of_tiny_packets_lets_others_have_their_turn() {
    let ((source, peer), (sink, receiver)) = (socket(), socket());
    let tiny = start(&source, &sink);
    let received = receive(receiver);
    let sender = thread::spawn(move || {
        for byte in &bytes(20_000) {
            (&peer).write_all(&[*byte]).unwrap();
        }
    });
    let (other, other_peer) = socket();
    let other_received = receive(other_peer);
    start_with(&file(&bytes(MIB)), &other, Request::default()).unwrap().end().unwrap();
    drop(other);
    assert_same(&other_received.join().unwrap(), &bytes(MIB));
    sender.join().unwrap();
    assert_eq!(tiny.end().unwrap().bytes, 20_000);
    drop(sink);
    assert_same(&received.join().unwrap(), &bytes(20_000));
}
