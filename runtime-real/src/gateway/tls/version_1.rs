//! Knows certificates of X.509 version 1, which say neither for what they are nor whether they are an authority's. Reads as much
//! of DER as that takes, and judges nothing else.

/// What is said of one where it does not count.
pub(super) const REFUSED: &str = "it is a certificate of X.509 version 1, which does not say for what it is, so that no end takes it; \
     issue it with extensions: `openssl x509 -req …` wants `-extfile` for that";

const SEQUENCE: u8 = 0x30;
/// In front of a version that is not the first.
const VERSION: u8 = 0xa0;
/// A length that says so is followed by so many bytes of length.
const LONG: u8 = 0x80;

/// Whether it is of version 1; false for what is no certificate.
pub(super) fn is(certificate: &[u8]) -> bool {
    body(certificate).is_some_and(|body| body.first().is_some_and(|tag| *tag != VERSION))
}

/// Whether the one of version 1 names itself as who signed it.
pub(super) fn is_self_signed(certificate: &[u8]) -> bool {
    let names = body(certificate).and_then(|body| {
        let (_, _, rest) = element(body)?; // serial number
        let (_, _, rest) = element(rest)?; // algorithm
        let (_, issuer, rest) = element(rest)?;
        let (_, _, rest) = element(rest)?; // validity
        let (_, subject, _) = element(rest)?;
        Some((issuer, subject))
    });
    names.is_some_and(|(issuer, subject)| issuer == subject)
}

/// What is signed of a certificate.
fn body(certificate: &[u8]) -> Option<&[u8]> {
    let (SEQUENCE, whole, _) = element(certificate)? else { return None };
    let (SEQUENCE, body, _) = element(whole)? else { return None };
    Some(body)
}

/// The first element: its tag and content; and what comes after it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = bytes.split_first_chunk::<2>()?;
    let (length, rest) = if first < LONG {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & !LONG);
        let (length, rest) = rest.split_at_checked(count).filter(|_| count <= size_of::<u32>())?;
        (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        let length = u8::try_from(content.len()).expect("short");
        let length = if length < LONG { vec![length] } else { vec![LONG | 1, length] };
        [vec![tag], length, content].concat()
    }

    #[test]
    fn a_certificate_of_version_1_has_none_in_it() {
        let (number, other) = (der(2, &[&[7]]), der(SEQUENCE, &[]));
        let short = der(SEQUENCE, &[&[2; 140]]);
        let body = |version: &[u8]| {
            der(SEQUENCE, &[&der(SEQUENCE, &[version, &number, &other, &other, &other, &other])])
        };
        assert!(is(&body(&[])) && is_self_signed(&body(&[])));
        assert!(!is(&body(&der(VERSION, &[&der(2, &[&[2]])]))));
        let differs = der(SEQUENCE, &[&der(SEQUENCE, &[&number, &other, &short, &other, &other])]);
        assert!(is(&differs) && !is_self_signed(&differs));
        for odd in [&[][..], &[SEQUENCE], &[SEQUENCE, 0x84, 1, 1, 1, 1], &[SEQUENCE, 0x89], &[2, 1, 1]] {
            assert!(!is(odd) && !is_self_signed(odd), "{odd:?}");
        }
    }
}
