//! The macros with the crate under another name.
//!
//! `lease_scope!` finds the crate by itself; the attribute and the derive are told by `crate = PATH`.

#[cfg(test)]
mod tests {
    use tenancy::{
        ClaimError, LeaseOwner, Leased, Registrar, StrongLease, TrackBorrowed, lease_scope, leased,
    };

    #[leased(owned, crate = tenancy)]
    #[derive(Debug)]
    struct Session {
        user: u32,
    }

    #[leased(borrowed, crate = ::tenancy)]
    struct Frame<'a> {
        #[lease]
        bytes: &'a [u8],
    }

    #[leased(owned, crate = tenancy)]
    fn open(user: u32) -> Option<SessionLease> {
        Some(Session { user })
    }

    #[leased(owned, crate = tenancy)]
    async fn open_later(user: u32) -> SessionLease {
        Session { user }
    }

    #[leased(scoped, scope = scope, crate = tenancy)]
    fn scoped() -> u32 {
        *scope.alloc(7)
    }

    #[leased(borrowed, crate = tenancy)]
    fn borrowed(#[lease] frame: &[u8]) -> bool {
        LeaseOwner::global().find(frame.as_ptr()).is_some()
    }

    #[leased(exclusive, work = "invoice/{id}", ttl = "30s", registrar = registrar, crate = tenancy)]
    fn exclusive(registrar: &Registrar, id: u32) -> Result<u32, ClaimError> {
        Ok(id)
    }

    #[leased(exclusive, work = "invoice/{id}", ttl = "30s", registrar = registrar, crate = tenancy)]
    async fn exclusive_later(registrar: &Registrar, id: u32) -> Result<u32, ClaimError> {
        Ok(id)
    }

    #[leased(static, crate = tenancy)]
    fn fixed() -> &'static str {
        "fixed"
    }

    #[test]
    fn the_crate_is_found_by_its_path() {
        assert_eq!(open(7).map(|session| session.user), Some(7));
        let session = Session::lease(Session { user: 8 });
        let seen: SessionWeak = StrongLease::downgrade(&session);
        assert!(seen.lock().is_some());
        assert_eq!((scoped(), fixed()), (7, "fixed"));
        assert!(borrowed(&[1, 2, 3]));
        drop(open_later(9));
        let registrar = Registrar::in_memory().expect("a thread to spare");
        assert!(matches!(exclusive(&registrar, 7), Ok(7)));
        drop(exclusive_later(&registrar, 7));
        let frame = Frame { bytes: &[1, 2, 3] };
        assert_eq!(frame.track(&LeaseOwner::new()).bytes, [1, 2, 3]);
    }

    #[test]
    fn a_scope_needs_no_path() {
        assert_eq!(lease_scope!(|scope| { *scope.alloc(7) }), 7);
    }

    #[test]
    fn a_family_of_events_is_told_the_path() {
        use tenancy::LeaseEvent;

        #[derive(Debug, PartialEq, LeaseEvent)]
        #[event(namespace = "order", crate = tenancy)]
        enum OrderEvent {
            #[event(kind = "placed", tag = 1)]
            Placed(#[event(tag = 1)] String),
        }

        let placed = OrderEvent::Placed("o-1".to_owned());
        assert_eq!(OrderEvent::decode(&placed.encode()).as_ref(), Ok(&placed));
    }
}
