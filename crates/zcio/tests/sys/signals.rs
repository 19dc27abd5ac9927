use std::ffi::c_int;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::Output;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use zcio::sys::{self, Errno, SpliceFlags};

use crate::support::{bytes, content, file, filled_pipe, in_child};

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
fn a_broken_pipe_kills_nobody_in_quiet() {
    let Some(child) = in_child("signals::a_broken_pipe_kills_nobody_in_quiet") else {
        default_action(libc::SIGPIPE);
        let ((reader, _writer), sink) = (filled_pipe(b"x"), broken_pipe());
        for _ in 0..3 {
            let refused = sys::without_signals(|| sys::splice(&reader, None, &sink, None, 1, NONBLOCK));
            assert_eq!(refused, Err(Errno::PIPE));
        }
        assert!(!is_pending(libc::SIGPIPE));
        println!("alive");
        _ = sys::splice(&reader, None, &sink, None, 1, NONBLOCK);
        unreachable!("the same call outside kills");
    };
    assert_died_after_being_alive(&child, libc::SIGPIPE);
}

#[test]
fn a_send_kills_nobody_at_all() {
    let Some(child) = in_child("signals::a_send_kills_nobody_at_all") else {
        default_action(libc::SIGPIPE);
        let (socket, peer) = std::os::unix::net::UnixStream::pair().unwrap();
        drop(peer);
        let none = sys::SendFlags::empty();
        assert_eq!(sys::send(&socket, b"x", none), Err(Errno::PIPE));
        let slices = [std::io::IoSlice::new(b"x")];
        assert_eq!(sys::send_vectored(&socket, &slices, none), Err(Errno::PIPE));
        return;
    };
    assert!(child.status.success(), "{child:?}");
}

#[test]
fn a_file_that_grew_too_large_kills_nobody_in_quiet() {
    let Some(child) = in_child("signals::a_file_that_grew_too_large_kills_nobody_in_quiet") else {
        default_action(libc::SIGXFSZ);
        limit_file_size(100);
        let (sink, (reader, _writer)) = (file(b""), filled_pipe(&[7; 150]));
        let mut offset = 0;
        let mut splice = || sys::splice(&reader, None, &sink, Some(&mut offset), 150, NONBLOCK);
        let part = sys::without_signals(&mut splice);
        assert_eq!(part, Ok(100));
        assert_eq!(sys::without_signals(&mut splice), Err(Errno::FBIG));
        assert!(!is_pending(libc::SIGXFSZ));
        println!("alive");
        _ = splice();
        unreachable!("the same call outside kills");
    };
    assert_died_after_being_alive(&child, libc::SIGXFSZ);
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
fn quiet_within_quiet_is_as_quiet() {
    sys::without_signals(|| {
        sys::write(broken_pipe(), b"x").unwrap_err();
        sys::without_signals(|| sys::write(broken_pipe(), b"x").unwrap_err());
        assert!(is_blocked(libc::SIGPIPE));
    });
    assert!(!is_pending(libc::SIGPIPE) && !is_blocked(libc::SIGPIPE));
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
    let (before, this) = (CAUGHT.load(Ordering::Relaxed), unsafe { libc::pthread_self() });
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                // SAFETY: `this` waits for this thread to end, and so is alive.
                unsafe { libc::pthread_kill(this, libc::SIGUSR1) };
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

fn default_action(signal: c_int) {
    // SAFETY: the default action needs no handler.
    assert_ne!(unsafe { libc::signal(signal, libc::SIG_DFL) }, libc::SIG_ERR);
}

fn limit_file_size(bytes: libc::rlim_t) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // SAFETY: the kernel reads an `rlimit` where there is one.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) }, 0);
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

fn assert_died_after_being_alive(child: &Output, signal: c_int) {
    assert!(String::from_utf8_lossy(&child.stdout).contains("alive"), "{child:?}");
    assert_eq!(child.status.signal(), Some(signal), "{child:?}");
}
