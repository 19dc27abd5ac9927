//! The example programs, run as a user runs them: as processes, with files, pipes and sockets.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use zcio::sys;

mod common;
use common::{assert_same, bytes, receive, send};

/// Sizes at which a loop goes wrong: nothing, less and more than a buffer, several chunks and a bit.
const LENGTHS: [usize; 5] = [0, 1, 65_536, 65_537, 5_000_003];

/// Built by `cargo test`, beside the tests.
fn example(name: &str) -> Command {
    let test = std::env::current_exe().unwrap();
    let program: PathBuf = test.parent().unwrap().with_file_name("examples").join(name);
    assert!(program.exists(), "cargo build -p zcio --examples");
    Command::new(program)
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn three_programs_copy_files_in_three_ways() {
    let folder = tempfile::tempdir().unwrap();
    let (source, sink) = (folder.path().join("source"), folder.path().join("sink"));
    for (name, more) in
        [("cp_read_write", None), ("cp_sendfile", None), ("cp_sendfile", Some("4097")), ("cp", None)]
    {
        for length in LENGTHS {
            fs::write(&source, bytes(length)).unwrap();
            // Longer than the copy: it must be cut.
            fs::write(&sink, vec![b'x'; length + 10]).unwrap();
            let output = example(name).args([&source, &sink]).args(more).output().unwrap();
            assert!(output.status.success(), "{name}: {}", complaint(&output));
            let told = String::from_utf8(output.stdout).unwrap();
            assert!(told.starts_with(&format!("{length} bytes")), "{name}: {told}");
            assert_same(&fs::read(&sink).unwrap(), &bytes(length));
        }
    }
}

#[test]
fn cp_says_how_it_copied_and_how_not() {
    let folder = tempfile::tempdir().unwrap();
    let sink = folder.path().join("sink");
    let output = example("cp").args([Path::new("/proc/version"), &sink]).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("not by copy_file_range: "), "{told}");
    assert_same(&fs::read(&sink).unwrap(), &fs::read("/proc/version").unwrap());
}

#[test]
fn copying_what_is_not_there_fails_with_a_reason() {
    for name in ["cp_read_write", "cp_sendfile", "cp"] {
        let output = example(name).args(["/nowhere/to/be/found", "/dev/null"]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{name}");
        assert!(!complaint(&output).is_empty(), "{name}");
        assert_eq!(example(name).output().unwrap().status.code(), Some(1), "{name} without arguments");
    }
}

#[test]
fn tee_gives_the_file_and_stdout_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    for length in LENGTHS {
        let file = folder.path().join("copy");
        let mut child = tee(&file).spawn().unwrap();
        let sender = send(child.stdin.take().unwrap(), bytes(length));
        let received = receive(child.stdout.take().unwrap());
        assert_same(&received.join().unwrap(), &bytes(length));
        assert!(child.wait().unwrap().success());
        assert_same(&fs::read(&file).unwrap(), &bytes(length));
        sender.join().unwrap();
    }
}

fn tee(file: &Path) -> Command {
    let mut command = example("tee");
    command.arg(file).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Small pieces leave slots of the pipe almost empty; pauses let it run dry; a slow reader lets it fill up.
#[test]
fn tee_waits_for_both_ends_whether_they_block_or_not() {
    let folder = tempfile::tempdir().unwrap();
    for nonblocking in [false, true] {
        let file = folder.path().join(nonblocking.to_string());
        let (source, mut writer) = sys::pipe().map(|(reader, writer)| (reader, File::from(writer))).unwrap();
        let (mut reader, sink) = sys::pipe().map(|(reader, writer)| (File::from(reader), writer)).unwrap();
        sys::set_nonblocking(&source, nonblocking).unwrap();
        sys::set_nonblocking(&sink, nonblocking).unwrap();
        sys::set_nonblocking(&writer, false).unwrap();
        sys::set_nonblocking(&reader, false).unwrap();
        let mut child = tee(&file).stdin(source).stdout(sink).spawn().unwrap();

        let sender = thread::spawn(move || {
            for (number, piece) in bytes(400_000).chunks(997).enumerate() {
                writer.write_all(piece).unwrap();
                if number % 100 == 0 {
                    thread::sleep(Duration::from_millis(2));
                }
            }
        });
        let (mut received, mut buffer) = (Vec::new(), vec![0; 10_000]);
        loop {
            match reader.read(&mut buffer).unwrap() {
                0 => break,
                read => received.extend_from_slice(&buffer[..read]),
            }
            thread::sleep(Duration::from_micros(300));
        }
        sender.join().unwrap();
        assert!(child.wait().unwrap().success());
        assert_same(&received, &bytes(400_000));
        assert_same(&fs::read(&file).unwrap(), &bytes(400_000));
    }
}

#[test]
fn tee_says_which_end_is_no_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("copy");
    let output = tee(&file).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(complaint(&output).contains("stdin is not a pipe"), "{}", complaint(&output));
    let output = tee(&file).stdout(File::create("/dev/null").unwrap()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(complaint(&output).contains("stdout is not a pipe"), "{}", complaint(&output));
    assert!(!file.exists(), "nothing was made of what could not work");
}

#[test]
fn tee_ends_with_an_error_when_its_reader_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = tee(&folder.path().join("copy")).spawn().unwrap();
    drop(child.stdout.take());
    let _ = child.stdin.take().unwrap().write_all(b"for nobody");
    let output = child.wait_with_output().unwrap();
    assert!(complaint(&output).contains("EPIPE"), "{}", complaint(&output));
    assert_eq!(output.status.code(), Some(1));
}

/// A proxy that runs, until it is dropped, and where it listens.
struct Proxy {
    process: Child,
    address: SocketAddr,
}

impl Proxy {
    fn to(target: SocketAddr, name: &str) -> Self {
        let mut command = example(name);
        command.args(["127.0.0.1:0", &target.to_string()]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut told = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut told).unwrap();
        let address = told.split(" -> ").next().unwrap().parse().unwrap();
        Self { process, address }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).unwrap()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn proxies() -> Vec<&'static str> {
    if cfg!(feature = "tokio") { vec!["proxy", "tokio_proxy"] } else { vec!["proxy"] }
}

/// Says back what it is told, and ends when its peer does.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for socket in listener.incoming().map(Result::unwrap) {
            thread::spawn(move || std::io::copy(&mut &socket, &mut &socket));
        }
    });
    address
}

#[test]
fn a_proxy_hands_on_both_directions_and_each_end() {
    for name in proxies() {
        let proxy = Proxy::to(echo(), name);
        for length in LENGTHS {
            let socket = proxy.connect();
            let received = receive(socket.try_clone().unwrap());
            (&socket).write_all(&bytes(length)).unwrap();
            // Its own direction ends here; what is on the way back still comes, and then the end of that.
            socket.shutdown(Shutdown::Write).unwrap();
            assert_same(&received.join().unwrap(), &bytes(length));
        }
    }
}

#[test]
fn a_proxy_serves_many_at_once() {
    const CLIENTS: usize = 300;
    for name in proxies() {
        let proxy = Proxy::to(echo(), name);
        let sockets: Vec<TcpStream> = (0..CLIENTS).map(|_| proxy.connect()).collect();
        for round in 0..3 {
            for (number, socket) in sockets.iter().enumerate() {
                (&*socket).write_all(&bytes(1000 + number + round)).unwrap();
            }
            for (number, mut socket) in sockets.iter().enumerate() {
                let mut received = vec![0; 1000 + number + round];
                socket.read_exact(&mut received).unwrap();
                assert_same(&received, &bytes(received.len()));
            }
        }
    }
}

#[test]
fn a_proxy_outlives_a_target_that_refuses() {
    let refused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for name in proxies() {
        let mut proxy = Proxy::to(refused, name);
        for _ in 0..3 {
            let mut received = Vec::new();
            let ended = proxy.connect().read_to_end(&mut received);
            assert!(ended.is_err() || received.is_empty(), "{name}");
        }
        assert!(proxy.process.try_wait().unwrap().is_none(), "{name} goes on");
        proxy.process.kill().unwrap();
        let mut complaints = String::new();
        proxy.process.stderr.take().unwrap().read_to_string(&mut complaints).unwrap();
        assert!(complaints.contains("refused"), "{name}: {complaints}");
    }
}

#[test]
fn a_proxy_says_how_it_is_used() {
    for name in proxies() {
        let output = example(name).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(complaint(&output).contains("LISTEN TARGET"), "{}", complaint(&output));
    }
}
