//! Random operation lists against a table that a reader can check at a glance.

use std::alloc::Layout;
use std::cell::UnsafeCell;
use std::mem;
use std::ptr::NonNull;

use lease::{Contract, LeaseOwner, LeaseTenant, OwnedLease, OwnerError, Recorded, TenantId};
use proptest::prelude::*;

use crate::raw::{realloc, terminate, transfer};
use crate::steered::{BYTES, Steered};

/// A piece of the buffer.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Piece {
    start: usize,
    size: usize,
    align: usize,
}

impl Piece {
    fn layout(self) -> Layout {
        Layout::from_size_align(self.size, self.align).expect("a power of two")
    }

    fn meets(self, other: Self) -> bool {
        self.start < other.start + other.size && other.start < self.start + self.size
    }

    fn contains(self, other: Self) -> bool {
        self.start <= other.start && other.start + other.size <= self.start + self.size
    }
}

/// The naive table: a list, in the order of arrival, searched from end to end.
#[derive(Clone, Debug, Default)]
struct Naive {
    rows: Vec<Row>,
    stale_borrows: u64,
    untracked: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Row {
    id: TenantId,
    contract: Contract,
    piece: Piece,
    guards: usize,
    raw: usize,
}

/// What a naive refusal is: its kind, and who is in the way.
#[derive(Debug, PartialEq)]
enum Refusal {
    Overlap(Vec<TenantId>),
    NotTracked,
    HeldByGuard,
    NotOwned,
}

impl Naive {
    /// Who forbids a newcomer. A moved `Owned` one may cover borrows, but not cut them; a fresh one ends them.
    fn in_the_way(&self, contract: Contract, piece: Piece, fresh: bool) -> Result<(), Refusal> {
        use Contract::{Borrowed, Owned, Static};
        let forbids = |row: &&Row| match (contract, row.contract) {
            (Owned, Owned | Static) | (Static, Owned) => true,
            (Owned, Borrowed) => !fresh && !piece.contains(row.piece),
            (Borrowed, Owned) => !row.piece.contains(piece),
            (Borrowed | Static, Borrowed | Static) => false,
        };
        let met = self.rows.iter().filter(|row| row.piece.meets(piece));
        let others: Vec<_> = met.filter(forbids).map(|row| row.id).collect();
        if others.is_empty() {
            Ok(())
        } else {
            Err(Refusal::Overlap(others))
        }
    }

    fn evict(&mut self, piece: Piece) {
        let before = self.rows.len();
        self.rows
            .retain(|row| row.contract != Contract::Borrowed || !row.piece.meets(piece));
        self.stale_borrows += (before - self.rows.len()) as u64;
    }

    fn same(&mut self, contract: Contract, piece: Piece) -> Option<&mut Row> {
        self.rows
            .iter_mut()
            .rev()
            .find(|row| (row.contract, row.piece) == (contract, piece))
    }

    fn permit(&self, piece: Piece, id: TenantId, ending: bool) -> Result<Row, Refusal> {
        let found = self
            .rows
            .iter()
            .find(|row| row.id == id && row.piece.start == piece.start);
        let row = *found.ok_or(Refusal::NotTracked)?;
        let held = row.raw == 0 || (row.guards > 0 && !ending);
        if held { Err(Refusal::HeldByGuard) } else { Ok(row) }
    }

    fn end_hold(&mut self, id: TenantId, guards: usize, raw: usize) {
        if let Some(row) = self.rows.iter_mut().find(|row| row.id == id) {
            (row.guards, row.raw) = (row.guards - guards, row.raw - raw);
        }
        self.rows.retain(|row| row.guards + row.raw > 0);
    }

    fn remove(&mut self, id: TenantId, piece: Piece) {
        self.rows.retain(|row| row.id != id || row.piece != piece);
    }

    fn take(&mut self, id: TenantId) -> Row {
        let place = self.rows.iter().position(|row| row.id == id);
        self.rows.remove(place.expect("the real owner has it"))
    }

    /// The guard lets go, the address layer takes over.
    fn let_go(&mut self, id: TenantId) {
        let row = Row {
            guards: 0,
            raw: 1,
            ..self.take(id)
        };
        self.rows.push(row);
    }

    fn borrows(&self, owned: &Row) -> usize {
        let inside = |row: &&Row| row.contract == Contract::Borrowed && owned.piece.contains(row.piece);
        let holds = self
            .rows
            .iter()
            .filter(inside)
            .map(|row| row.guards + row.raw)
            .sum();
        if owned.contract == Contract::Owned {
            holds
        } else {
            0
        }
    }

    fn best(&self, wanted: impl Fn(&Piece) -> bool) -> Option<TenantId> {
        let order = [Contract::Owned, Contract::Static, Contract::Borrowed];
        let rank = |row: &&Row| {
            let contract = order.iter().position(|contract| *contract == row.contract);
            (contract, usize::MAX - row.piece.size, row.id)
        };
        self.rows
            .iter()
            .filter(|row| wanted(&row.piece))
            .min_by_key(rank)
            .map(|row| row.id)
    }
}

#[derive(Clone, Debug)]
enum Step {
    Own(usize, Piece),
    Lend(usize, Piece),
    LendRaw(usize, Piece),
    Fix(usize, Piece),
    DropOwned(usize),
    DropRecorded(usize),
    ForgetRecorded(usize),
    IntoRaw(usize),
    TransferGuard(usize, usize),
    Terminate(usize),
    Transfer(usize, usize),
    Realloc(usize, Piece),
}

/// Mostly from a few places, so that they meet.
fn piece() -> impl Strategy<Value = Piece> {
    let few = (0..4_usize, 1..4_usize).prop_map(|(start, size)| (start * 64, size * 64));
    let start = prop_oneof![0..200_usize, 0..BYTES];
    let size = prop_oneof![0..80_usize, 0..BYTES];
    prop_oneof![few, (start, size)].prop_map(|(start, size)| Piece {
        start,
        size: size.min(BYTES - start),
        align: 1,
    })
}

fn step() -> impl Strategy<Value = Step> {
    let aligned = (piece(), 0..2_u32).prop_map(|(piece, bits)| Piece {
        align: 1 << bits,
        ..piece
    });
    prop_oneof![
        3 => (0..2_usize, piece()).prop_map(|(owner, piece)| Step::Own(owner, piece)),
        4 => (0..2_usize, piece()).prop_map(|(owner, piece)| Step::Lend(owner, piece)),
        2 => (0..2_usize, aligned).prop_map(|(owner, piece)| Step::LendRaw(owner, piece)),
        1 => (0..2_usize, piece()).prop_map(|(owner, piece)| Step::Fix(owner, piece)),
        2 => any::<usize>().prop_map(Step::DropOwned),
        3 => any::<usize>().prop_map(Step::DropRecorded),
        1 => any::<usize>().prop_map(Step::ForgetRecorded),
        2 => any::<usize>().prop_map(Step::IntoRaw),
        1 => (any::<usize>(), 0..2_usize).prop_map(|(n, to)| Step::TransferGuard(n, to)),
        2 => any::<usize>().prop_map(Step::Terminate),
        3 => (any::<usize>(), 0..2_usize).prop_map(|(n, to)| Step::Transfer(n, to)),
        2 => (any::<usize>(), piece()).prop_map(|(n, piece)| Step::Realloc(n, piece)),
    ]
}

/// The real owners and the naive tables side by side, with what the callers hold.
struct Both<'a> {
    steered: &'a Steered,
    owners: &'a [LeaseOwner<&'a Steered>; 2],
    naive: [Naive; 2],
    owned: Vec<(usize, Piece, OwnedLease<'a>)>,
    recorded: Vec<(usize, Option<TenantId>, Recorded<'a>)>,
    /// What came from the address layer, ended or not: callers may be stale.
    raw: Vec<(usize, Piece, TenantId)>,
}

fn pick<T>(list: &mut Vec<T>, number: usize) -> Option<T> {
    (!list.is_empty()).then(|| list.swap_remove(number % list.len()))
}

impl Both<'_> {
    fn memory(&self, piece: Piece) -> &'static [UnsafeCell<u8>] {
        self.steered.piece(piece.start, piece.size)
    }

    fn agree<T: std::fmt::Debug>(expected: Result<T, Refusal>, real: Result<T, OwnerError>) -> Option<T> {
        match (expected, real) {
            (Ok(_), Ok(value)) => Some(value),
            (Err(Refusal::Overlap(others)), Err(OwnerError::Overlap { tenant, .. })) => {
                assert!(
                    others.contains(&tenant),
                    "{tenant} is not in the way, {others:?} are"
                );
                None
            }
            (Err(Refusal::NotTracked), Err(OwnerError::NotTracked { .. }))
            | (Err(Refusal::HeldByGuard), Err(OwnerError::HeldByGuard { .. }))
            | (Err(Refusal::NotOwned), Err(OwnerError::NotOwned { .. })) => None,
            (expected, real) => panic!("expected {expected:?}, got {real:?}"),
        }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Own(at, piece) => self.own(at, piece),
            Step::Lend(at, piece) => self.lend(at, piece),
            Step::LendRaw(at, piece) => {
                let start = NonNull::from(self.memory(piece)).cast();
                let real = self.owners[at].track_borrowed(start, piece.layout());
                self.take_raw(at, Contract::Borrowed, piece, real);
            }
            Step::Fix(at, piece) => {
                let real = self.owners[at].track_static(self.memory(piece));
                self.take_raw(at, Contract::Static, piece, real);
            }
            Step::DropOwned(number) => {
                if let Some((at, piece, lease)) = pick(&mut self.owned, number) {
                    self.naive[at].remove(OwnedLease::tenant_id(&lease), piece);
                }
            }
            Step::DropRecorded(number) => {
                if let Some((at, Some(id), _recorded)) = pick(&mut self.recorded, number) {
                    self.naive[at].end_hold(id, 1, 0);
                }
            }
            Step::ForgetRecorded(number) => mem::forget(pick(&mut self.recorded, number)),
            Step::IntoRaw(number) => {
                if let Some((at, piece, lease)) = pick(&mut self.owned, number) {
                    let (_, id) = OwnedLease::into_raw(lease);
                    self.naive[at].let_go(id);
                    self.raw.push((at, piece, id));
                }
            }
            Step::TransferGuard(number, to) => self.transfer_guard(number, to),
            Step::Terminate(number) => self.terminate(number),
            Step::Transfer(number, to) => self.transfer(number, to),
            Step::Realloc(number, new) => self.realloc(number, new),
        }
    }

    fn own(&mut self, at: usize, piece: Piece) {
        if piece.size == 0 {
            return;
        }
        self.steered.steer(piece.start);
        let expected = self.naive[at].in_the_way(Contract::Owned, piece, true);
        match self.owners[at].alloc_owned(piece.layout()) {
            Ok(lease) => {
                Self::agree(expected, Ok(()));
                let id = OwnedLease::tenant_id(&lease);
                self.naive[at].evict(piece);
                self.naive[at].rows.push(Row {
                    id,
                    contract: Contract::Owned,
                    piece,
                    guards: 1,
                    raw: 0,
                });
                self.owned.push((at, piece, lease));
            }
            Err(refused) => _ = Self::agree(expected, Err(refused)),
        }
    }

    fn lend(&mut self, at: usize, piece: Piece) {
        let recorded = self.owners[at].record(self.memory(piece));
        let id = recorded.tenant().map(|tenant| tenant.id());
        let expected = self.naive[at].in_the_way(Contract::Borrowed, piece, true);
        if piece.size == 0 {
            assert_eq!(id, None);
        } else if let Some(row) = self.naive[at].same(Contract::Borrowed, piece) {
            row.guards += 1;
            assert_eq!(id, Some(row.id));
        } else if expected.is_ok() {
            let id = id.expect("nothing is in the way");
            self.naive[at].rows.push(Row {
                id,
                contract: Contract::Borrowed,
                piece,
                guards: 1,
                raw: 0,
            });
        } else {
            assert_eq!(id, None);
            self.naive[at].untracked += 1;
        }
        self.recorded.push((at, id, recorded));
    }

    fn transfer_guard(&mut self, number: usize, to: usize) {
        let Some((at, piece, lease)) = pick(&mut self.owned, number) else {
            return;
        };
        let id = OwnedLease::tenant_id(&lease);
        let expected = if at == to {
            Ok(())
        } else {
            self.naive[to].in_the_way(Contract::Owned, piece, false)
        };
        match OwnedLease::transfer(lease, &self.owners[to]) {
            Ok(lease) => {
                Self::agree(expected, Ok(()));
                self.hand_over(at, to, id);
                self.owned.push((to, piece, lease));
            }
            Err(refused) => {
                Self::agree(expected, Err(refused.error()));
                self.owned.push((at, piece, refused.into_lease()));
            }
        }
    }

    fn terminate(&mut self, number: usize) {
        let Some((at, piece, id)) = self.caller(number) else {
            return;
        };
        let expected = self.naive[at].permit(piece, id, true).map(drop);
        let real = terminate(&self.owners[at], self.steered.at(piece.start), id);
        if Self::agree(expected, real).is_some() {
            self.naive[at].end_hold(id, 0, 1);
        }
    }

    fn transfer(&mut self, number: usize, to: usize) {
        let Some((at, piece, id)) = self.caller(number) else {
            return;
        };
        let expected = self.naive[at].permit(piece, id, false).and_then(|row| {
            if at == to {
                Ok(())
            } else {
                self.naive[to].in_the_way(row.contract, row.piece, false)
            }
        });
        let real = transfer(
            &self.owners[at],
            self.steered.at(piece.start),
            id,
            &self.owners[to],
        );
        if Self::agree(expected, real).is_some() {
            self.hand_over(at, to, id);
            self.caller_mut(number).0 = to;
        }
    }

    fn realloc(&mut self, number: usize, new: Piece) {
        let Some((at, piece, id)) = self.caller(number) else {
            return;
        };
        // A real strategy never hands out a block over the one that is being moved.
        if new.size == 0 || new.meets(piece) {
            return;
        }
        self.steered.steer(new.start);
        let naive = &mut self.naive[at];
        let expected = naive.permit(piece, id, false).and_then(|row| match row.contract {
            Contract::Owned => naive.in_the_way(Contract::Owned, new, true),
            _ => Err(Refusal::NotOwned),
        });
        let real = realloc(&self.owners[at], self.steered.at(piece.start), id, new.layout());
        if Self::agree(expected, real.map(drop)).is_some() {
            naive.evict(new);
            naive.remove(id, piece);
            naive.rows.push(Row {
                id,
                contract: Contract::Owned,
                piece: new,
                guards: 0,
                raw: 1,
            });
            self.caller_mut(number).1 = new;
        }
    }

    /// One of those who hold an address and a number.
    fn caller(&self, number: usize) -> Option<(usize, Piece, TenantId)> {
        (!self.raw.is_empty()).then(|| self.raw[number % self.raw.len()])
    }

    fn caller_mut(&mut self, number: usize) -> &mut (usize, Piece, TenantId) {
        let callers = self.raw.len();
        &mut self.raw[number % callers]
    }

    fn take_raw(&mut self, at: usize, contract: Contract, piece: Piece, real: Result<TenantId, OwnerError>) {
        let naive = &mut self.naive[at];
        let expected = naive.in_the_way(contract, piece, true);
        if piece.size == 0 {
            assert!(real.is_ok());
        } else if let Some(row) = naive.same(contract, piece) {
            row.raw = if contract == Contract::Static {
                1
            } else {
                row.raw + 1
            };
            assert_eq!(real, Ok(row.id));
        } else if let Some(id) = Self::agree(expected.map(|()| TenantId::from_bits(0)), real) {
            naive.rows.push(Row {
                id,
                contract,
                piece,
                guards: 0,
                raw: 1,
            });
            self.raw.push((at, piece, id));
        }
    }

    fn hand_over(&mut self, at: usize, to: usize, id: TenantId) {
        if at != to {
            let row = self.naive[at].take(id);
            self.naive[to].rows.push(row);
        }
    }

    fn compare(&self) {
        let base = self.steered.at(0).addr();
        for (owner, naive) in self.owners.iter().zip(&self.naive) {
            let report = owner.report();
            assert_eq!(
                (report.stale_borrows, report.untracked),
                (naive.stale_borrows, naive.untracked)
            );
            let row = |tenant: &LeaseTenant| {
                let object = tenant.object();
                let piece = Piece {
                    start: object.address() - base,
                    size: object.size(),
                    align: object.alignment(),
                };
                let (id, contract) = (tenant.id(), tenant.contract());
                let row = Row {
                    id,
                    contract,
                    piece,
                    guards: tenant.guards(),
                    raw: tenant.raw_holds(),
                };
                (row, tenant.borrows())
            };
            let real: Vec<_> = report.tenants.iter().map(row).collect();
            let mut expected: Vec<_> = naive.rows.iter().map(|row| (*row, naive.borrows(row))).collect();
            expected.sort_by_key(|(row, _)| row.id);
            assert_eq!(real, expected);

            let edges = naive
                .rows
                .iter()
                .flat_map(|row| [row.piece.start, row.piece.start + row.piece.size]);
            for edge in edges {
                for offset in [edge.saturating_sub(1), edge, (edge + 1).min(BYTES)] {
                    let at = self.steered.at(offset);
                    let start = naive.best(|piece| piece.start == offset);
                    assert_eq!(owner.tenant(at).map(|tenant| tenant.id()), start);
                    let covering =
                        naive.best(|piece| (piece.start..piece.start + piece.size).contains(&offset));
                    assert_eq!(owner.find(at).map(|tenant| tenant.id()), covering);
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn the_table_is_the_naive_one(steps in prop::collection::vec(step(), 1..60)) {
        let steered = Steered::new();
        let owners = [LeaseOwner::with_strategy(&steered), LeaseOwner::with_strategy(&steered)];
        let mut both = Both {
            steered: &steered,
            owners: &owners,
            naive: Default::default(),
            owned: Vec::new(),
            recorded: Vec::new(),
            raw: Vec::new(),
        };
        for step in steps {
            both.take(&step);
            both.compare();
        }
        drop(both);
        drop(owners);
        prop_assert_eq!(steered.live(), 0);
    }
}
