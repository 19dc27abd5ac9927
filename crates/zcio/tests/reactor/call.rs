//! Single calls: at once where they can be, else when their ends are ready, and pages given whole.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use zcio::drivers::inline;
use zcio::sys::{self, Events, Pages, SpliceFlags};
use zcio::{Call, Cause, Errno, Failure, Gift, Linux, Operation, Reactor, Side, Task, Ticket};

use crate::common::{assert_same, bytes, content, descriptors, eventually, file, fill, in_child};
use crate::{end, socket};

type Ended = Result<usize, Failure>;

const NONE: SpliceFlags = SpliceFlags::empty();

struct Made {
    ticket: Ticket,
    ended: Receiver<Ended>,
}

impl Made {
    fn end(&self) -> Ended {
        self.ended.recv_timeout(Duration::from_secs(20)).expect("a call ends")
    }

    fn waits(&self) -> bool {
        self.ended.recv_timeout(Duration::from_millis(20)) == Err(RecvTimeoutError::Timeout)
    }
}

fn made(task: impl Task<Linux<'static>, Ending = Ended> + Send + 'static) -> Result<Made, Failure> {
    let (on_end, ended) = channel();
    let carried = Reactor::global().unwrap().carry_out(task, move |ended| drop(on_end.send(ended)));
    let ticket = carried.map_err(|ended| ended.expect_err("refused"))?;
    Ok(Made { ticket, ended })
}

fn call<'fd>(source: &'fd impl AsFd, sink: &'fd impl AsFd, operation: Operation) -> Call<'fd> {
    Call::new(end(source), end(sink), operation).unwrap()
}

fn carried(source: &impl AsFd, sink: &impl AsFd, operation: Operation) -> Made {
    made(call(source, sink, operation).into_owned().unwrap()).unwrap()
}

const fn splice(length: usize) -> Operation {
    Operation::Splice { source_offset: None, sink_offset: None, length, flags: NONE }
}

fn drain(reader: &OwnedFd, length: usize) -> Vec<u8> {
    let mut drained = Vec::new();
    while drained.len() < length {
        assert!(sys::wait_readable(reader, Some(Duration::from_secs(20))).unwrap());
        let mut buffer = vec![0; 1 << 16];
        let read = sys::read(reader, &mut buffer).unwrap();
        drained.extend_from_slice(&buffer[..read]);
    }
    drained
}

fn pages(content: &[u8]) -> Arc<Pages> {
    let mut pages = Pages::new(content.len()).unwrap();
    pages.as_mut_slice().copy_from_slice(content);
    Arc::new(pages)
}

#[test]
fn what_is_ready_is_done_at_once_and_what_is_not_is_left() {
    let ((reader, writer), (drained, sink)) = (sys::pipe().unwrap(), sys::pipe().unwrap());
    let mut moving = call(&reader, &sink, splice(100));
    assert_eq!(inline::attempt(&mut moving), None);
    sys::write(&writer, b"ready").unwrap();
    assert_eq!(inline::attempt(&mut moving), Some(Ok(5)));
    assert_eq!(drain(&drained, 5), b"ready");
}

#[test]
fn what_may_wait_for_a_disk_is_not_done_at_once() {
    let (source, sink) = (file(&bytes(1000)), file(b""));
    let operation = Operation::CopyFileRange { source_offset: Some(0), sink_offset: Some(0), length: 1000 };
    assert_eq!(inline::attempt(&mut call(&source, &sink, operation)), None);
    assert_eq!(carried(&source, &sink, operation).end(), Ok(1000));
    assert_same(&content(&sink), &bytes(1000));
}

#[test]
fn a_splice_waits_for_the_end_that_is_not_ready() {
    let ((reader, writer), (drained, sink)) = (sys::pipe().unwrap(), sys::pipe().unwrap());
    fill(&sink);
    let made = carried(&reader, &sink, splice(100));
    assert!(made.waits());
    sys::write(&writer, b"now").unwrap();
    assert!(made.waits(), "the sink is full");
    drain(&drained, sys::pipe_capacity(&drained).unwrap());
    assert_eq!(made.end(), Ok(3));
    assert_eq!(drain(&drained, 3), b"now");
}

#[test]
fn sendfile_waits_for_the_socket() {
    let (socket, peer) = socket();
    fill(&socket);
    let source = file(&bytes(1000));
    let made = carried(&source, &socket, Operation::Sendfile { offset: Some(10), count: 100 });
    assert!(made.waits());
    let mut buffer = vec![0; 1 << 20];
    while sys::readiness(&peer).contains(Events::IN) {
        sys::read(&peer, &mut buffer).unwrap();
    }
    assert_eq!(made.end(), Ok(100));
}

#[test]
fn a_pipe_without_writers_is_at_its_end_and_tee_takes_nothing_out() {
    let ((reader, writer), (drained, sink)) = (sys::pipe().unwrap(), sys::pipe().unwrap());
    let tee = Operation::Tee { length: 100, flags: NONE };
    let made = carried(&reader, &sink, tee);
    assert!(made.waits());
    sys::write(&writer, b"twice").unwrap();
    assert_eq!(made.end(), Ok(5));
    assert_eq!((drain(&drained, 5), drain(&reader, 5)), (b"twice".to_vec(), b"twice".to_vec()));
    let last = carried(&reader, &sink, tee);
    drop(writer);
    assert_eq!(last.end(), Ok(0));
}

#[test]
fn a_fifo_that_nobody_has_opened_yet_is_not_at_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let reader = sys::open(&path, sys::OpenFlags::NONBLOCK, 0).unwrap();
    let (drained, sink) = sys::pipe().unwrap();
    let made = carried(&reader, &sink, splice(100));
    assert!(made.waits());
    std::io::Write::write_all(&mut File::options().write(true).open(&path).unwrap(), b"first").unwrap();
    assert_eq!(made.end(), Ok(5));
    assert_eq!(drain(&drained, 5), b"first");
}

#[test]
fn an_error_names_the_call() {
    let ((reader, writer), (drained, sink)) = (sys::pipe().unwrap(), sys::pipe().unwrap());
    let made = carried(&reader, &sink, splice(1));
    drop(drained);
    sys::write(&writer, b"x").unwrap();
    let failure = made.end().unwrap_err();
    assert_eq!(failure.cause, Cause::System { errno: Errno::PIPE, call: "splice" });
}

#[test]
fn what_would_wait_in_the_kernel_is_refused_and_a_pipe_is_not() {
    let ((reader, writer), (_drained, sink)) = (sys::pipe().unwrap(), sys::pipe().unwrap());
    let (socket, _peer) = socket();
    for end in [reader.as_fd(), writer.as_fd(), sink.as_fd(), socket.as_fd()] {
        sys::set_nonblocking(end, false).unwrap();
    }
    let refused = |side| Some(Failure::early(Cause::Blocking, Some(side)));
    assert_eq!(Call::new(end(&socket), end(&sink), splice(1)).err(), refused(Side::Source));
    assert_eq!(Call::new(end(&reader), end(&socket), splice(1)).err(), refused(Side::Sink));
    let source = file(b"x");
    let sendfile = Operation::Sendfile { offset: None, count: 1 };
    assert_eq!(Call::new(end(&source), end(&sink), sendfile).err(), refused(Side::Sink));
    assert_eq!(inline::attempt(&mut call(&reader, &sink, splice(1))), None);
    let tee = Operation::Tee { length: 1, flags: NONE };
    assert_eq!(inline::attempt(&mut call(&reader, &sink, tee)), None);
}

#[test]
fn nothing_overtakes_a_call_that_waits() {
    let ((reader, writer), (drained, sink)) = (sys::pipe().unwrap(), sys::pipe().unwrap());
    let first = carried(&reader, &sink, splice(100));
    let mut second = call(&reader, &sink, splice(100));
    let busy = Err(Failure::early(Cause::Busy, None));
    assert_eq!(inline::attempt(&mut second), Some(busy.clone()));
    assert_eq!(made(second.into_owned().unwrap()).err().map(Err), Some(busy));
    sys::write(&writer, b"first").unwrap();
    assert_eq!(first.end(), Ok(5));
    assert_eq!(drain(&drained, 5), b"first");
    sys::write(&writer, b"second").unwrap();
    assert_eq!(inline::attempt(&mut call(&reader, &sink, splice(100))), Some(Ok(6)));
}

#[test]
fn a_call_can_be_cancelled_and_leaves_no_descriptor() {
    in_child("call::a_call_can_be_cancelled_and_leaves_no_descriptor", || {
        let (drained, sink) = sys::pipe().unwrap();
        let (reader, _writer) = sys::pipe().unwrap();
        carried(&file(b"x"), &sink, Operation::Sendfile { offset: None, count: 1 }).end().unwrap();
        let before = descriptors();
        let made = carried(&reader, &sink, splice(1));
        assert!(made.waits() && descriptors() == before + 2);
        made.ticket.cancel();
        assert_eq!(made.end().unwrap_err().cause, Cause::Canceled);
        assert!(eventually(|| descriptors() == before));
        drop(drained);
    });
}

#[test]
fn pages_are_given_whole_however_small_the_pipe() {
    let (reader, writer) = sys::pipe().unwrap();
    let parts = [bytes(300_000), bytes(10), bytes(70_000)];
    let whole = parts.concat();
    let gift = Gift::new(end(&writer), parts.iter().map(|part| pages(part)).collect(), NONE);
    let made = made(gift.into_owned().unwrap()).unwrap();
    assert!(made.waits());
    assert_same(&drain(&reader, whole.len()), &whole);
    assert_eq!(made.end(), Ok(whole.len()));
}

#[test]
fn a_gift_that_fails_tells_how_much_was_given() {
    let (reader, writer) = sys::pipe().unwrap();
    let capacity = sys::pipe_capacity(&writer).unwrap();
    let gift = Gift::new(end(&writer), vec![pages(&bytes(2 * capacity))], NONE);
    let made = made(gift.into_owned().unwrap()).unwrap();
    assert!(made.waits());
    drop(reader);
    let failure = made.end().unwrap_err();
    assert_eq!(failure.cause, Cause::System { errno: Errno::PIPE, call: "vmsplice" });
    assert_eq!(failure.outcome.bytes, capacity as u64);
}

#[test]
fn a_pipe_can_be_waited_for() {
    let (reader, writer) = sys::pipe().unwrap();
    let readable = made(Gift::of_nothing(end(&reader), Side::Source).into_owned().unwrap()).unwrap();
    assert!(readable.waits());
    fill(&writer);
    assert_eq!(readable.end(), Ok(0));
    let writable = made(Gift::of_nothing(end(&writer), Side::Sink).into_owned().unwrap()).unwrap();
    assert!(writable.waits());
    drain(&reader, sys::pipe_capacity(&reader).unwrap());
    assert_eq!(writable.end(), Ok(0));
}
