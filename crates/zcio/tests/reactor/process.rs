//! What the engine does to the process it lives in: when threads start, what they block, and that they keep nothing
//! alive.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigHandler, Signal, signal};
use zcio::sys::{self, Errno, FileSystem};
use zcio::{Cause, Ending, Facts, Linux, Reactor, Request, Transfer};

use crate::common::{assert_same, bytes, content, eventually, file, file_elsewhere, in_child, receive};
use crate::{end, socket, start, start_with};

const MIB: usize = 1 << 20;

/// The names of the threads of ours, in order.
fn threads() -> Vec<String> {
    let name = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("comm")).ok();
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let mut names: Vec<String> = tasks.filter_map(|thread| name(thread.unwrap())).collect();
    names.retain(|name| name.starts_with("zcio"));
    names.sort();
    names
}

#[test]
fn no_thread_starts_before_the_first_transfer_that_needs_it() {
    in_child("process::no_thread_starts_before_the_first_transfer_that_needs_it", || {
        let all = || fs::read_dir("/proc/self/task").unwrap().count();
        let before = all();
        let (sink, peer) = socket();
        let received = receive(peer.try_clone().unwrap());
        let with_receiver = all();
        // Asking, preparing, and moving on this thread need none.
        Facts::of(&sink).unwrap();
        drop(Transfer::<Linux>::new(end(&file(b"some")), end(&sink), Request::default()).unwrap());
        zcio::transfer(&file(b"some"), &sink).unwrap();
        assert_eq!((all(), threads().len()), (with_receiver, 0));
        assert_eq!(with_receiver, before + 1);

        // What lives in memory never sees the disk pool.
        start(&file_elsewhere(b" more"), &sink).end().unwrap();
        assert_eq!(threads(), ["zcio-reactor\n"]);
        start(&file(b"a file"), &file(b"")).end().unwrap();
        assert_eq!(threads(), ["zcio-disk\n", "zcio-reactor\n"]);
        drop((sink, peer));
        assert_same(&received.join().unwrap(), b"some more");
    });
}

#[test]
fn the_disk_pool_is_bounded() {
    in_child("process::the_disk_pool_is_bounded", || {
        let source = file_elsewhere(&bytes(8 * MIB));
        let copy = |_| start_with(&source, &file_elsewhere(b""), from_zero()).unwrap();
        for started in (0..16).map(copy).collect::<Vec<_>>() {
            assert_eq!(started.end().unwrap().bytes, 8 * MIB as u64);
        }
        let disk = threads().into_iter().filter(|name| name == "zcio-disk\n").count();
        assert!((1..=4).contains(&disk), "{disk} threads");
    });
}

/// A cold page would stop the event loop, whatever flags the descriptors have.
#[test]
fn a_cold_file_goes_through_the_disk_pool() {
    in_child("process::a_cold_file_goes_through_the_disk_pool", || {
        let source = file(&bytes(4 * MIB));
        if sys::file_system(&source) == Ok(FileSystem::TMPFS) {
            return eprintln!("not run: files in memory are never cold");
        }
        source.sync_all().unwrap();
        // A fast disk can have the page ready by the time it is asked for: then it was as good as warm, and again.
        let was_cold = (0..50).any(|_| {
            sys::advise_dontneed(&source, 0, 0).unwrap();
            let (sink, peer) = socket();
            let received = receive(peer);
            let started = start_with(&source, &sink, from_zero()).unwrap();
            assert_eq!(started.end().unwrap().bytes, 4 * MIB as u64);
            drop(sink);
            assert_same(&received.join().unwrap(), &bytes(4 * MIB));
            threads().contains(&"zcio-disk\n".into())
        });
        assert!(was_cold, "{:?}", threads());
    });
}

/// The child has this one running, blocked for ever, and a copy, and ends all the same.
#[test]
fn a_process_ends_with_transfers_under_way() {
    let since = Instant::now();
    in_child("process::a_process_ends_with_transfers_under_way", || {
        let (sink, peer) = socket();
        let (source, other) = socket();
        let blocked = start(&file(&bytes(8 * MIB)), &sink);
        let idle = start(&source, &file(b""));
        let busy = start(&file_elsewhere(&bytes(64 * MIB)), &file(b""));
        assert!(blocked.is_under_way() && idle.is_under_way());
        for leaked in [sink, peer, source, other] {
            std::mem::forget(leaked);
        }
        drop((blocked, idle, busy));
    });
    assert!(since.elapsed() < Duration::from_secs(15));
}

/// The application's handlers run on its own threads, and a peer that has gone is an error, not a signal.
#[test]
fn threads_of_ours_take_no_signals() {
    in_child("process::threads_of_ours_take_no_signals", || {
        // SAFETY: no handler of ours is installed, the default action is restored.
        unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }.unwrap();
        for snapshot in [false, true] {
            let (reader, writer) = sys::pipe().unwrap();
            drop(reader);
            for source in [file(&bytes(100_000)), file_elsewhere(&bytes(100_000))] {
                let request = Request { snapshot, ..Request::default() };
                let failure = start_with(&source, &writer, request).unwrap().end().unwrap_err();
                let Cause::System { errno: Errno::PIPE, .. } = failure.cause else { panic!("{failure}") };
            }
        }
        start(&file(b"so that there is a disk thread"), &file(b"")).end().unwrap();
        for mask in masks() {
            assert_eq!(mask & 1 << (Signal::SIGPIPE as u32 - 1), 1 << (Signal::SIGPIPE as u32 - 1));
            assert_eq!(mask & 1 << (Signal::SIGTERM as u32 - 1), 1 << (Signal::SIGTERM as u32 - 1));
            assert_eq!(
                mask & 1 << (Signal::SIGSEGV as u32 - 1),
                0,
                "a crash is reported by whoever reports it"
            );
        }
        assert!(masks().len() >= 2);
    });
}

/// The signals that each thread of ours blocks.
fn masks() -> Vec<u64> {
    let statuses = fs::read_dir("/proc/self/task").unwrap();
    let statuses = statuses.map(|thread| fs::read_to_string(thread.unwrap().path().join("status")).unwrap());
    let ours = statuses.filter(|status| status.starts_with("Name:\tzcio"));
    ours.map(|status| {
        let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:\t")).unwrap();
        u64::from_str_radix(mask, 16).unwrap()
    })
    .collect()
}

/// On a core that they share with the application, its own thread goes first.
#[test]
fn disk_threads_stand_back() {
    in_child("process::disk_threads_stand_back", || {
        start(&file(b"so that there is a disk thread"), &file(b"")).end().unwrap();
        // proc_pid_stat(5): the nice value is the 17th field after the name.
        let nice = |task: fs::DirEntry| {
            let stat = fs::read_to_string(task.path().join("stat")).unwrap();
            let (start, fields) = stat.rsplit_once(") ").unwrap();
            let nice: i32 = fields.split(' ').nth(16).unwrap().parse().unwrap();
            (start.ends_with("(zcio-disk"), nice)
        };
        let tasks = fs::read_dir("/proc/self/task").unwrap();
        let (disk, others): (Vec<_>, Vec<_>) =
            tasks.map(|task| nice(task.unwrap())).partition(|(disk, _)| *disk);
        let own = others[0].1;
        assert!(!disk.is_empty());
        assert!(disk.iter().all(|(_, nice)| *nice == (own + 10).min(19)), "{disk:?} beside {others:?}");
        assert!(others.iter().all(|(_, nice)| *nice == own), "{others:?}");
    });
}

/// A duplicate that is closed without leaving epoll stays registered for as long as its owner's lives.
#[test]
fn nothing_stays_registered_with_epoll() {
    in_child("process::nothing_stays_registered_with_epoll", || {
        let (sink, mut peer) = socket();
        for round in 0..20 {
            let started = start(&file(&bytes(4 * MIB)), &sink);
            assert!(eventually(|| registered() == 2), "the bell of the event loop, and a full socket");
            if round % 2 == 0 {
                started.ticket.cancel();
                let moved = started.end().unwrap_err().outcome.bytes;
                peer.read_exact(&mut vec![0; usize::try_from(moved).unwrap()]).unwrap();
            } else {
                peer.read_exact(&mut vec![0; 4 * MIB]).unwrap();
                started.end().unwrap();
            }
            assert_eq!(registered(), 1, "the bell");
        }

        // This one ends on a thread of the disk pool.
        let (source, peer) = socket();
        let started = start(&source, &file(b""));
        assert!(eventually(|| registered() == 2), "the bell of the event loop, and an idle socket");
        drop(peer);
        started.end().unwrap();
        assert_eq!(registered(), 1, "the bell");
    });
}

/// The job goes from the event loop to the disk pool, which has no thread and gets none.
#[test]
fn nothing_stays_registered_where_no_thread_can_be_had() {
    in_child("process::nothing_stays_registered_where_no_thread_can_be_had", || {
        let (sink, _peer) = socket();
        start(&file_elsewhere(b"so that there is an event loop"), &sink).end().unwrap();
        let (source, mut peer) = socket();
        let started = start(&source, &file(b""));
        assert!(eventually(|| registered() == 2), "the bell of the event loop, and an idle socket");
        let failure = without_room_for_threads(|| {
            peer.write_all(b"some").unwrap();
            started.end().unwrap_err()
        });
        assert!(matches!(failure.cause, Cause::System { call: "clone", .. }), "{failure}");
        assert_eq!(failure.outcome.residual, b"some");
        assert_eq!(registered(), 1, "the bell");
        start(&file(b"with room again"), &file(b"")).end().unwrap();
    });
}

/// Whoever submits may hold what its callback needs.
#[test]
fn a_copy_that_no_thread_can_be_had_for_is_told_of_on_a_thread_of_ours() {
    in_child("process::a_copy_that_no_thread_can_be_had_for_is_told_of_on_a_thread_of_ours", || {
        let (sink, _peer) = socket();
        start(&file_elsewhere(b"so that there is an event loop"), &sink).end().unwrap();
        let (source, sink) = (file(b"some"), file(b""));
        let copy = Transfer::new(end(&source), end(&sink), Request::default()).unwrap();
        let (told, telling) = channel();
        let on_end = move |ending: Ending| {
            let thread = thread::current().name().map(str::to_owned);
            told.send((thread, ending.unwrap_err().cause)).unwrap();
        };
        let (thread, cause) = without_room_for_threads(|| {
            Reactor::global().unwrap().submit(copy, on_end).unwrap();
            telling.recv_timeout(Duration::from_secs(20)).unwrap()
        });
        assert_eq!(thread.as_deref(), Some("zcio-reactor"));
        assert!(matches!(cause, Cause::System { call: "clone", .. }), "{cause:?}");
    });
}

/// What `body` does while there is no memory for another thread's stack, of 2 MiB. A limit to the number of threads
/// would not do: it does not bind root. All other threads must have had their memory.
fn without_room_for_threads<T>(body: impl FnOnce() -> T) -> T {
    let (soft, hard) = getrlimit(Resource::RLIMIT_AS).unwrap();
    let pages = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = pages.split(' ').next().unwrap().parse().unwrap();
    setrlimit(Resource::RLIMIT_AS, pages * sys::page_size() as u64 + MIB as u64, hard).unwrap();
    let done = body();
    setrlimit(Resource::RLIMIT_AS, soft, hard).unwrap();
    done
}

/// Descriptors that the event loop waits for.
fn registered() -> usize {
    let is_epoll =
        |fd: &fs::DirEntry| fs::read_link(fd.path()).is_ok_and(|it| it.ends_with("anon_inode:[eventpoll]"));
    let mut descriptors = fs::read_dir("/proc/self/fd").unwrap().map(Result::unwrap);
    let epoll = descriptors.find(is_epoll).unwrap().file_name();
    let entries = fs::read_to_string(format!("/proc/self/fdinfo/{}", epoll.display())).unwrap();
    entries.lines().filter(|line| line.starts_with("tfd:")).count()
}

/// The owner may close what it lent at once: the engine has its own.
#[test]
fn lent_descriptors_may_be_closed_meanwhile() {
    let (sink, peer) = socket();
    let (source, copy) = (file(&bytes(4 * MIB)), file(b""));
    let kept = copy.as_fd().try_clone_to_owned().unwrap();
    let (sent, copied) = (start(&source, &sink), start_with(&source, &copy, from_zero()).unwrap());
    drop((source, sink, copy));
    let received = receive(peer);
    assert_eq!((sent.end().unwrap().bytes, copied.end().unwrap().bytes), (4 * MIB as u64, 4 * MIB as u64));
    assert_same(&received.join().unwrap(), &bytes(4 * MIB));
    assert_same(&content(&kept.into()), &bytes(4 * MIB));
}

fn from_zero() -> Request {
    Request { start: Some(0), ..Request::default() }
}

#[test]
fn there_is_one_reactor() {
    let (one, other) = (Reactor::global().unwrap(), Reactor::global().unwrap());
    assert!(std::sync::Arc::ptr_eq(&one, &other));
}
