//! What users seal for a service group: a box that the group's members alone can open, and the signature of the user beside
//! it. The core carries both and opens neither; the runtime has the keys.

use alloc::vec::Vec;

/// The byte between box and signature in a body. No text of a box has it.
const SEPARATOR: u8 = 0;

/// A sealed configuration or file, as the body of its version: what is hashed, stored and told is both parts as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed<'a> {
    /// The text of the box (as in Habitat).
    pub text: &'a [u8],
    /// The user's signature of the box and of what it is for; empty where there is none.
    pub signature: &'a [u8],
}

impl<'a> Sealed<'a> {
    /// Reads [`Self::to_body`] back.
    #[must_use]
    pub fn of_body(body: &'a [u8]) -> Self {
        match body.iter().position(|byte| *byte == SEPARATOR).and_then(|at| body.split_at_checked(at)) {
            Some((text, rest)) => Self { text, signature: rest.get(1..).unwrap_or_default() },
            None => Self { text: body, signature: &[] },
        }
    }

    /// Both parts as the body of a version; none where the text cannot be that of a box.
    #[must_use]
    pub fn to_body(self) -> Option<Vec<u8>> {
        if self.text.contains(&SEPARATOR) {
            return None;
        }
        let mut body = self.text.to_vec();
        if !self.signature.is_empty() {
            body.push(SEPARATOR);
            body.extend_from_slice(self.signature);
        }
        assert!(Sealed::of_body(&body) == self, "both parts can be told apart");
        Some(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn box_and_signature_are_told_apart() {
        for (text, signature) in [(&b"BOX-1\na"[..], &b""[..]), (b"BOX-1\na", &[0, 7, 0]), (b"", b"x")] {
            let sealed = Sealed { text, signature };
            let body = sealed.to_body().expect("a text without zero bytes");
            assert_eq!(Sealed::of_body(&body), sealed);
        }
        assert_eq!(Sealed { text: b"a\0b", signature: b"" }.to_body(), None);
    }
}
