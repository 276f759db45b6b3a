//! Random bytes from the system: for keys, actor ids, lease ids.

/// `N` bytes that nobody can guess.
///
/// # Panics
///
/// If the system has no randomness to give: nothing that needs it could be done safely.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        match rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("the system gives no random bytes: {error}"),
        }
    }
    bytes
}

/// `N` random bytes as `2 * N` lower-case hexadecimal digits.
pub(crate) fn hex<const N: usize>() -> String {
    use std::fmt::Write as _;
    bytes::<N>()
        .iter()
        .fold(String::with_capacity(2 * N), |mut text, byte| {
            // Writing to a `String` cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}
