//! What operators see, with features `metrics` and `tracing`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use lease::{LeaseEvent, ManualClock, Registrar, ReleaseReason};
use metrics::{Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

/// Counters by name and labels.
#[derive(Clone, Default)]
struct Counters(Arc<Mutex<HashMap<Key, Arc<Count>>>>);

#[derive(Default)]
struct Count(AtomicU64);

impl CounterFn for Count {
    fn increment(&self, value: u64) {
        self.0.fetch_add(value, Ordering::Relaxed);
    }

    fn absolute(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

impl Counters {
    fn value(&self, name: &str, label: Option<&str>) -> u64 {
        let counters = self.0.lock().unwrap();
        let is_asked = |key: &&Key| {
            key.name() == name && label.is_none_or(|label| key.labels().any(|found| found.value() == label))
        };
        counters
            .keys()
            .filter(is_asked)
            .map(|key| counters[key].0.load(Ordering::Relaxed))
            .sum()
    }
}

impl Recorder for Counters {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let is_hostile = key.labels().any(|label| label.value() == "hostile.event");
        assert!(!is_hostile, "on purpose");
        Counter::from_arc(Arc::clone(self.0.lock().unwrap().entry(key.clone()).or_default()))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[derive(LeaseEvent)]
#[event(namespace = "hostile")]
enum Hostile {
    #[event(kind = "event", tag = 1)]
    Event,
}

/// One test, because a process has one recorder: other tests of this program only add to what it counts.
#[test]
fn records_and_lost_claims_are_counted() {
    let counters = Counters::default();
    assert!(metrics::set_global_recorder(counters.clone()).is_ok());
    let clock = ManualClock::new();
    let jobs = Registrar::builder().clock(clock.clone()).in_memory().unwrap();

    let before = counters.value("lease_records_total", Some("lease.issued"));
    let claim = jobs
        .try_claim("observed", Duration::from_secs(10))
        .wait()
        .unwrap();
    claim.release(ReleaseReason::Completed).wait().unwrap();
    // Answers come after the counting of what they answer.
    assert!(counters.value("lease_records_total", Some("lease.issued")) > before);
    assert!(counters.value("lease_records_total", Some("lease.released")) > 0);

    let lost_before = counters.value("lease_claims_lost_total", None);
    let claim = jobs.try_claim("lost", Duration::from_secs(10)).wait().unwrap();
    let (told, hears) = mpsc::channel();
    claim.on_lost(move || told.send(()).unwrap());
    jobs.revoke_work("lost", "taken back by a test").wait().unwrap();
    hears.recv_timeout(Duration::from_secs(30)).unwrap();
    assert!(counters.value("lease_claims_lost_total", None) > lost_before);

    // A recorder that panics keeps nobody from his answer.
    jobs.record(&Hostile::Event).wait().unwrap();
    drop(jobs.try_claim("next", Duration::from_secs(10)).wait().unwrap());
}
