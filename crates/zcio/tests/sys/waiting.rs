use std::fs::File;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use zcio::sys::{self, Epoll, Errno, Event, EventBuffer, EventFd, Events, Fd, Interest, PollFd};

use crate::signals::interrupted;
use crate::support::{drain, fill, filled_pipe};

const AT_ONCE: Option<Duration> = Some(Duration::ZERO);
const SOON: Option<Duration> = Some(Duration::from_secs(10));

#[test]
fn a_wait_ends_with_its_timeout_and_never_before() {
    let (reader, _writer) = sys::pipe().unwrap();
    let start = Instant::now();
    for timeout in [Duration::from_micros(1500), Duration::from_millis(20)] {
        let start = Instant::now();
        assert_eq!(sys::wait_readable(&reader, Some(timeout)), Ok(false));
        assert!(start.elapsed() >= timeout);
    }
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_wait_for_ever_and_a_day_ends_with_what_it_waits_for() {
    let (reader, _writer) = filled_pipe(b"x");
    assert_eq!(sys::wait_readable(&reader, None), Ok(true));
    assert_eq!(sys::wait_readable(&reader, Some(Duration::MAX)), Ok(true));
}

#[test]
fn an_interrupted_wait_goes_on_with_the_time_that_is_left() {
    let (reader, _writer) = sys::pipe().unwrap();
    let timeout = Duration::from_millis(100);
    let (answer, elapsed) = interrupted(|| {
        let start = Instant::now();
        (sys::wait_readable(&reader, Some(timeout)), start.elapsed())
    });
    assert_eq!(answer, Ok(false));
    assert!((timeout..Duration::from_secs(5)).contains(&elapsed), "{elapsed:?}");
}

#[test]
fn a_pipe_without_writers_is_readable_and_one_without_readers_writable() {
    let (reader, writer) = sys::pipe().unwrap();
    drop(writer);
    let mut fds = [PollFd::new(reader.as_fd(), Interest::READABLE)];
    assert_eq!(sys::poll(&mut fds, AT_ONCE), Ok(1));
    assert_eq!(fds[0].events(), Events::HUP);
    assert!(fds[0].events().readable());
    let (reader, writer) = sys::pipe().unwrap();
    fill(&writer);
    assert_eq!(sys::wait_writable(&writer, AT_ONCE), Ok(false));
    drop(reader);
    let mut fds = [PollFd::new(writer.as_fd(), Interest::WRITABLE)];
    assert_eq!(sys::poll(&mut fds, AT_ONCE), Ok(1));
    assert!(fds[0].events().contains(Events::ERR) && fds[0].events().writable());
}

#[test]
fn poll_reports_each_descriptor_for_itself() {
    let ((full, _one), (empty, two)) = (filled_pipe(b"x"), sys::pipe().unwrap());
    let mut fds = [
        PollFd::new(full.as_fd(), Interest::READABLE),
        PollFd::new(empty.as_fd(), Interest::READABLE),
        PollFd::new(two.as_fd(), Interest::WRITABLE | Interest::EDGE),
    ];
    assert_eq!(sys::poll(&mut fds, SOON), Ok(2));
    assert_eq!(fds.map(|fd| fd.events()), [Events::IN, Events::empty(), Events::OUT]);
}

#[test]
fn epoll_reports_an_edge_once_and_anew_after_modify() {
    let (reader, writer) = filled_pipe(b"x");
    let (epoll, mut buffer) = (Epoll::new().unwrap(), EventBuffer::with_capacity(8));
    let edge = Interest::READABLE | Interest::EDGE;
    epoll.add(&reader, u64::MAX, edge).unwrap();
    assert_eq!(epoll.wait(&mut buffer, SOON), Ok(1));
    let expected = Event { token: u64::MAX, events: Events::IN };
    assert_eq!(buffer.iter().collect::<Vec<_>>(), [expected]);
    assert_eq!(epoll.wait(&mut buffer, AT_ONCE), Ok(0));
    assert_eq!(buffer.iter().len(), 0);
    sys::write(&writer, b"y").unwrap();
    assert_eq!(epoll.wait(&mut buffer, SOON), Ok(1));
    epoll.modify(&reader, 7, edge).unwrap();
    assert_eq!(epoll.wait(&mut buffer, SOON), Ok(1));
    assert_eq!(buffer.iter().next().unwrap().token, 7);
    epoll.delete(&reader).unwrap();
    sys::write(&writer, b"z").unwrap();
    assert_eq!(epoll.wait(&mut buffer, AT_ONCE), Ok(0));
}

#[test]
fn epoll_without_edges_reports_for_as_long_as_it_is_so() {
    let (reader, _writer) = filled_pipe(b"x");
    let (epoll, mut buffer) = (Epoll::new().unwrap(), EventBuffer::with_capacity(8));
    epoll.add(&reader, 1, Interest::READABLE).unwrap();
    assert_eq!(epoll.wait(&mut buffer, SOON), Ok(1));
    assert_eq!(epoll.wait(&mut buffer, SOON), Ok(1));
    drain(&reader);
    assert_eq!(epoll.wait(&mut buffer, AT_ONCE), Ok(0));
}

#[test]
fn epoll_refuses_what_is_always_ready_what_it_has_and_what_it_has_not() {
    let (epoll, (reader, writer)) = (Epoll::new().unwrap(), sys::pipe().unwrap());
    let regular = File::open("/proc/self/exe").unwrap();
    assert_eq!(epoll.add(&regular, 1, Interest::READABLE), Err(Errno::PERM));
    epoll.add(&reader, 1, Interest::READABLE).unwrap();
    assert_eq!(epoll.add(&reader, 2, Interest::READABLE), Err(Errno::EXIST));
    assert_eq!(epoll.modify(&writer, 1, Interest::WRITABLE), Err(Errno::NOENT));
    assert_eq!(epoll.delete(&writer), Err(Errno::NOENT));
}

#[test]
fn events_that_do_not_fit_come_with_the_next_wait() {
    let (epoll, mut buffer) = (Epoll::new().unwrap(), EventBuffer::with_capacity(2));
    let pipes: Vec<_> = (0..3).map(|_| filled_pipe(b"x")).collect();
    for (token, (reader, _)) in (0..).zip(&pipes) {
        epoll.add(reader, token, Interest::READABLE | Interest::EDGE).unwrap();
    }
    let mut tokens = Vec::new();
    for _ in 0..2 {
        epoll.wait(&mut buffer, SOON).unwrap();
        tokens.extend(buffer.iter().map(|event| event.token));
    }
    tokens.sort_unstable();
    assert_eq!(tokens, [0, 1, 2]);
}

#[test]
fn a_bell_that_nobody_silences_rings_anew_each_time() {
    let (epoll, mut buffer) = (Epoll::new().unwrap(), EventBuffer::with_capacity(1));
    let bell = EventFd::new().unwrap();
    epoll.add(&bell, 7, Interest::READABLE | Interest::EDGE).unwrap();
    assert_eq!(epoll.wait(&mut buffer, AT_ONCE), Ok(0));
    for _ in 0..3 {
        thread::scope(|scope| (0..3).for_each(|_| drop(scope.spawn(|| bell.wake().unwrap()))));
        assert_eq!(epoll.wait(&mut buffer, AT_ONCE), Ok(1));
        assert_eq!(epoll.wait(&mut buffer, AT_ONCE), Ok(0));
    }
}

#[test]
fn a_descriptor_is_the_same_owned_shared_or_borrowed() {
    let (reader, writer) = sys::pipe().unwrap();
    let writer = Arc::new(writer);
    let (shared, twin) = (Fd::from(writer.clone()), Fd::from(writer));
    assert_eq!(sys::write(&shared, b"one "), Ok(4));
    drop(shared);
    assert_eq!(sys::write(Fd::from(twin.as_fd()), b"two"), Ok(3));
    drop(twin);
    let owned = Fd::from(reader);
    assert_eq!(drain(&owned), b"one two");
    assert_eq!(sys::read(&owned, &mut [0]), Ok(0));
}
