use std::ffi::c_int;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use zcio::sys::{self, Errno, Quiet, SpliceFlags};

use crate::support::{bytes, content, file};

const NONBLOCK: SpliceFlags = SpliceFlags::NONBLOCK;

#[test]
fn a_call_that_signals_interrupt_is_made_again() {
    let (reader, writer) = sys::pipe().unwrap();
    sys::set_nonblocking(&reader, false).unwrap();
    let mut buffer = [0; 4];
    let read = thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(100));
            sys::write(&writer, b"late").unwrap();
        });
        interrupted(|| sys::read(&reader, &mut buffer))
    });
    assert_eq!((read, &buffer), (Ok(4), b"late"));
}

#[test]
fn a_nonblocking_splice_is_made_again_too() {
    let (moved, sink) = (bytes(16 << 20), file(b""));
    let (reader, writer) = sys::pipe().unwrap();
    let source = file(&moved);
    interrupted(|| {
        let mut offset = 0;
        while sys::splice(&source, Some(&mut offset), &writer, None, 4096, NONBLOCK).unwrap() > 0 {
            sys::splice(&reader, None, &sink, None, 4096, NONBLOCK).unwrap();
        }
    });
    assert_eq!(content(&sink), moved);
}

#[test]
fn a_signal_that_was_pending_before_is_pending_afterwards() {
    on_a_thread_of_ours(|| {
        assert_eq!(sys::write(broken_pipe(), b"x"), Err(Errno::PIPE));
        assert!(is_pending(libc::SIGPIPE));
        assert_eq!(sys::without_signals(|| sys::write(broken_pipe(), b"x")), Err(Errno::PIPE));
        assert!(is_pending(libc::SIGPIPE));
    });
}

#[test]
fn a_thread_that_blocks_signals_itself_keeps_none_of_ours() {
    on_a_thread_of_ours(|| {
        assert_eq!(sys::without_signals(|| sys::write(broken_pipe(), b"x")), Err(Errno::PIPE));
        assert!(!is_pending(libc::SIGPIPE));
        assert!(is_blocked(libc::SIGPIPE));
    });
}

#[test]
fn quiet_ends_with_the_call_and_with_a_panic() {
    assert!(!is_blocked(libc::SIGPIPE));
    assert!(sys::without_signals(|| is_blocked(libc::SIGPIPE) && is_blocked(libc::SIGXFSZ)));
    assert!(!is_blocked(libc::SIGPIPE));
    let panicked =
        catch_unwind(AssertUnwindSafe(|| sys::without_signals(|| resume_unwind(Box::new("on purpose")))));
    assert!(panicked.is_err());
    assert!(!is_blocked(libc::SIGPIPE) && !is_blocked(libc::SIGXFSZ));
}

#[test]
fn around_one_call_a_signal_is_swallowed_with_the_error_it_came_with() {
    on_a_thread_of_ours(|| {
        assert_eq!(sys::without_signals_of(1, || sys::write(broken_pipe(), b"x")), Err(Errno::PIPE));
        assert!(!is_pending(libc::SIGPIPE));
    });
}

#[test]
fn around_one_call_a_signal_is_swallowed_where_a_part_had_moved() {
    on_a_thread_of_ours(|| {
        let moves_a_part = || sys::write(broken_pipe(), b"x").map_or(Ok(1), Ok);
        assert_eq!(sys::without_signals_of(2, moves_a_part), Ok(1));
        assert!(!is_pending(libc::SIGPIPE));
        // Whole: nothing can have been raised, so nothing is looked for.
        assert_eq!(sys::without_signals_of(1, moves_a_part), Ok(1));
        assert!(is_pending(libc::SIGPIPE));
    });
}

#[test]
fn quiet_within_quiet_is_as_quiet() {
    sys::without_signals(|| {
        sys::write(broken_pipe(), b"x").unwrap_err();
        sys::without_signals(|| sys::write(broken_pipe(), b"x").unwrap_err());
        assert!(is_blocked(libc::SIGPIPE));
    });
    assert!(!is_pending(libc::SIGPIPE) && !is_blocked(libc::SIGPIPE));
}

#[test]
fn a_quiet_thread_is_restored_by_the_last_who_keeps_it() {
    let (first, last) = (Quiet::begin(), Quiet::begin());
    drop(first);
    assert!(is_blocked(libc::SIGPIPE) && is_blocked(libc::SIGXFSZ));
    sys::without_signals(|| assert!(is_blocked(libc::SIGPIPE)));
    assert!(is_blocked(libc::SIGPIPE) && is_blocked(libc::SIGXFSZ));
    drop(last);
    assert!(!is_blocked(libc::SIGPIPE) && !is_blocked(libc::SIGXFSZ));
}

#[test]
fn what_else_is_blocked_on_a_quiet_thread_stays_so() {
    let quiet = Quiet::begin();
    let mut other = SigSet::empty();
    other.add(Signal::SIGUSR2);
    other.thread_block().unwrap();
    drop(quiet);
    assert!(is_blocked(libc::SIGUSR2) && !is_blocked(libc::SIGPIPE));
    other.thread_unblock().unwrap();
}

#[test]
fn a_quiet_thread_keeps_the_signals_of_its_own_calls() {
    let quiet = Quiet::begin();
    assert_eq!(sys::without_signals(|| sys::write(broken_pipe(), b"x")), Err(Errno::PIPE));
    assert!(!is_pending(libc::SIGPIPE));
    assert_eq!(sys::write(broken_pipe(), b"x"), Err(Errno::PIPE));
    assert_eq!(sys::without_signals_of(1, || Ok(1)), Ok(1));
    assert!(is_pending(libc::SIGPIPE));
    drop(quiet);
    // Ignored by the test's process: gone as soon as it is let through.
    assert!(!is_pending(libc::SIGPIPE));
}

#[test]
fn a_thread_of_ours_hears_no_signal_but_of_its_own_mistakes() {
    on_a_thread_of_ours(|| {
        for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGPIPE, libc::SIGXFSZ, libc::SIGPROF] {
            assert!(is_blocked(signal));
        }
        for mistake in [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL] {
            assert!(!is_blocked(mistake));
        }
    });
}

fn on_a_thread_of_ours(test: impl FnOnce() + Send + 'static) {
    let ours = thread::spawn(|| {
        sys::block_all_signals();
        test();
    });
    ours.join().unwrap();
}

/// Makes `call` while signals whose handler does not ask for a restart rain on this thread.
pub(crate) fn interrupted<T>(call: impl FnOnce() -> T) -> T {
    static CAUGHT: AtomicUsize = AtomicUsize::new(0);
    extern "C" fn count(_: c_int) {
        CAUGHT.fetch_add(1, Ordering::Relaxed);
    }
    // SAFETY: all zeros is a valid action: no flags, so no SA_RESTART, and an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = count as extern "C" fn(c_int) as libc::sighandler_t;
    // SAFETY: the handler only counts, which is safe whatever it interrupts.
    assert_eq!(unsafe { libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()) }, 0);
    // SAFETY: has no conditions.
    let (process, thread) = (std::process::id(), unsafe { libc::gettid() });
    let before = CAUGHT.load(Ordering::Relaxed);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                // SAFETY: the one who is hit has a handler, and waits for this thread to end.
                unsafe { libc::syscall(libc::SYS_tgkill, process, thread, libc::SIGUSR1) };
                thread::sleep(Duration::from_micros(200));
            }
        });
        while CAUGHT.load(Ordering::Relaxed) == before {
            thread::yield_now();
        }
        let result = catch_unwind(AssertUnwindSafe(call));
        over.store(true, Ordering::Relaxed);
        result.unwrap_or_else(|panic| resume_unwind(panic))
    })
}

fn broken_pipe() -> OwnedFd {
    sys::pipe().unwrap().1
}

fn is_pending(signal: c_int) -> bool {
    // SAFETY: all zeros is an empty set, which sigpending fills.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    assert_eq!(unsafe { libc::sigpending(&raw mut set) }, 0);
    // SAFETY: as above.
    unsafe { libc::sigismember(&raw const set, signal) == 1 }
}

fn is_blocked(signal: c_int) -> bool {
    // SAFETY: all zeros is an empty set, which pthread_sigmask fills with the mask as it is.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    let asked = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &raw mut set) };
    assert_eq!(asked, 0);
    // SAFETY: as above.
    unsafe { libc::sigismember(&raw const set, signal) == 1 }
}
