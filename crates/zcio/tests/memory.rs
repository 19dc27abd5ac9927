//! What waits costs no more than it must: memory, counted where it is taken.

use std::alloc::System;
use std::collections::HashMap;
use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use cap::Cap;
use zcio::{Bridge, Endpoint, Fd, Reactor};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// One more than what a table of 256 buckets takes: it has just been doubled, and is as empty as it ever is.
const BRIDGES: usize = 225;

/// What glibc's malloc adds to a piece of memory, at most: its own word, and what is rounded up to 16 bytes.
const PIECE: usize = 24;

/// Pieces that an idle bridge has: the job, what it shares with its owner, the sockets of that and how they are watched,
/// two descriptors, and whom to tell.
const PIECES: usize = 7;

#[test]
fn an_idle_bridge_takes_less_than_a_kibibyte() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let reactor = Reactor::global().unwrap();
    let mut peers = Vec::with_capacity(2 * BRIDGES);
    // As the binding for Node.js keeps them.
    let mut tickets = HashMap::new();
    let mut join = |id: u32| {
        let [(a, left), (b, right)] = [(); 2].map(|()| connect(&listener));
        let ends = [a, b].map(|socket| Endpoint::<Fd<'_>>::stream_socket(Arc::new(OwnedFd::from(socket))));
        let bridge = Bridge::between(ends, Default::default(), None).unwrap();
        let on_end = move |_| {
            black_box([id; 4]);
        };
        tickets.insert(id, reactor.carry_out(bridge, on_end).expect("not busy"));
        for (mut from, mut to) in [(&left, &right), (&right, &left)] {
            from.write_all(b"z").unwrap();
            to.read_exact(&mut [0]).unwrap();
        }
        peers.extend([left, right]);
    };
    join(0);
    // The first one also pays for what all share.
    let before = settled();
    (1..).take(BRIDGES - 1).for_each(&mut join);
    let each = (settled() - before) / (BRIDGES - 1) + PIECES * PIECE;
    assert!(each <= 1024, "{each} bytes");
}

/// What is allocated when the event loop has come to rest.
fn settled() -> usize {
    let mut looks = [0, 1, 2];
    while looks != [looks[0]; 3] {
        sleep(Duration::from_millis(50));
        looks = [looks[1], looks[2], ALLOCATOR.allocated()];
    }
    looks[0]
}

fn connect(listener: &TcpListener) -> (TcpStream, TcpStream) {
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    near.set_nonblocking(true).unwrap();
    (near, listener.accept().unwrap().0)
}
