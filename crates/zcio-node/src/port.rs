//! The way back from the reactor's threads into one JavaScript environment, for as long as that lives.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use napi::Status;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use zcio::Ticket;

use crate::ending::{NativeEnding, Over};

type Waker = ThreadsafeFunction<(), (), Vec<NativeEnding>, Status, false, true>;

/// The way back into one environment.
#[derive(Default)]
pub struct Port {
    pub waker: Mutex<Option<Waker>>,
    endings: Mutex<Vec<(u32, Over)>>,
    pub tickets: Mutex<HashMap<u32, Entry>>,
}

/// A transfer that JavaScript can ask about: alone, or one of the two directions of a bridge.
pub struct Entry {
    pub ticket: Ticket,
    pub direction: usize,
}

impl Port {
    /// Hands over an ending, from whatever thread.
    pub fn post(&self, id: u32, ending: Over) {
        let waker = lock(&self.waker);
        let Some(waker) = &*waker else { return };
        let mut endings = lock(&self.endings);
        endings.push((id, ending));
        // One call delivers all that have arrived by the time it runs.
        if endings.len() == 1 {
            waker.call((), ThreadsafeFunctionCallMode::NonBlocking);
        }
    }

    /// The endings that have arrived, for JavaScript.
    pub fn take(&self) -> Vec<NativeEnding> {
        let endings = std::mem::take(&mut *lock(&self.endings));
        let mut tickets = lock(&self.tickets);
        endings
            .into_iter()
            .map(|(id, ending)| {
                tickets.remove(&id);
                ending.translate(id)
            })
            .collect()
    }

    /// Lets nothing pass from now on, and cancels what is under way.
    pub fn close(&self) {
        drop(lock(&self.waker).take());
        // Not hung up: a descriptor that was given by its number may be another thread's as well.
        for (_, entry) in lock(&self.tickets).drain() {
            entry.ticket.cancel();
        }
    }
}

/// Locks, also after a panic.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
