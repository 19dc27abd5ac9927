//! Where a relay hangs, spins or ends too early if it believes what it is told.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{MsgFlags, send};
use zcio::sys::{self, Errno};
use zcio::{Facts, Mechanism, Request, transfer, transfer_with};

use crate::common::ends::{Of, Sink, Source};
use crate::common::{assert_same, bytes, content, fallbacks, file, fill, in_child, receive, tcp};

/// sozu-proxy/sozu#1323: packets of one byte fill sixteen slots with sixteen bytes.
#[test]
fn tiny_packets_fill_the_slots_and_nothing_stalls() {
    for of in [Of::Tcp, Of::Unix, Of::File, Of::Pipe] {
        let (source, peer) = tcp();
        peer.set_nodelay(true).unwrap();
        for byte in &bytes(1000) {
            (&peer).write_all(&[*byte]).unwrap();
        }
        drop(peer);
        let sink = Sink::new(of);
        let outcome = transfer(&source, &sink).unwrap();
        assert_eq!((outcome.mechanism, outcome.bytes), (Mechanism::Splice, 1000), "to {of:?}");
        assert_same(&sink.end(), &bytes(1000));
    }
}

/// Splice never goes past it, and says that there is nothing, or that this is the end.
#[test]
fn an_urgent_byte_is_left_out_and_nothing_else() {
    for of in [Of::Tcp, Of::Unix, Of::File, Of::Pipe] {
        for is_blocking in [true, false] {
            let (source, peer) = tcp();
            source.set_nonblocking(!is_blocking).unwrap();
            let sink = Sink::new(of);
            (&peer).write_all(b"hello").unwrap();
            send(peer.as_raw_fd(), b"!", MsgFlags::MSG_OOB).unwrap();
            (&peer).write_all(b"world").unwrap();
            drop(peer);
            assert_eq!(transfer(&source, &sink).unwrap().bytes, 10, "to {of:?}");
            assert_eq!(sink.end(), b"helloworld");
        }
    }
}

/// The end of a source shows only where the pipe has a free slot.
#[test]
fn a_source_ends_while_the_pipe_is_full() {
    let (reader, writer) = sys::pipe().unwrap();
    fill(&writer);
    let source = Source::new(Of::Unix, Vec::new());
    let relay = thread::spawn(move || transfer(&source, &writer).unwrap());
    thread::sleep(Duration::from_millis(30));
    assert!(!relay.is_finished(), "a full pipe shows neither an end nor an error");
    let mut taken = vec![0; sys::buffered(&reader).unwrap()];
    assert_eq!(sys::read(&reader, &mut taken), Ok(taken.len()));
    assert_eq!(relay.join().unwrap().bytes, 0);
}

/// While splice(2) waits for its source it locks the pipe: whoever would read what is in it would hang.
#[test]
fn what_has_been_moved_into_a_pipe_can_be_read_while_more_is_waited_for() {
    for of in [Of::Tcp, Of::Unix] {
        let (source, mut peer): (OwnedFd, File) = match of {
            Of::Tcp => tcp_pair(),
            _ => unix_pair(),
        };
        let (mut reader, writer) = std::io::pipe().unwrap();
        let relay = thread::spawn(move || transfer(&source, &writer).unwrap().bytes);
        let (tell, told) = channel();
        let answers = thread::spawn(move || {
            let mut word = [0; 5];
            while reader.read_exact(&mut word).is_ok() {
                tell.send(word).unwrap();
            }
        });
        for word in [b"first", b"then ", b"last "] {
            peer.write_all(word).unwrap();
            let arrived = told.recv_timeout(Duration::from_secs(10));
            assert_eq!(arrived.as_ref(), Ok(word), "from {of:?}");
        }
        drop(peer);
        assert_eq!(relay.join().unwrap(), 15);
        answers.join().unwrap();
    }
}

fn tcp_pair() -> (OwnedFd, File) {
    let (source, peer) = tcp();
    (source.into(), File::from(OwnedFd::from(peer)))
}

fn unix_pair() -> (OwnedFd, File) {
    let (source, peer) = std::os::unix::net::UnixStream::pair().unwrap();
    (source.into(), File::from(OwnedFd::from(peer)))
}

/// Before the first writer a FIFO says that it has ended; whichever way it is read.
#[test]
fn a_fifo_opened_before_its_first_writer_is_not_at_its_end() {
    let folder = tempfile::tempdir().unwrap();
    for (name, append, mechanism) in
        [("one", false, Mechanism::Splice), ("other", true, Mechanism::ReadWrite)]
    {
        let path = folder.path().join(name);
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let nonblocking = nix::fcntl::OFlag::O_NONBLOCK.bits();
        let source = OpenOptions::new().read(true).custom_flags(nonblocking).open(&path).unwrap();
        let sink = if append { crate::common::file_to_append() } else { file(b"") };
        let copy = sink.try_clone().unwrap();
        let relay = thread::spawn(move || transfer(&source, &copy).unwrap());
        thread::sleep(Duration::from_millis(30));
        assert!(!relay.is_finished(), "nobody has written yet");
        let mut writer = OpenOptions::new().write(true).open(&path).unwrap();
        writer.write_all(b"the first").unwrap();
        thread::sleep(Duration::from_millis(10));
        writer.write_all(b" and the last").unwrap();
        drop(writer);
        assert_eq!(relay.join().unwrap().mechanism, mechanism);
        assert_eq!(content(&sink), b"the first and the last");
    }
}

/// The master of a terminal tells by EIO that its other side has been closed.
#[test]
fn a_terminal_whose_other_side_closes_ends_well() {
    let (master, mut slave) = terminal();
    let sink = file(b"");
    let copy = sink.try_clone().unwrap();
    let relay = thread::spawn(move || transfer(&master, &copy).unwrap());
    slave.write_all(b"what was printed").unwrap();
    drop(slave);
    assert_eq!(relay.join().unwrap().bytes, 16);
    assert_eq!(content(&sink), b"what was printed");

    let (master, slave) = terminal();
    drop(slave);
    assert_eq!(transfer(&master, &file(b"")).unwrap().bytes, 0, "it ends before it has begun");
}

/// To a process in the background that reads its terminal EIO says that it may not: an error, not an end.
#[test]
fn only_the_master_of_a_terminal_ends_by_an_error() {
    let (master, slave) = terminal();
    assert!(Facts::of(&master).unwrap().is_terminal_master);
    assert!(!Facts::of(&slave).unwrap().is_terminal_master);
    assert!(!Facts::of(File::open("/dev/null").unwrap()).unwrap().is_terminal_master);
}

/// Both sides of a terminal.
fn terminal() -> (OwnedFd, File) {
    let sides = nix::pty::openpty(None, None).unwrap();
    (sides.master, sides.slave.into())
}

#[test]
fn devices_without_an_end_stop_at_the_length_and_the_empty_one_at_once() {
    let zero = File::open("/dev/zero").unwrap();
    let request = Request { length: Some(3_000_001), ..Request::default() };
    for of in Of::ALL {
        let sink = Sink::new(of);
        let outcome = transfer_with(&zero, &sink, request).unwrap();
        assert_eq!((outcome.mechanism, outcome.bytes), (Mechanism::Splice, 3_000_001), "to {of:?}");
        assert_same(&sink.end(), &vec![0; 3_000_001]);

        let sink = Sink::new(of);
        let outcome = transfer(&File::open("/dev/null").unwrap(), &sink).unwrap();
        assert_eq!((outcome.mechanism, outcome.bytes), (Mechanism::ReadWrite, 0));
        assert_eq!(fallbacks(&outcome), [("splice", "EINVAL")]);
        assert_eq!(sink.end(), b"");
    }
}

/// The smallest pipe of a caller's is used as it is, and stays so.
#[test]
fn pipes_of_two_slots_are_moved_through_and_keep_their_size() {
    let pipe = || {
        let (reader, writer) = std::io::pipe().unwrap();
        assert_eq!(fcntl(&writer, FcntlArg::F_SETPIPE_SZ(8192)).unwrap(), 8192);
        (reader, writer)
    };
    let ((reader, writer), (last, sink)) = (pipe(), pipe());
    let source = Source::new(Of::Tcp, bytes(1_000_003));
    let first = thread::spawn(move || transfer(&source, &writer).unwrap().mechanism);
    let second =
        thread::spawn(move || (transfer(&reader, &sink).unwrap().mechanism, sys::pipe_capacity(&sink)));
    assert_same(&receive(last).join().unwrap(), &bytes(1_000_003));
    assert_eq!(first.join().unwrap(), Mechanism::Splice);
    assert_eq!(second.join().unwrap(), (Mechanism::Splice, Ok(8192)));
}

#[test]
fn without_descriptors_for_a_pipe_it_is_copied() {
    in_child("relay_edges::without_descriptors_for_a_pipe_it_is_copied", || {
        let (from, to) = (Source::new(Of::Unix, bytes(1_000_003)), Sink::new(Of::Tcp));
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, 3, hard).unwrap();
        let outcome = transfer(&from, &to);
        setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
        let outcome = outcome.unwrap();
        assert_eq!((outcome.mechanism, outcome.bytes), (Mechanism::ReadWrite, 1_000_003));
        assert_eq!(fallbacks(&outcome), [("splice", Errno::MFILE.name())]);
        assert_same(&to.end(), &bytes(1_000_003));
        from.end();
    });
}
