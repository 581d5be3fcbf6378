//! What the ring and the gate are made of: atomics, fences, pauses, and the system's wait on a word.
//!
//! Ordinarily these are the machine's, and everything here is gone after compilation. With `--cfg loom` they are those of
//! a model checker, which runs a program in the orders that the memory model allows, and what the ring and the gate
//! are then made of is the very same code; see `weak`.
//!
//! Orderings that matter have a name here. A model run can weaken one of them, by its name. Where it then goes wrong, that
//! shows both that the ordering is needed and that the models would notice its absence; `proof weak` lists for which it
//! does. For the others the models are too small, or the ordering is stronger than it need be: nobody knows yet which.

#[cfg(not(loom))]
pub(crate) use machine::*;
#[cfg(loom)]
pub(crate) use model::*;

#[cfg(not(loom))]
mod machine {
    use std::hint;
    use std::sync::atomic::Ordering;
    pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, fence};

    pub(crate) use crate::os::{wait, wake};

    #[inline(always)]
    pub(crate) const fn ordering(_name: &str, ordering: Ordering) -> Ordering {
        ordering
    }

    /// Whether a step that only order depends on is taken.
    #[inline(always)]
    pub(crate) const fn kept(_name: &str) -> bool {
        true
    }

    #[inline(always)]
    pub(crate) fn pause(times: u32) {
        for _ in 0..times {
            hint::spin_loop();
        }
    }

    /// What stands in for a sequentially consistent access in the model.
    #[inline(always)]
    pub(crate) fn as_if_sequential(_name: &str) {}
}

#[cfg(loom)]
mod model {
    use std::env;
    use std::sync::atomic::Ordering::{self, Relaxed};
    use std::sync::{Mutex, OnceLock, PoisonError};
    use std::time::Duration;

    pub(crate) use loom::sync::atomic::fence;
    use loom::thread::{self, Thread};

    use crate::gate::PERIOD;
    use crate::os::Waited;

    /// The name of the ordering that is weakened, or of the step that is left out.
    fn mutant() -> Option<&'static str> {
        static MUTANT: OnceLock<Option<String>> = OnceLock::new();
        MUTANT.get_or_init(|| env::var("HANDOVER_MUTANT").ok()).as_deref()
    }

    pub(crate) fn ordering(name: &str, ordering: Ordering) -> Ordering {
        #[cfg(test)]
        death::step();
        if kept(name) { ordering } else { Relaxed }
    }

    pub(crate) fn kept(name: &str) -> bool {
        mutant() != Some(name)
    }

    pub(crate) fn pause(_times: u32) {
        thread::yield_now();
    }

    macro_rules! atomic {
        ($atomic:ident, $word:ty) => {
            /// Loom's, but for [`Self::store`].
            pub(crate) struct $atomic(loom::sync::atomic::$atomic);

            // What one of the two is not asked for, the other is.
            #[allow(dead_code)]
            impl $atomic {
                pub(crate) fn new(value: $word) -> $atomic {
                    $atomic(loom::sync::atomic::$atomic::new(value))
                }

                pub(crate) fn load(&self, ordering: Ordering) -> $word {
                    self.0.load(ordering)
                }

                /// Loom does not know that nothing comes between the two halves of a read-modify-write: a store that
                /// another thread makes later could end up before it, and undo what it has read (tokio-rs/loom, issue
                /// 254). So the storing thread looks at the newest value first, which puts its store behind that, and
                /// nobody is let in between the two: the first of them is where others have their turn. This takes
                /// nothing away but that two threads' stores to one word, neither of which knows of the other, are
                /// ordered otherwise than they are executed; they are executed in both orders. Stores to a stamp are its
                /// holder's alone anyway.
                pub(crate) fn store(&self, value: $word, ordering: Ordering) {
                    // Fails, as no word is ever so.
                    let newest = self.0.compare_exchange(<$word>::MAX - 1, 0, Relaxed, Relaxed);
                    assert!(newest.is_err());
                    loom::stop_exploring();
                    self.0.store(value, ordering);
                    loom::explore();
                }

                pub(crate) fn compare_exchange(
                    &self,
                    from: $word,
                    to: $word,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$word, $word> {
                    self.0.compare_exchange(from, to, success, failure)
                }

                pub(crate) fn swap(&self, value: $word, ordering: Ordering) -> $word {
                    self.0.swap(value, ordering)
                }

                pub(crate) fn fetch_add(&self, value: $word, ordering: Ordering) -> $word {
                    self.0.fetch_add(value, ordering)
                }

                pub(crate) fn fetch_or(&self, value: $word, ordering: Ordering) -> $word {
                    self.0.fetch_or(value, ordering)
                }
            }
        };
    }

    atomic!(AtomicU32, u32);
    atomic!(AtomicU64, u64);

    /// Loom takes a sequentially consistent access for one that acquires and releases, and only fences in full. A fence
    /// behind the access says the same to those who fence themselves, as a sleeper does between its announcement and its
    /// last look. In C++'s words: let the access be A, the look for sleepers that comes after it L, a sleeper's note N,
    /// its fence X, and its last look T. If T does not see A then X is before A in the single order of all sequentially
    /// consistent operations, as T comes after X and misses A; N is before X and A is before L in their threads;
    /// so L comes after N and sees it. With a fence F behind A: if T does not see A, X is before F, and L sees N.
    pub(crate) fn as_if_sequential(name: &str) {
        if kept(name) {
            fence(Ordering::SeqCst);
        }
    }

    /// A thread that dies before one of its steps, as a process does that is killed: it does nothing more at all.
    #[cfg(test)]
    pub(crate) mod death {
        use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
        use std::sync::{Mutex, PoisonError};

        use loom::thread::{self, ThreadId};

        struct Died;

        /// Who is to die, and before which of its steps.
        static DOOMED: Mutex<Option<(ThreadId, u32)>> = Mutex::new(None);

        /// Runs `life` in this thread, to its end or to the step with this number. What it returned, if it lived.
        pub(crate) fn before_step<T>(step: u32, life: impl FnOnce() -> T) -> Option<T> {
            let doom = |doom| *DOOMED.lock().unwrap_or_else(PoisonError::into_inner) = doom;
            doom(Some((thread::current().id(), step)));
            let outcome = catch_unwind(AssertUnwindSafe(life));
            doom(None);
            match outcome {
                Ok(result) => Some(result),
                Err(died) if died.is::<Died>() => None,
                Err(fault) => resume_unwind(fault),
            }
        }

        pub(super) fn step() {
            let mut doomed = DOOMED.lock().unwrap_or_else(PoisonError::into_inner);
            let Some((thread, left)) = &mut *doomed else { return };
            if *thread != thread::current().id() {
                return;
            }
            if *left == 0 {
                drop(doomed);
                // Past the panic hook, which would say so each time.
                resume_unwind(Box::new(Died));
            }
            *left -= 1;
        }
    }

    /// Who sleeps, on the word at which address, in the order in which they fell asleep. A plain mutex: loom runs one
    /// thread at a time and changes threads only at its own operations, of which there is none while it is held.
    static ASLEEP: Mutex<Vec<(usize, Thread)>> = Mutex::new(Vec::new());

    fn asleep() -> std::sync::MutexGuard<'static, Vec<(usize, Thread)>> {
        // Poisoned by a model that went wrong, which is what it is for.
        ASLEEP.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Before each run of a model: the last may have gone wrong with sleepers.
    #[cfg(test)]
    pub(crate) fn all_awake() {
        asleep().clear();
    }

    /// As the kernel does it, looking at the word and falling asleep is one step. A wake-up that is lost leaves a thread
    /// asleep for ever, and loom then says that the model is deadlocked. A sleep that is shorter than [`PERIOD`] is one
    /// that nobody is bound to end: here it ends by itself, after the others had a turn. Longer ones are for the
    /// case that somebody died, and here last until they are ended.
    pub(crate) fn wait(
        word: &AtomicU32,
        _asleep: &AtomicU32,
        expected: u32,
        timeout: Option<Duration>,
        _shared: bool,
    ) -> Waited {
        if timeout.is_some_and(|time| time < PERIOD) {
            thread::yield_now();
            return Waited::TimedOut;
        }
        // The kernel sees what the word is now, and no older value: so does a compare-and-swap.
        if word.compare_exchange(expected, expected, Relaxed, Relaxed).is_ok() {
            let place = std::ptr::from_ref(word).addr();
            asleep().push((place, thread::current()));
            thread::park();
        }
        Waited::Woken
    }

    /// Wakes those who have slept longest, and no more than it was told to: who relies on more of them is found out.
    pub(crate) fn wake(word: &AtomicU32, _asleep: &AtomicU32, count: u32, _shared: bool) -> u32 {
        let place = std::ptr::from_ref(word).addr();
        let mut woken = 0;
        while woken < count {
            let mut asleep = asleep();
            let Some(first) = asleep.iter().position(|(on, _)| *on == place) else { break };
            let (_, sleeper) = asleep.remove(first);
            drop(asleep);
            sleeper.unpark();
            woken += 1;
        }
        woken
    }
}
