//! What the process' owner may set and may know: switches, limits, counters, and what a transfer would do.
//!
//! Counters and switches are the whole process': so it is one test after the other, under a lock.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::NamedTempFile;
use zcio::config::{self, Switch};
use zcio::stats::{Stats, stats};
use zcio::sys::{self, FileSystem};
use zcio::transfer::plan::{Rung, plan};
use zcio::{Cause, Errno, Facts, Fallback, Mechanism, Mechanisms, Request, transfer, transfer_with};

use Mechanism::{CopyFileRange, ReadWrite, Reflink, Sendfile, Splice};

static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Switches these off until it is dropped.
struct Off;

impl Off {
    fn switch(switches: &[(Mechanism, Option<FileSystem>)]) -> Self {
        let switch = |&(mechanism, file_system)| Switch { mechanism, file_system };
        config::set_switches(switches.iter().map(switch).collect());
        Self
    }
}

impl Drop for Off {
    fn drop(&mut self) {
        config::set_switches(Vec::new());
    }
}

fn files(bytes: usize) -> (File, NamedTempFile) {
    let mut source = NamedTempFile::new().unwrap();
    source.write_all(&vec![7; bytes]).unwrap();
    (File::open(source.path()).unwrap(), NamedTempFile::new().unwrap())
}

/// The tries of a transfer: what would run, and what would not, by its code.
fn told(rungs: &[Rung]) -> Vec<(Mechanism, Option<&'static str>)> {
    rungs.iter().map(|rung| (rung.mechanism, rung.refused)).collect()
}

fn planned(source: impl AsFd, sink: impl AsFd, request: Request) -> Vec<(Mechanism, Option<&'static str>)> {
    told(&plan(&Facts::of(source).unwrap(), &Facts::of(sink).unwrap(), request).unwrap())
}

#[test]
fn what_is_switched_off_does_not_run_and_says_so() {
    let _alone = alone();
    let (source, sink) = files(5000);
    let off = Off::switch(&[(Reflink, None), (CopyFileRange, None)]);
    assert_eq!(
        planned(&source, &sink, Request::default()),
        [
            (Reflink, Some("SWITCHED_OFF")),
            (CopyFileRange, Some("SWITCHED_OFF")),
            (Sendfile, None),
            (Splice, None),
            (ReadWrite, None)
        ]
    );
    let outcome = transfer(&source, &sink).unwrap();
    let switched_off = |mechanism| Fallback { mechanism, code: "SWITCHED_OFF" };
    assert_eq!((outcome.bytes, outcome.mechanism), (5000, Sendfile));
    assert_eq!(outcome.fallbacks, [switched_off(Reflink), switched_off(CopyFileRange)]);
    assert_eq!(fs::read(sink.path()).unwrap(), [7; 5000]);

    drop(off);
    assert_eq!(config::switched_off(), Mechanisms::NONE);
    assert!(
        planned(&source, &sink, Request::default())
            .iter()
            .all(|(_, refused)| *refused != Some("SWITCHED_OFF"))
    );
}

#[test]
fn a_file_system_is_meant_at_either_end_and_no_other_is() {
    let _alone = alone();
    let memory = File::from(sys::memfd(c"knowing", false).unwrap());
    let (source, sink) = files(5000);
    let disk = sys::file_system(&source).unwrap();
    if disk == FileSystem::TMPFS {
        return;
    }
    let _off = Off::switch(&[(Sendfile, Some(FileSystem::TMPFS)), (Splice, Some(disk))]);
    let off = |source: &File, sink: &File| -> Vec<_> {
        let rungs = planned(source, sink, Request::default());
        rungs.into_iter().filter(|(_, code)| *code == Some("SWITCHED_OFF")).map(|(off, _)| off).collect()
    };
    assert_eq!(off(&memory, sink.as_file()), [Sendfile, Splice]);
    assert_eq!(off(&source, &memory), [Sendfile, Splice]);
    assert_eq!(off(&memory, &memory.try_clone().unwrap()), [Sendfile]);
    assert_eq!(off(&source, sink.as_file()), [Splice]);
}

#[test]
fn a_transfer_has_switches_of_its_own() {
    let _alone = alone();
    let (source, sink) = files(100);
    let all = [Reflink, CopyFileRange, Sendfile, Splice].into_iter().collect();
    let request = Request { switched_off: all, ..Request::default() };
    assert_eq!(transfer_with(&source, &sink, request).unwrap().mechanism, ReadWrite);

    let nothing = Request { fallback: false, start: Some(0), ..request };
    let failure = transfer_with(&source, &sink, nothing).unwrap_err();
    assert_eq!(
        (failure.cause, failure.outcome.bytes, failure.outcome.fallbacks.len()),
        (Cause::CopyRequired, 0, 4)
    );
    assert_eq!(planned(&source, &sink, nothing).last(), Some(&(ReadWrite, Some("COPY_REQUIRED"))));
}

#[test]
fn a_plan_refuses_what_the_transfer_would() {
    let _alone = alone();
    let (source, sink) = files(1);
    let (near, _far) = UnixStream::pair().unwrap();
    let facts = |fd: &dyn AsFd| Facts::of(fd.as_fd()).unwrap();
    let backwards = plan(&facts(&sink.as_file()), &facts(&source), Request::default()).unwrap_err();
    assert_eq!(backwards.errno(), Errno::BADF);
    let asynchronous = Request { asynchronous: true, sink_start: Some(1), ..Request::default() };
    assert_eq!(plan(&facts(&source), &facts(&near), asynchronous).unwrap_err().errno(), Errno::SPIPE);
}

#[test]
fn what_moved_is_counted_by_its_mechanism_and_what_did_not_by_its_reason() {
    let _alone = alone();
    let before = stats();
    let (source, sink) = files(70_000);
    let (near, far) = UnixStream::pair().unwrap();
    let reader = std::thread::spawn(move || std::io::copy(&mut &far, &mut std::io::sink()).unwrap());
    transfer_with(&source, &near, Request { start: Some(0), ..Request::default() }).unwrap();
    drop(near);
    assert_eq!(reader.join().unwrap(), 70_000);
    let request =
        Request { switched_off: [Reflink, CopyFileRange].into_iter().collect(), ..Request::default() };
    transfer_with(&source, &sink, Request { snapshot: true, ..request }).unwrap();
    transfer_with(&sink.as_file(), &source, request).unwrap_err();

    let after = stats();
    let moved = |stats: &Stats, mechanism: Mechanism| stats.bytes[mechanism as usize];
    assert_eq!(moved(&after, Sendfile) - moved(&before, Sendfile), 140_000);
    assert_eq!(after.completed - before.completed, 2);
    assert_eq!(after.started - before.started, 2, "what is refused before it begins has not");
    assert_eq!(after.started, after.completed + after.failed, "nothing is under way");
    let switched_off = |stats: &Stats| stats.fallbacks.get("SWITCHED_OFF").copied().unwrap_or(0);
    assert_eq!(switched_off(&after) - switched_off(&before), 2);
}

#[test]
fn a_failure_is_counted_as_one() {
    let _alone = alone();
    let before = stats();
    let (source, _) = files(100);
    let full = File::options().write(true).open("/dev/full").unwrap();
    assert_eq!(transfer(&source, &full).unwrap_err().errno(), Errno::NOSPC);
    let after = stats();
    assert_eq!((after.failed - before.failed, after.completed - before.completed), (1, 0));
}

#[test]
fn a_copy_that_was_forbidden_has_not_started() {
    let _alone = alone();
    let before = stats();
    let (source, sink) = files(100);
    let switched_off = [Reflink, CopyFileRange, Sendfile, Splice].into_iter().collect();
    let request = Request { switched_off, fallback: false, ..Request::default() };
    assert_eq!(transfer_with(&source, &sink, request).unwrap_err().cause, Cause::CopyRequired);
    let after = stats();
    assert_eq!((after.started, after.failed), (before.started, before.failed));
}

#[test]
fn limits_are_what_they_were_set_to() {
    let _alone = alone();
    assert_eq!((config::disk_threads(), config::inline_max(), config::pipe_budget()), (4, 65536, None));
    config::set_disk_threads(0);
    assert_eq!(config::disk_threads(), 1, "somebody has to do it");
    config::set_pipe_budget(Some(0));
    assert_eq!(config::pipe_budget(), Some(0));
    config::set_disk_threads(4);
    config::set_pipe_budget(None);
}

#[test]
fn file_systems_have_names() {
    for file_system in FileSystem::NAMED {
        assert_eq!(file_system.name().and_then(FileSystem::named), Some(*file_system));
    }
    assert_eq!(FileSystem::named("ext5"), None);
    for mechanism in Mechanism::ALL {
        assert_eq!(Mechanism::named(mechanism.name()), Some(mechanism));
    }
    assert_eq!(Mechanism::named("rsync"), None);
}
