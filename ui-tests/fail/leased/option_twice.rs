use lease::leased;

#[leased(owned, capacity = 10, weak = Watcher, capacity = 20)]
struct Session;

fn main() {
    // The first one counts, so that nothing else goes wrong.
    let session: SessionLease = lease::StrongLease::clone(&todo!());
    let _: Watcher = lease::StrongLease::downgrade(&session);
}
