//! What the tests of the engine share: something to move, somewhere to move it, and a process to break.

#![allow(dead_code, reason = "each test program takes what it needs")]

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};
use zcio::sys::{self, OpenFlags};
use zcio::{Fallback, Outcome};

pub mod ends;

/// Bytes of which no two pages are alike.
pub fn bytes(length: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> =
        (0..=255_u8).cycle().take(PAGE).collect::<Vec<_>>().repeat(length.div_ceil(PAGE));
    for (number, page) in bytes.chunks_mut(PAGE).enumerate() {
        page[..8].copy_from_slice(&(number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Not a divisor of the kernel's page, so that pages mistaken for each other show.
const PAGE: usize = 4099;

/// A file with this content, its position at the start.
pub fn file(content: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content).unwrap();
    file.rewind().unwrap();
    file
}

/// The same on a file system of its own, which shares nothing with that of [`file`].
pub fn file_elsewhere(content: &[u8]) -> File {
    let mut file = File::from(sys::memfd(c"elsewhere", false).unwrap());
    file.write_all(content).unwrap();
    file.rewind().unwrap();
    file
}

/// An empty file opened with `O_APPEND`.
pub fn file_to_append() -> File {
    let file = tempfile::NamedTempFile::new().unwrap();
    OpenOptions::new().read(true).append(true).open(file.path()).unwrap()
}

/// All that is in a file, whatever its position, which stays.
pub fn content(file: &File) -> Vec<u8> {
    let mut content = Vec::new();
    reopened(file).read_to_end(&mut content).unwrap();
    content
}

/// Another descriptor of the file, with a position of its own.
pub fn reopened(file: &File) -> File {
    File::from(sys::reopen(file, OpenFlags::empty()).unwrap())
}

/// Two ends of one TCP connection.
pub fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (one, listener.accept().unwrap().0)
}

/// Reads to the end on a thread of its own.
pub fn receive(mut source: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut received = Vec::new();
        source.read_to_end(&mut received).unwrap();
        received
    })
}

/// Writes everything and closes, on a thread of its own.
pub fn send(mut sink: impl Write + Send + 'static, content: Vec<u8>) -> JoinHandle<()> {
    thread::spawn(move || sink.write_all(&content).unwrap())
}

/// Writes everything, ends, and returns what came the other way.
pub fn exchange(socket: &UnixStream, content: Vec<u8>) -> JoinHandle<Vec<u8>> {
    let (mut writer, reader) = (socket.try_clone().unwrap(), socket.try_clone().unwrap());
    thread::spawn(move || {
        let received = receive(reader);
        writer.write_all(&content).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
        received.join().unwrap()
    })
}

/// Fills a nonblocking sink until it takes no more.
pub fn fill(sink: impl AsFd) {
    while sys::write(&sink, &[b'x'; 4096]).is_ok() {}
}

/// How long it is watched; a loop would burn all of it.
const WATCHED: Duration = Duration::from_millis(300);

/// A tenth of that is far more than a few wake-ups cost, and far less than a loop does.
#[track_caller]
pub fn assert_idle(what: &str) {
    thread::sleep(Duration::from_millis(50));
    let before = cpu_time();
    thread::sleep(WATCHED);
    let burned = Duration::from_micros((cpu_time() - before).num_microseconds().unsigned_abs());
    assert!(burned < WATCHED / 10, "{what}: {burned:?} of CPU in {WATCHED:?}");
}

fn cpu_time() -> TimeVal {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    usage.user_time() + usage.system_time()
}

/// Compares without printing megabytes.
#[track_caller]
pub fn assert_same(found: &[u8], expected: &[u8]) {
    if found != expected {
        let differs = found.iter().zip(expected).position(|(one, other)| one != other);
        panic!("{} bytes instead of {}, the first that differs: {differs:?}", found.len(), expected.len());
    }
}

/// The mechanisms that did not run, and why.
pub fn fallbacks(outcome: &Outcome) -> Vec<(&'static str, &'static str)> {
    let pair = |fallback: &Fallback| (fallback.mechanism.name(), fallback.code);
    outcome.fallbacks.iter().map(pair).collect()
}

/// Runs `body`, the rest of the test `name`, in a process of its own: for what would end or change this one.
#[track_caller]
pub fn in_child(name: &str, body: impl FnOnce()) {
    in_child_of(&mut Command::new(std::env::current_exe().unwrap()), name, body);
}

/// The same, the test program being started by `command`, which hands on its further arguments.
#[track_caller]
pub fn in_child_of(command: &mut Command, name: &str, body: impl FnOnce()) {
    if is_child() {
        return body();
    }
    let child = command.args([name, "--exact", "--nocapture", "--test-threads=1"]).env(CHILD, "1");
    let output = child.output().unwrap();
    let (told, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(
        output.status.success() && told.contains("1 passed"),
        "{name} in its own process: {}\n{told}\n{complained}",
        output.status
    );
}

/// Whether it becomes true within some seconds.
pub fn eventually(mut condition: impl FnMut() -> bool) -> bool {
    let since = Instant::now();
    while !condition() {
        if since.elapsed() > Duration::from_secs(10) {
            return false;
        }
        thread::sleep(Duration::from_millis(1));
    }
    true
}

const CHILD: &str = "ZCIO_TEST_CHILD";

pub fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// Descriptors that this process has open; for a process in which nothing else runs.
pub fn descriptors() -> usize {
    Path::new("/proc/self/fd").read_dir().unwrap().count()
}
