//! Row h: memory. Resident bytes of a million live objects of 64 bytes, and how much shrinking gives back.
//!
//! Each contestant runs in a process of its own: what one of them has touched is not there for the next.

use std::env;
use std::fs;
use std::hint::black_box;
use std::process::Command;
use std::sync::{Arc, Barrier};
use std::thread;

use lease::Pool;
use lease_benches::is_wanted;
use sharded_slab::Slab;
use slotmap::SlotMap;

use super::payload;

const LIVE: u32 = 1_000_000;
const PAGE: f64 = 4096.0;

/// The argument that makes a process a contestant.
const CHILD: &str = "--resident=";

/// Bytes of this process that are in memory.
fn resident() -> f64 {
    let statm = fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages = statm.split_whitespace().nth(1).expect("the second field");
    pages.parse::<f64>().expect("a number") * PAGE
}

/// Bytes per object that `fill` makes; its list of them is not counted.
fn per_object<L>(fill: impl Fn(u32) -> L) -> f64 {
    let mut list: Vec<Option<L>> = Vec::new();
    list.resize_with(LIVE as usize, || None);
    black_box(&mut list);
    let before = resident();
    for (place, n) in list.iter_mut().zip(0..) {
        *place = Some(fill(n));
    }
    let per_object = (resident() - before) / f64::from(LIVE);
    black_box(list);
    per_object
}

/// The part of a pool's memory that shrinking gives back after a million were released, by two threads, in an order that
/// leaves the last ones of each all over the memory.
fn returned() -> f64 {
    let mut pool = Pool::new();
    let mut leases: Vec<_> = (0..LIVE).map(|n| Some(pool.acquire(payload(n)))).collect();
    let others = leases.split_off(leases.len() / 2);
    let release = |mut leases: Vec<_>| {
        for first in 0..1000 {
            for lease in leases.iter_mut().skip(first).step_by(1000) {
                *lease = None;
            }
        }
    };
    let done = Barrier::new(2);
    let (bytes, returned) = thread::scope(|scope| {
        // The other thread is still there, with its magazine, when the pool shrinks.
        scope.spawn(|| {
            release(others);
            done.wait();
            done.wait();
        });
        release(leases);
        done.wait();
        let bytes = pool.stats().bytes;
        let returned = pool.shrink_to_fit();
        done.wait();
        (bytes, returned)
    });
    #[allow(clippy::cast_precision_loss, reason = "some 70 MB")]
    let part = returned as f64 / bytes as f64;
    part
}

/// Whether this process is a contestant; it has done its part then.
pub(crate) fn is_child() -> bool {
    let Some(name) = env::args().find_map(|argument| argument.strip_prefix(CHILD).map(str::to_owned)) else {
        return false;
    };
    let figure = match name.as_str() {
        "lease" => {
            let pool = Pool::new();
            per_object(|n| pool.acquire(payload(n)))
        }
        "Arc" => per_object(|n| Arc::new(payload(n))),
        "sharded-slab" => {
            let slab = Slab::new();
            per_object(|n| slab.insert(payload(n)))
        }
        "slotmap" => {
            let map = std::cell::RefCell::new(SlotMap::new());
            per_object(|n| map.borrow_mut().insert(payload(n)))
        }
        "returned" => returned(),
        other => panic!("no contestant {other}"),
    };
    println!("{figure}");
    true
}

fn ask(name: &str) -> f64 {
    let program = env::current_exe().expect("it runs");
    let output = Command::new(program)
        .arg(format!("{CHILD}{name}"))
        .output()
        .expect("it runs again");
    let figure = String::from_utf8(output.stdout).expect("a number");
    figure.trim().parse().expect("a number")
}

/// Prints the row; returns how many targets were missed.
pub(crate) fn run() -> usize {
    let row = "h resident bytes per live 64-byte object";
    if !is_wanted(row) {
        return 0;
    }
    let verdict = |ok| if ok { "ok" } else { "miss" };
    let (ours, returned) = (ask("lease"), ask("returned"));
    let (lean, shrinks) = (ours <= 76.0, returned >= 0.90);
    println!(
        "{row:<46} {:<18} {ours:>8.1} target 76.0  {}",
        "lease",
        verdict(lean)
    );
    for peer in ["Arc", "sharded-slab", "slotmap"] {
        println!("{:<46} {peer:<18} {:>8.1}", "", ask(peer));
    }
    println!(
        "{:<46} {:<18} {:>8.1} target 90.0  {}",
        "h percent returned by shrinking",
        "lease",
        returned * 100.0,
        verdict(shrinks)
    );
    usize::from(!lean) + usize::from(!shrinks)
}
