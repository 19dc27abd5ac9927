//! What an application's callback does wrong is its own: the threads of the reactor are everybody's.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::channel;
use std::time::Duration;

use zcio::{Endpoint, FanOut, FanOutRequest, Fd, Reactor, Request, Transfer, sys};

use crate::common::{content, file, file_elsewhere, in_child};
use crate::{end, socket, start};

/// Transfers that are over, one after the other, and each callback in its panic.
fn end_in_a_panic(source: &impl AsFd, sink: &impl AsFd, times: usize) {
    for _ in 0..times {
        let request = Request { start: Some(0), ..Request::default() };
        let transfer = Transfer::new(end(source), end(sink), request).unwrap();
        let (told, telling) = channel();
        let on_end = move |_| {
            told.send(()).unwrap();
            panic!("of the application");
        };
        Reactor::global().unwrap().submit(transfer, on_end).unwrap();
        telling.recv_timeout(Duration::from_secs(20)).unwrap();
    }
}

#[test]
fn one_at_an_end_leaves_the_event_loop_to_the_others() {
    in_child("panics::one_at_an_end_leaves_the_event_loop_to_the_others", || {
        let (sink, _peer) = socket();
        end_in_a_panic(&file_elsewhere(b"first"), &sink, 1);
        assert_eq!(start(&file_elsewhere(b"second"), &sink).end().unwrap().bytes, 6);
    });
}

/// As many as there may be disk workers.
#[test]
fn some_at_ends_leave_the_disk_workers_to_the_others() {
    in_child("panics::some_at_ends_leave_the_disk_workers_to_the_others", || {
        end_in_a_panic(&file(b"first"), &file(b""), zcio::config::disk_threads());
        let copy = file(b"");
        start(&file(b"second"), &copy).end().unwrap();
        assert_eq!(content(&copy), b"second");
    });
}

#[test]
fn one_about_a_sink_that_has_left_does_not_disturb_the_rest_of_a_fan_out() {
    in_child("panics::one_about_a_sink_that_has_left_does_not_disturb_the_rest_of_a_fan_out", || {
        let own = |fd: OwnedFd| Endpoint::<Fd<'static>>::of(fd).unwrap();
        let ((bad, bad_peer), copy) = (socket(), file(b""));
        drop(bad_peer);
        let sinks = vec![own(bad.into()), own(sys::duplicate(&copy).unwrap())];
        let request = FanOutRequest { drop_failed: true, ..FanOutRequest::default() };
        let fan_out = FanOut::new(own(file(b"some").into()), sinks, request).unwrap();
        let fan_out = fan_out.on_leave(|sink, _| panic!("sink {sink} has left"));
        let (told, telling) = channel();
        let ticket = Reactor::global().unwrap().carry_out(fan_out, move |ending| told.send(ending).unwrap());
        let ending = telling.recv_timeout(Duration::from_secs(20)).unwrap();
        assert_eq!((ending.bytes, ending.failure, content(&copy)), (4, None, b"some".to_vec()));
        assert_eq!(ticket.expect("not busy").bytes_of(1), 4);
    });
}
