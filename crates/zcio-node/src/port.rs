//! The way back from the engine's threads into one JavaScript environment, for endings of one kind.
//!
//! Endings cross over in batches through one threadsafe function, which never keeps the process alive: that is
//! decided in TypeScript. When the environment goes, its clean-up hook closes the port under the lock that every
//! sender takes: after that nothing calls into it, and what it had under way is cancelled.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use napi::bindgen_prelude::{Function, ToNapiValue};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Env, Result, Status};
use zcio::Ticket;

type Waker<N> = ThreadsafeFunction<(), (), Vec<N>, Status, false, true>;

/// Endings of type `E` on their way to JavaScript, which gets them as `N`.
pub struct Port<E, N: ToNapiValue + 'static> {
    waker: Mutex<Option<Waker<N>>>,
    endings: Mutex<Vec<(u32, E)>>,
    tickets: Mutex<HashMap<u32, Ticket>>,
}

impl<E: Send + 'static, N: ToNapiValue + 'static> Port<E, N> {
    /// `on_end` gets the endings, some at a time, as `translate` puts them.
    pub fn open(
        env: Env,
        on_end: Function<Vec<N>, ()>,
        translate: impl Fn(u32, E) -> N + Send + 'static,
    ) -> Result<Arc<Self>> {
        let port =
            Arc::new(Self { waker: Mutex::default(), endings: Mutex::default(), tickets: Mutex::default() });
        let weak = Arc::downgrade(&port);
        let waker = on_end
            .build_threadsafe_function::<()>()
            .weak::<true>()
            .callee_handled::<false>()
            .build_callback(move |_| {
                let endings = weak.upgrade().map_or_else(Vec::new, |port| port.take());
                Ok(endings.into_iter().map(|(id, ending)| translate(id, ending)).collect())
            })?;
        *lock(&port.waker) = Some(waker);
        env.add_env_cleanup_hook(Arc::clone(&port), |port| port.close())?;
        Ok(port)
    }

    /// What to call with an ending, on whatever thread: `deliver` posts it, unless the environment is gone by then.
    pub fn receiver<T>(
        self: &Arc<Self>,
        deliver: impl Fn(&Self, T) + Send + 'static,
    ) -> impl Fn(T) + Send + 'static {
        let port = Arc::downgrade(self);
        move |ending| {
            if let Some(port) = port.upgrade() {
                deliver(&port, ending);
            }
        }
    }

    /// Delivers an ending, soon.
    pub fn post(&self, id: u32, ending: E) {
        let waker = lock(&self.waker);
        let Some(waker) = &*waker else { return };
        let is_first = {
            let mut endings = lock(&self.endings);
            endings.push((id, ending));
            endings.len() == 1
        };
        // One call delivers all that have arrived by the time it runs; that may be at once, and takes the lock.
        if is_first {
            waker.call((), ThreadsafeFunctionCallMode::NonBlocking);
        }
    }

    /// The tickets of what is under way. Held over a submission, it makes the ending of what is quick wait until its
    /// ticket is known.
    pub fn tickets(&self) -> MutexGuard<'_, HashMap<u32, Ticket>> {
        lock(&self.tickets)
    }

    fn take(&self) -> Vec<(u32, E)> {
        let endings = std::mem::take(&mut *lock(&self.endings));
        let mut tickets = self.tickets();
        for (id, _) in &endings {
            tickets.remove(id);
        }
        endings
    }

    fn close(&self) {
        drop(lock(&self.waker).take());
        // Not hung up: a descriptor that was given by its number may be another thread's as well.
        for (_, ticket) in self.tickets().drain() {
            ticket.cancel();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
