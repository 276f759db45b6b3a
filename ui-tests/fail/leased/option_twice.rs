use lease::{StrongLease, leased};

#[leased(owned, capacity = 10, weak = Watcher, capacity = 20)]
struct Session;

// The rest of the use counts, so that nothing else goes wrong.
fn watch(session: &SessionLease) -> Watcher {
    StrongLease::downgrade(session)
}

fn main() {}
