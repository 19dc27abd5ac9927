//! The JavaScript thread kept free of the signals that our calls raise, for a turn of the event loop at a time.

use std::cell::RefCell;

use napi_derive::napi;
use zcio::sys::Quiet;

thread_local! {
    static TURNS: RefCell<Vec<Quiet>> = const { RefCell::new(Vec::new()) };
}

/// Blocks SIGPIPE and SIGXFSZ on this thread until `endQuiet`, which has to follow, has been called as often.
#[napi]
pub fn begin_quiet() {
    TURNS.with_borrow_mut(|turns| turns.push(Quiet::begin()));
}

/// Delivers what the application's own calls have raised meanwhile.
#[napi]
pub fn end_quiet() {
    drop(TURNS.with_borrow_mut(Vec::pop));
}
