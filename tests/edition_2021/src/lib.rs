//! The macros in edition 2021.

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use lease::{lease_scope, leased, Leased, StrongLease};

    #[leased(owned)]
    #[derive(Debug)]
    struct Session {
        user: u32,
    }

    #[leased(owned)]
    fn gen(user: u32) -> Option<SessionLease> {
        if user == 0 {
            return None;
        }
        Some(Session { user })
    }

    /// In edition 2021 the guard of `lock` would outlive `numbers`, and this would not compile; the braces around the
    /// body are those of the macros.
    #[leased(scoped, scope = scope)]
    fn last_expression() -> usize {
        let numbers = Mutex::new(vec![1, 2, 3]);
        numbers
            .lock()
            .map_or(0, |numbers| scope.alloc_slice(&numbers).len())
    }

    #[leased(borrowed)]
    async fn borrowed(#[lease] frame: &[u8]) -> usize {
        frame.len()
    }

    #[leased(static)]
    fn fixed() -> &'static str {
        "fixed"
    }

    struct Noting<'a>(&'a Mutex<Vec<&'static str>>, &'static str);

    impl Drop for Noting<'_> {
        fn drop(&mut self) {
            self.0.lock().expect("nobody panics with it").push(self.1);
        }
    }

    #[test]
    fn every_form_works() {
        assert!(gen(0).is_none());
        assert_eq!(gen(7).map(|session| session.user), Some(7));
        let seen: SessionWeak = StrongLease::downgrade(&Session::lease(Session { user: 1 }));
        assert!(seen.lock().is_none());
        assert_eq!((last_expression(), fixed()), (3, "fixed"));
        drop(borrowed(&[1, 2]));
    }

    #[test]
    fn temporaries_of_the_last_expression_drop_inside_the_scope() {
        let log = Mutex::new(Vec::new());
        let length = lease_scope!(|scope| {
            scope.keep(Noting(&log, "kept"));
            Noting(&log, "temporary").1.len()
        });
        assert_eq!(length, 9);
        assert_eq!(*log.lock().expect("nobody panics with it"), ["temporary", "kept"]);
    }

    #[test]
    fn a_scope_in_the_last_expression_ends_before_the_locals_around_it() {
        fn run(log: &Mutex<Vec<&'static str>>) -> u32 {
            let _local = Noting(log, "local");
            lease_scope!(|scope| {
                scope.keep(Noting(log, "kept"));
                *scope.alloc(7)
            })
        }
        let log = Mutex::new(Vec::new());
        assert_eq!(run(&log), 7);
        assert_eq!(*log.lock().expect("nobody panics with it"), ["kept", "local"]);
    }
}
