//! What waits costs no more than it must: memory, counted where it is taken.

use std::alloc::System;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use cap::Cap;
use zcio::{Bridge, Endpoint, Fd, Reactor};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

const BRIDGES: usize = 100;

#[test]
fn an_idle_bridge_takes_less_than_a_kibibyte() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let reactor = Reactor::global().unwrap();
    let mut peers = Vec::with_capacity(4 * BRIDGES);
    let mut tickets = Vec::with_capacity(2 * BRIDGES);
    let mut join = |peers: &mut Vec<TcpStream>| {
        for _ in 0..BRIDGES {
            let [(a, left), (b, right)] = [(); 2].map(|()| connect(&listener));
            let ends =
                [a, b].map(|socket| Endpoint::<Fd<'_>>::stream_socket(Arc::new(OwnedFd::from(socket))));
            let bridge = Bridge::between(ends, Default::default(), None).unwrap();
            tickets.push(reactor.carry_out(bridge, drop).expect("not busy"));
            peers.extend([left, right]);
        }
        settled()
    };
    // The first ones also pay for what all share.
    let before = join(&mut peers);
    let each = (join(&mut peers) - before) / BRIDGES;
    assert!(each < 1024, "{each} bytes");
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
