//! Scopes: leases that end with a block.
//!
//! A scope is an arena and a list of guards on the frame of a block. What is put into it lives until the block ends: at
//! the closing brace, on `?` and `return`, on panic, and when the future around it is dropped.
//!
//! Invariants, on which the safety of this room rests:
//! - all that a scope hands out lies in chunks on the heap, never in [`Storage`] itself, so the storage may move with the
//!   future around it as long as nobody has started to use it, and the handle's own accesses alias no reference it gave;
//! - a [`Scope`] borrows its storage exclusively: there is one handle at a time, so its cells are not shared even when
//!   the handle moves to another thread, and the storage cannot end before the handle and all that came from it;
//! - what runs at the end was `Send + 'env` when it came in: it may run on another thread, and cannot see the scope.

mod arena;
mod error;
mod guards;
mod kept;
mod report;
mod storage;

use std::alloc::Layout;
use std::mem::needs_drop;
use std::ptr::NonNull;

pub use self::error::ScopeError;
pub use self::report::ScopeReport;
pub use self::storage::{Storage, handle};
use crate::memory::strategy::MemoryStrategy;

/// The handle to a scope: what `lease_scope!(|scope| …)` calls by the name you choose.
///
/// Plain data goes in by the `alloc` family, which runs no destructor and refuses types that have one; it may hold
/// references to other data of the scope. Values with destructors go in by [`keep`](Self::keep), and
/// [`defer`](Self::defer) takes a closure; these end in reverse order when the block ends, before the memory goes back.
/// All of it comes back as `&'s mut`, valid to the end of the block.
///
/// The handle is `Send`, so a future that holds it across an `.await` can be spawned. It is not `Sync`: a future that
/// holds a *reference* to it across an `.await` cannot.
///
/// Each method that needs memory has a `try_` twin; the plain one panics with the message of the twin's error.
///
/// ```
/// # #[cfg(feature = "macros")] {
/// use std::sync::atomic::{AtomicU32, Ordering};
/// use lease::lease_scope;
///
/// let searches = AtomicU32::new(0);
/// let longest = lease_scope!(|scope| {
///     scope.defer(|| { searches.fetch_add(1, Ordering::Relaxed); });
///     let words = scope.alloc_slice_from_iter("a checked right".split(' '));
///     words.sort_by_key(|word| word.len());
///     words.last().map(|word| word.len())
/// });
/// assert_eq!((longest, searches.into_inner()), (Some(7), 1));
/// # }
/// ```
///
/// # What the compiler refuses
///
/// Memory of the scope cannot leave the block:
///
/// ```compile_fail,E0597
/// # use lease::__private::{Storage, handle};
/// let escaped = {
///     let mut scope = Storage::new();
///     let scope = handle(&mut scope);
///     scope.alloc(7)
/// };
/// *escaped = 8;
/// ```
///
/// Nothing that runs at the end may see memory of the scope, because it may be gone by then:
///
/// ```compile_fail,E0597
/// # use lease::__private::{Storage, handle};
/// let mut scope = Storage::new();
/// let scope = handle(&mut scope);
/// let number = scope.alloc(7);
/// scope.defer(|| *number = 8);
/// ```
///
/// ```compile_fail,E0597
/// # use lease::__private::{Storage, handle};
/// struct Loud<'a>(&'a u32);
/// impl Drop for Loud<'_> {
///     fn drop(&mut self) {
///         println!("{}", self.0);
///     }
/// }
/// let mut scope = Storage::new();
/// let scope = handle(&mut scope);
/// let number = scope.alloc(7);
/// scope.keep(Loud(number));
/// ```
///
/// Nor may it be bound to a thread, or to a value that ends before the scope:
///
/// ```compile_fail,E0277
/// # use lease::__private::{Storage, handle};
/// let mut scope = Storage::new();
/// let scope = handle(&mut scope);
/// scope.keep(std::rc::Rc::new(7));
/// ```
///
/// ```compile_fail,E0597
/// # use lease::__private::{Storage, handle};
/// let mut scope = Storage::new();
/// let scope = handle(&mut scope);
/// let later = String::from("dropped before the scope");
/// scope.defer(|| println!("{later}"));
/// ```
///
/// The handle is one, and stays with one thread at a time:
///
/// ```compile_fail,E0499
/// # use lease::__private::{Storage, handle};
/// let mut storage = Storage::new();
/// let one = handle(&mut storage);
/// let two = handle(&mut storage);
/// one.alloc(1);
/// two.alloc(2);
/// ```
///
/// ```compile_fail,E0277
/// fn shared<T: Sync>() {}
/// shared::<lease::Scope<'static, 'static>>();
/// ```
pub struct Scope<'s, 'env> {
    storage: &'s mut Storage<'env, dyn MemoryStrategy + 's>,
}

impl<'s> Scope<'s, '_> {
    /// Plain data, until the block ends. No destructor will run, so a type that needs one does not compile.
    ///
    /// O(1) but for a new chunk now and then.
    ///
    /// ```
    /// # let mut scope = lease::__private::Storage::new();
    /// # let scope = lease::__private::handle(&mut scope);
    /// struct Node<'s> { value: u32, next: Option<&'s Node<'s>> }
    ///
    /// let last: &Node = scope.alloc(Node { value: 2, next: None });
    /// let first: &Node = scope.alloc(Node { value: 1, next: Some(last) });
    /// assert_eq!(first.next.map(|node| node.value), Some(2));
    /// # assert_eq!(first.value, 1);
    /// ```
    ///
    /// ```compile_fail,E0080
    /// # let mut scope = lease::__private::Storage::new();
    /// # let scope = lease::__private::handle(&mut scope);
    /// scope.alloc(String::from("has a destructor"));
    /// ```
    ///
    /// # Panics
    ///
    /// Where [`try_alloc`](Self::try_alloc) returns an error.
    #[track_caller]
    pub fn alloc<T>(&self, value: T) -> &'s mut T {
        const { refuse_destructor::<T>() }
        or_panic(self.place(value)).1
    }

    /// As [`alloc`](Self::alloc), with an error when there is no memory.
    ///
    /// # Errors
    ///
    /// [`ScopeError::Alloc`]; the scope is as it was, and `value` is gone.
    pub fn try_alloc<T>(&self, value: T) -> Result<&'s mut T, ScopeError> {
        const { refuse_destructor::<T>() }
        Ok(self.place(value)?.1)
    }

    /// A copy of a slice, until the block ends. O(length).
    ///
    /// ```
    /// # let mut scope = lease::__private::Storage::new();
    /// # let scope = lease::__private::handle(&mut scope);
    /// let copy = scope.alloc_slice(&[3, 1, 2]);
    /// copy.sort();
    /// assert_eq!(copy, [1, 2, 3]);
    /// ```
    ///
    /// # Panics
    ///
    /// Where [`try_alloc_slice`](Self::try_alloc_slice) returns an error.
    #[track_caller]
    pub fn alloc_slice<T: Copy>(&self, source: &[T]) -> &'s mut [T] {
        or_panic(self.try_alloc_slice(source))
    }

    /// As [`alloc_slice`](Self::alloc_slice), with an error when there is no memory.
    ///
    /// # Errors
    ///
    /// [`ScopeError::Alloc`]; the scope is as it was.
    pub fn try_alloc_slice<T: Copy>(&self, source: &[T]) -> Result<&'s mut [T], ScopeError> {
        let start = self.reserve::<T>(source.len())?;
        // SAFETY: `start` is fresh memory for `source.len()` elements, so the two do not overlap.
        unsafe { start.copy_from_nonoverlapping(NonNull::from_ref(source).cast(), source.len()) };
        // SAFETY: that many elements have just been written there, and nobody else knows the place.
        Ok(unsafe { slice(start, source.len()) })
    }

    /// A slice of `len` elements, each made by `make` from its index, until the block ends. O(length).
    ///
    /// `make` may use the scope itself.
    ///
    /// ```
    /// # let mut scope = lease::__private::Storage::new();
    /// # let scope = lease::__private::handle(&mut scope);
    /// let squares = scope.alloc_slice_with(4, |index| index * index);
    /// assert_eq!(squares, [0, 1, 4, 9]);
    /// ```
    ///
    /// # Panics
    ///
    /// Where [`try_alloc_slice_with`](Self::try_alloc_slice_with) returns an error.
    #[track_caller]
    pub fn alloc_slice_with<T>(&self, len: usize, make: impl FnMut(usize) -> T) -> &'s mut [T] {
        const { refuse_destructor::<T>() }
        or_panic(self.place_slice_with(len, make))
    }

    /// As [`alloc_slice_with`](Self::alloc_slice_with), with an error when there is no memory.
    ///
    /// # Errors
    ///
    /// [`ScopeError::Alloc`] or [`ScopeError::TooLong`]; the scope is as it was, and `make` was not called.
    pub fn try_alloc_slice_with<T>(
        &self,
        len: usize,
        make: impl FnMut(usize) -> T,
    ) -> Result<&'s mut [T], ScopeError> {
        const { refuse_destructor::<T>() }
        self.place_slice_with(len, make)
    }

    /// A slice of all that the iterator gives, until the block ends. O(length).
    ///
    /// Where the iterator's lower size hint is exact the elements are written once, in place; otherwise they move to a
    /// place twice as large whenever it is full, and the places left behind stay taken to the end of the block.
    ///
    /// ```
    /// # let mut scope = lease::__private::Storage::new();
    /// # let scope = lease::__private::handle(&mut scope);
    /// let even = scope.alloc_slice_from_iter((0..10).filter(|n| n % 2 == 0));
    /// assert_eq!(even, [0, 2, 4, 6, 8]);
    /// ```
    ///
    /// # Panics
    ///
    /// Where [`try_alloc_slice_from_iter`](Self::try_alloc_slice_from_iter) returns an error.
    #[track_caller]
    pub fn alloc_slice_from_iter<T>(&self, elements: impl IntoIterator<Item = T>) -> &'s mut [T] {
        const { refuse_destructor::<T>() }
        or_panic(self.place_slice_from_iter(elements))
    }

    /// As [`alloc_slice_from_iter`](Self::alloc_slice_from_iter), with an error when there is no memory.
    ///
    /// # Errors
    ///
    /// [`ScopeError::Alloc`] or [`ScopeError::TooLong`]; what the iterator gave is gone, and places that were taken for
    /// it stay taken to the end of the block.
    pub fn try_alloc_slice_from_iter<T>(
        &self,
        elements: impl IntoIterator<Item = T>,
    ) -> Result<&'s mut [T], ScopeError> {
        const { refuse_destructor::<T>() }
        self.place_slice_from_iter(elements)
    }

    /// A copy of a string, until the block ends. O(length).
    ///
    /// ```
    /// # let mut scope = lease::__private::Storage::new();
    /// # let scope = lease::__private::handle(&mut scope);
    /// let name = scope.alloc_str("lease");
    /// name.make_ascii_uppercase();
    /// assert_eq!(name, "LEASE");
    /// ```
    ///
    /// # Panics
    ///
    /// Where [`try_alloc_str`](Self::try_alloc_str) returns an error.
    #[track_caller]
    pub fn alloc_str(&self, source: &str) -> &'s mut str {
        or_panic(self.try_alloc_str(source))
    }

    /// As [`alloc_str`](Self::alloc_str), with an error when there is no memory.
    ///
    /// # Errors
    ///
    /// [`ScopeError::Alloc`]; the scope is as it was.
    pub fn try_alloc_str(&self, source: &str) -> Result<&'s mut str, ScopeError> {
        let bytes = self.try_alloc_slice(source.as_bytes())?;
        // SAFETY: the bytes are a copy of a `str`'s.
        Ok(unsafe { std::str::from_utf8_unchecked_mut(bytes) })
    }

    fn place_slice_with<T>(
        &self,
        len: usize,
        mut make: impl FnMut(usize) -> T,
    ) -> Result<&'s mut [T], ScopeError> {
        let start = self.reserve::<T>(len)?;
        for index in 0..len {
            let element = make(index);
            // SAFETY: `index < len`, and `start` has room for `len` elements.
            let place = unsafe { start.add(index) };
            // SAFETY: the place is fresh, aligned memory for one element.
            unsafe { place.write(element) };
        }
        // SAFETY: the loop has written each of the `len` elements, and nobody else knows the place.
        Ok(unsafe { slice(start, len) })
    }

    fn place_slice_from_iter<T>(
        &self,
        elements: impl IntoIterator<Item = T>,
    ) -> Result<&'s mut [T], ScopeError> {
        let elements = elements.into_iter();
        let mut capacity = elements.size_hint().0;
        let mut start = self.reserve::<T>(capacity)?;
        let mut len = 0;
        for element in elements {
            if len == capacity {
                capacity = len.saturating_mul(2).max(4);
                let larger = self.reserve::<T>(capacity)?;
                // SAFETY: `len` elements stand at `start`; `larger` is fresh memory for more than that many.
                unsafe { larger.copy_from_nonoverlapping(start, len) };
                start = larger;
            }
            // SAFETY: `len < capacity`, and `start` has room for `capacity` elements.
            let place = unsafe { start.add(len) };
            // SAFETY: the place is fresh, aligned memory for one element.
            unsafe { place.write(element) };
            len += 1;
        }
        // SAFETY: the loop has written `len` elements from `start` on, and nobody else knows the place.
        Ok(unsafe { slice(start, len) })
    }

    /// Fresh memory for a slice.
    fn reserve<T>(&self, len: usize) -> Result<NonNull<T>, ScopeError> {
        let layout = Layout::array::<T>(len).map_err(|_| ScopeError::TooLong {
            len,
            element_size: size_of::<T>(),
        })?;
        Ok(self
            .storage
            .arena
            .allocate(&self.storage.strategy, layout)?
            .cast())
    }

    /// The value in its place, as the pointer that may end it and the reference to give out.
    fn place<T>(&self, value: T) -> Result<(NonNull<T>, &'s mut T), ScopeError> {
        let mut place = self
            .storage
            .arena
            .allocate(&self.storage.strategy, Layout::new::<T>())?
            .cast::<T>();
        // SAFETY: the arena gave fresh memory of `T`'s layout.
        unsafe { place.write(value) };
        // SAFETY: the value has just been written; nobody else knows the place, and it stays until the storage ends,
        // after `'s`.
        Ok((place, unsafe { place.as_mut() }))
    }
}

/// The elements at `start`.
///
/// # Safety
///
/// - `len` initialised elements stand there, in memory that lives for `'s`;
/// - nobody else reaches them during `'s`.
unsafe fn slice<'s, T>(start: NonNull<T>, len: usize) -> &'s mut [T] {
    // SAFETY: the caller's duties are the callee's.
    unsafe { NonNull::slice_from_raw_parts(start, len).as_mut() }
}

/// Stands in every public function of the family, and none of them calls another: the compiler names the caller's line
/// only where the check is in the function that was called.
const fn refuse_destructor<T>() {
    assert!(
        !needs_drop::<T>(),
        "`alloc` runs no destructor, and this type needs one: use `scope.keep(value)`"
    );
}

#[track_caller]
fn or_panic<T>(outcome: Result<T, ScopeError>) -> T {
    match outcome {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    }
}
