//! The example programs, run as a user runs them: as processes, with files and pipes.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
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
