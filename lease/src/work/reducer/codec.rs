//! Compact binary forms, for the bodies of our own checkpoints: numbers as LEB128, bytes after their length.
//!
//! A reader never trusts a length: nothing is allocated for what is not there.

use super::CheckpointError;

/// Appends a number, seven bits a byte, the lowest first.
pub(crate) fn put_number(body: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        #[allow(
            clippy::cast_possible_truncation,
            reason = "the low seven bits are what is meant"
        )]
        body.push(number as u8 | 0x80);
        number >>= 7;
    }
    #[allow(clippy::cast_possible_truncation, reason = "it is below 0x80")]
    body.push(number as u8);
}

/// Appends bytes after their length.
pub(crate) fn put_bytes(body: &mut Vec<u8>, bytes: &[u8]) {
    put_number(body, bytes.len() as u64);
    body.extend_from_slice(bytes);
}

/// Appends 0, or 1 and the number.
pub(crate) fn put_option(body: &mut Vec<u8>, number: Option<u64>) {
    match number {
        None => body.push(0),
        Some(number) => {
            body.push(1);
            put_number(body, number);
        }
    }
}

/// What is left of a body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Body<'a>(pub(crate) &'a [u8]);

impl<'a> Body<'a> {
    /// The next `len` bytes.
    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], CheckpointError> {
        let (taken, rest) = self
            .0
            .split_at_checked(len)
            .ok_or_else(|| CheckpointError::body("it ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, CheckpointError> {
        Ok(self.take(1)?[0])
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], CheckpointError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// A number in its one form: no form is longer than it has to be.
    pub(crate) fn number(&mut self) -> Result<u64, CheckpointError> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            let value = bits << shift;
            if value >> shift != bits || (byte == 0 && shift != 0) {
                break;
            }
            number |= value;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(CheckpointError::body("a number has no form that is written"))
    }

    /// A number of things of which each takes a byte at least.
    pub(crate) fn count(&mut self) -> Result<usize, CheckpointError> {
        usize::try_from(self.number()?)
            .ok()
            .filter(|count| *count <= self.0.len())
            .ok_or_else(|| CheckpointError::body("it ends too early"))
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], CheckpointError> {
        let len = self.count()?;
        self.take(len)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, CheckpointError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| CheckpointError::body("a text is not UTF-8"))
    }

    pub(crate) fn option(&mut self) -> Result<Option<u64>, CheckpointError> {
        match self.byte()? {
            0 => Ok(None),
            1 => self.number().map(Some),
            _ => Err(CheckpointError::body("neither something nor nothing")),
        }
    }

    /// Everything was read.
    pub(crate) fn end(self) -> Result<(), CheckpointError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(CheckpointError::body("something follows it"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_form() {
        for number in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let mut written = Vec::new();
            put_number(&mut written, number);
            let mut body = Body(&written);
            assert_eq!(body.number(), Ok(number));
            body.end().unwrap();
            for len in 0..written.len() {
                assert!(Body(&written[..len]).number().is_err());
            }
        }
        for longer in [
            &[0x80, 0x00][..],
            &[0xff; 10],
            &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02],
            &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
        ] {
            assert!(Body(longer).number().is_err(), "{longer:?}");
        }
    }

    #[test]
    fn a_length_beyond_the_end_takes_nothing() {
        let mut written = Vec::new();
        put_number(&mut written, u64::MAX);
        written.extend([1, 2, 3]);
        assert!(Body(&written).bytes().is_err());
        assert!(Body(&[4, 1, 2, 3]).bytes().is_err());
        assert_eq!(Body(&[3, 1, 2, 3]).bytes(), Ok(&[1, 2, 3][..]));
    }
}
