//! What a scope takes and gives.

use std::cell::Cell;

use lease::__private::{Storage, handle};

#[test]
fn nothing_is_taken_before_the_first_allocation() {
    let mut scope = Storage::new();
    let scope = handle(&mut scope);
    assert_eq!(scope.alloc_slice::<u64>(&[]), []);
    assert_eq!(scope.alloc_str(""), "");
    scope.alloc(());
    assert_eq!(scope.report().reserved, 0);
    scope.alloc(1_u8);
    assert!(scope.report().reserved > 0);
}

#[test]
fn every_part_is_aligned_and_none_overlap() {
    #[repr(align(256))]
    #[derive(Clone, Copy, PartialEq, Debug)]
    struct Wide([u8; 256]);

    let mut scope = Storage::new();
    let scope = handle(&mut scope);
    let mut bytes: Vec<&mut u8> = Vec::new();
    let mut words: Vec<&mut u64> = Vec::new();
    let mut wides: Vec<&mut Wide> = Vec::new();
    for round in 0..=255_u8 {
        bytes.push(scope.alloc(round));
        words.push(scope.alloc(u64::from(round)));
        wides.push(scope.alloc(Wide([round; 256])));
    }
    for round in 0..=255_u8 {
        let index = usize::from(round);
        assert_eq!(*bytes[index], round);
        assert_eq!(*words[index], u64::from(round));
        assert_eq!(*wides[index], Wide([round; 256]));
        assert!(std::ptr::from_ref(wides[index]).addr().is_multiple_of(256));
    }
    assert!(scope.report().chunks > 1);
}

#[test]
fn data_of_the_scope_may_refer_to_one_another() {
    struct Node<'s> {
        next: Cell<Option<&'s Node<'s>>>,
        value: u32,
    }
    let mut scope = Storage::new();
    let scope = handle(&mut scope);
    let nodes: &[Node<'_>] = scope.alloc_slice_with(3, |index| Node {
        next: Cell::new(None),
        value: u32::try_from(index).unwrap(),
    });
    for (index, node) in nodes.iter().enumerate() {
        node.next.set(Some(&nodes[(index + 1) % 3]));
    }
    let around = nodes[0].next.get().and_then(|node| node.next.get()?.next.get());
    assert!(std::ptr::eq(around.unwrap(), &raw const nodes[0]));
    assert_eq!(around.map(|node| node.value), Some(0));
}

#[test]
fn the_closure_that_makes_a_slice_may_use_the_scope() {
    let mut scope = Storage::new();
    let scope = handle(&mut scope);
    let rows: &mut [&mut [usize]] =
        scope.alloc_slice_with(40, |row| scope.alloc_slice_with(40, |column| row * column));
    for (row, columns) in rows.iter().enumerate() {
        assert!(
            columns
                .iter()
                .enumerate()
                .all(|(column, cell)| *cell == row * column)
        );
    }
}

#[test]
fn a_slice_from_an_iterator_holds_all_whatever_the_hint_says() {
    struct Hinted(std::ops::Range<usize>, usize);
    impl Iterator for Hinted {
        type Item = usize;
        fn next(&mut self) -> Option<usize> {
            self.0.next()
        }
        fn size_hint(&self) -> (usize, Option<usize>) {
            (self.1, None)
        }
    }
    let mut scope = Storage::new();
    let scope = handle(&mut scope);
    for len in [0, 1, 4, 5, 1_000] {
        for hint in [0, 1, len, len + 7] {
            assert!(
                scope
                    .alloc_slice_from_iter(Hinted(0..len, hint))
                    .iter()
                    .copied()
                    .eq(0..len)
            );
        }
    }
    assert_eq!(scope.alloc_slice_from_iter(std::iter::repeat_n((), 9)).len(), 9);
}

#[test]
fn a_panicking_maker_leaves_the_scope_usable() {
    let mut scope = Storage::new();
    let scope = handle(&mut scope);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        scope.alloc_slice_with(8, |index| {
            assert!(index < 4, "the maker");
            index
        });
    }));
    assert!(outcome.is_err());
    assert_eq!(*scope.alloc(7), 7);
}

#[test]
fn the_report_counts_bytes_chunks_and_guards() {
    let mut scope = Storage::new();
    let scope = handle(&mut scope);
    scope.alloc(1_u8);
    scope.alloc(2_u32);
    scope.keep(String::new());
    let report = scope.report();
    assert_eq!(report.used, 8 + size_of::<String>());
    assert_eq!((report.chunks, report.guards), (1, 1));
    scope.alloc_slice(&vec![0_u8; 1 << 20]);
    let report = scope.report();
    assert_eq!(report.used, 8 + size_of::<String>() + (1 << 20));
    assert_eq!(report.chunks, 2);
    assert!(report.reserved >= report.used);
}
