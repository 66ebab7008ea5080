//! An allocator that searches blocks for secrets when they are freed.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::secrets::{Patterns, WINDOW};
use crate::threads::run_to_the_end;

/// How many of the calls that led to an allocation are kept, the innermost first.
const MAX_DEPTH: usize = 80;

struct LookingAllocator;

#[global_allocator]
static ALLOCATOR: LookingAllocator = LookingAllocator;

/// A block that held a part of a secret when it was freed.
pub struct Finding {
    pub secret: &'static str,
    pub size: usize,
    /// The addresses of the calls that led to its allocation, the innermost first.
    pub allocated_by: Box<[usize]>,
}

struct State {
    patterns: Patterns,
    /// The calls that allocated each live block.
    allocated_by: HashMap<usize, Box<[usize]>>,
    findings: Vec<Finding>,
}

static WATCHING: AtomicBool = AtomicBool::new(false);
static STATE: Mutex<Option<State>> = Mutex::new(None);

thread_local! {
    /// Whether this thread allocates for the allocator itself.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    /// Whether it is kept who allocates in this thread.
    static TRACING: Cell<bool> = const { Cell::new(true) };
}

/// Watches what is allocated and freed while `flow` and the threads that it starts run, and returns what was found.
///
/// The thread of an async client frees its connections after the client was dropped. If the next flow began before
/// that, the owner of these blocks would be unknown, and the last flow's would not be seen.
pub fn watch(flow: impl FnOnce()) -> Vec<Finding> {
    unwatched(|| {
        *state() = Some(State { patterns: Patterns::new(), allocated_by: HashMap::new(), findings: Vec::new() });
    });
    WATCHING.store(true, Ordering::SeqCst);
    run_to_the_end(flow);
    WATCHING.store(false, Ordering::SeqCst);
    unwatched(|| state().take().map(|state| state.findings).unwrap_or_default())
}

/// Makes what takes many allocations, without the work of tracing each. What is found in them has no known owner.
pub fn make_untraced<T>(make: impl FnOnce() -> T) -> T {
    TRACING.set(false);
    let made = make();
    TRACING.set(true);
    made
}

fn state() -> MutexGuard<'static, Option<State>> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs code that must not be watched; does nothing if this thread already runs such code.
fn unwatched<T: Default>(run: impl FnOnce() -> T) -> T {
    if INSIDE.replace(true) {
        return T::default();
    }
    let result = run();
    INSIDE.set(false);
    result
}

fn trace() -> Box<[usize]> {
    let mut calls = Vec::with_capacity(MAX_DEPTH);
    backtrace::trace(|frame| {
        calls.push(frame.ip() as usize);
        calls.len() < MAX_DEPTH
    });
    calls.into()
}

// There is no `realloc` here: the trait's own allocates a new block, copies, and frees the old one, which is then
// searched.
unsafe impl GlobalAlloc for LookingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let block = unsafe { System.alloc(layout) };
        if WATCHING.load(Ordering::Relaxed) && TRACING.get() && layout.size() >= WINDOW {
            unwatched(|| {
                let calls = trace();
                if let Some(state) = state().as_mut() {
                    state.allocated_by.insert(block as usize, calls);
                }
            });
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if layout.size() >= WINDOW {
            if WATCHING.load(Ordering::Relaxed) {
                unwatched(|| {
                    let mut state = state();
                    let Some(state) = state.as_mut() else { return };
                    let allocated_by = state.allocated_by.remove(&(block as usize)).unwrap_or_default();
                    // Volatile, because not all of the block need have been written.
                    let bytes: Vec<u8> =
                        (0..layout.size()).map(|at| unsafe { block.add(at).read_volatile() }).collect();
                    if let Some(secret) = state.patterns.find(&bytes) {
                        state.findings.push(Finding { secret, size: layout.size(), allocated_by });
                    }
                });
            }
            // Otherwise the next owner of the memory would be blamed for what this one left there.
            unsafe { block.write_bytes(0, layout.size()) };
        }
        unsafe { System.dealloc(block, layout) };
    }
}
