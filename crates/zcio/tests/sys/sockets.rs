use std::io::{IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::time::Duration;

use zcio::sys::{self, Errno, How, ReceiveFlags, SendFlags, SocketDomain, SocketType};

use crate::support::{file, tcp};

const NONE: SendFlags = SendFlags::empty();
const SOON: Option<Duration> = Some(Duration::from_secs(10));

#[test]
fn a_socket_tells_its_type_family_and_protocol() {
    let (stream, _peer) = tcp();
    let (unix, _other) = UnixStream::pair().unwrap();
    let datagram = UdpSocket::bind("127.0.0.1:0").unwrap();
    let local = UnixDatagram::unbound().unwrap();
    assert_eq!(sys::socket_type(&stream), Ok(SocketType::Stream));
    assert_eq!(sys::socket_type(&datagram), Ok(SocketType::Datagram));
    assert_eq!(sys::socket_type(&local), Ok(SocketType::Datagram));
    assert_eq!(sys::socket_domain(&stream), Ok(SocketDomain::Inet));
    assert_eq!(sys::socket_domain(&unix), Ok(SocketDomain::Unix));
    assert_eq!(sys::is_tcp(&stream), Ok(true));
    assert_eq!(sys::is_tcp(&unix), Ok(false));
    assert_eq!(sys::is_tcp(&datagram), Ok(false));
}

#[test]
fn a_socket_that_listens_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    assert_eq!(sys::is_listening(&listener), Ok(true));
    assert_eq!(sys::is_listening(tcp().0), Ok(false));
}

#[test]
fn what_is_no_socket_answers_so() {
    let plain = file(b"");
    assert_eq!(sys::socket_type(&plain), Err(Errno::NOTSOCK));
    assert_eq!(sys::is_tcp(&plain), Err(Errno::NOTSOCK));
    assert_eq!(sys::take_error(&plain), Err(Errno::NOTSOCK));
    assert_eq!(sys::send(&plain, b"x", NONE), Err(Errno::NOTSOCK));
    assert_eq!(sys::shutdown(&plain, How::Both), Err(Errno::NOTSOCK));
}

#[test]
fn bytes_are_sent_in_order_and_can_be_looked_at_first() {
    let (one, two) = tcp();
    let slices = [IoSlice::new(b"head, "), IoSlice::new(b"body")];
    assert_eq!(sys::send_vectored(&one, &slices, NONE), Ok(10));
    assert_eq!(sys::send(&one, b".", NONE), Ok(1));
    let mut buffer = [0; 20];
    assert_eq!(sys::receive(&two, &mut buffer[..4], ReceiveFlags::PEEK), Ok(4));
    let mut all = Vec::new();
    drop(one);
    (&two).read_to_end(&mut all).unwrap();
    assert_eq!((&buffer[..4], &*all), (&b"head"[..], &b"head, body."[..]));
    assert_eq!(sys::receive(&two, &mut buffer, ReceiveFlags::empty()), Ok(0));
}

#[test]
fn too_many_slices_are_cut() {
    let (one, _two) = UnixStream::pair().unwrap();
    let many = vec![IoSlice::new(b"x"); 2000];
    assert_eq!(sys::send_vectored(&one, &many, NONE), Ok(1024));
}

#[test]
fn a_blocking_socket_is_not_waited_for_when_told_so() {
    let (one, two) = UnixStream::pair().unwrap();
    let nothing = sys::receive(&two, &mut [0], ReceiveFlags::DONTWAIT);
    assert_eq!(nothing, Err(Errno::AGAIN));
    while sys::send(&one, &[0; 4096], SendFlags::DONTWAIT).is_ok() {}
    assert_eq!(sys::send(&one, &[0], SendFlags::DONTWAIT), Err(Errno::AGAIN));
}

#[test]
fn what_more_holds_back_is_sent_by_setting_nodelay_again() {
    let (one, two) = tcp();
    sys::set_tcp_nodelay(&one, true).unwrap();
    assert_eq!(sys::tcp_nodelay(&one), Ok(true));
    assert_eq!(sys::send(&one, b"part", SendFlags::MORE), Ok(4));
    assert_eq!(sys::wait_readable(&two, Some(Duration::from_millis(20))), Ok(false));
    sys::set_tcp_nodelay(&one, true).unwrap();
    assert_eq!(sys::wait_readable(&two, SOON), Ok(true));
}

#[test]
fn a_cork_holds_back_until_it_is_drawn() {
    let (mut one, two) = tcp();
    sys::set_tcp_cork(&one, true).unwrap();
    one.write_all(b"part").unwrap();
    assert_eq!(sys::wait_readable(&two, Some(Duration::from_millis(20))), Ok(false));
    sys::set_tcp_cork(&one, false).unwrap();
    assert_eq!(sys::wait_readable(&two, SOON), Ok(true));
    let (unix, _other) = UnixStream::pair().unwrap();
    assert_eq!(sys::set_tcp_cork(&unix, true), Err(Errno::OPNOTSUPP));
}

#[test]
fn a_shutdown_ends_the_connection_though_a_duplicate_lives() {
    let (one, two) = tcp();
    let _twin = sys::duplicate(&one).unwrap();
    sys::shutdown(&one, How::Write).unwrap();
    let mut buffer = [0; 8];
    assert_eq!(sys::receive(&two, &mut buffer, ReceiveFlags::empty()), Ok(0));
    sys::send(&two, b"still", NONE).unwrap();
    assert_eq!(sys::receive(&one, &mut buffer, ReceiveFlags::empty()), Ok(5));
    assert_eq!(sys::send(&one, b"x", NONE), Err(Errno::PIPE));
}

#[test]
fn a_reset_is_an_error_that_is_taken_once() {
    let (one, two) = tcp();
    reset(one);
    assert_eq!(sys::wait_readable(&two, SOON), Ok(true));
    assert_eq!(sys::take_error(&two), Ok(Some(Errno::CONNRESET)));
    assert_eq!(sys::take_error(&two), Ok(None));
}

/// Closes a connection as a crash would: to linger for no time at all sends a reset.
fn reset(socket: TcpStream) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let (value, size) = ((&raw const linger).cast(), libc::socklen_t::try_from(size_of_val(&linger)));
    let (fd, size) = (socket.as_raw_fd(), size.unwrap());
    // SAFETY: the kernel reads a `linger` where there is one.
    let set = unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_LINGER, value, size) };
    assert_eq!(set, 0);
    drop(socket);
}
