//! Both ends of the handshake on a stream in memory: who is let in, and what others who stand by, between or behind can do.

use tokio::io::{DuplexStream, duplex};

use super::*;
use crate::supervisor::identity::MemberKey;

const BUFFER_BYTES: usize = 100_000;

fn secret() -> JoinSecret {
    JoinSecret::generate().expect("entropy")
}

fn granted() -> Answer {
    Answer { key: "the key of the ring".to_owned(), ..Answer::default() }
}

/// The inviting end, which knows one invitation: who joined, or none for a stranger.
async fn invites(
    mut stream: DuplexStream,
    verifier: &Verifier,
    own: &MemberKey,
) -> io::Result<Option<MemberId>> {
    assert_eq!(stream.read_u8().await?, FIRST_BYTE);
    let hello = Hello::read(&mut stream).await?;
    if !hello.knows(verifier, &own.id()) {
        return Ok(None);
    }
    let mut inviter = Inviter::greet(stream, &hello, verifier, own).await?;
    inviter.answer(&granted()).await?;
    inviter.wait_stored().await?;
    let joiner = inviter.joiner;
    inviter.known().await?;
    Ok(Some(joiner))
}

async fn joins(
    stream: DuplexStream,
    (inviter, secret): (MemberId, JoinSecret),
    own: &MemberKey,
) -> Result<Answer, HandshakeError> {
    let mut joiner = Joiner::greet(stream, (&inviter, &secret), own).await?;
    let answer = joiner.answer().await?;
    joiner.stored().await?;
    Ok(answer)
}

#[tokio::test]
async fn who_knows_the_secret_gets_the_key_and_is_known() {
    let (one, two, secret) = (MemberKey::generate(), MemberKey::generate(), secret());
    let (near, far) = duplex(BUFFER_BYTES);
    let verifier = secret.verifier();
    let (joined, answer) =
        tokio::join!(invites(far, &verifier, &one), joins(near, (one.id(), secret.clone()), &two));
    assert_eq!(joined.expect("heard"), Some(two.id()));
    assert_eq!(answer.expect("answered"), granted());
}

#[tokio::test]
async fn a_wrong_secret_gets_no_word() {
    let (one, two) = (MemberKey::generate(), MemberKey::generate());
    let (near, far) = duplex(BUFFER_BYTES);
    let verifier = secret().verifier();
    let (joined, answer) =
        tokio::join!(invites(far, &verifier, &one), joins(near, (one.id(), secret()), &two));
    assert_eq!(joined.expect("heard"), None);
    assert!(matches!(answer, Err(HandshakeError::Silent)), "{answer:?}");
    // The same secret, given out by another member.
    let (near, far) = duplex(BUFFER_BYTES);
    let secret = secret();
    let verifier = secret.verifier();
    let (joined, answer) =
        tokio::join!(invites(far, &verifier, &one), joins(near, (two.id(), secret.clone()), &two));
    assert_eq!(joined.expect("heard"), None);
    assert!(matches!(answer, Err(HandshakeError::Silent)), "{answer:?}");
}

/// One who has read the inviter's file: it greets with the hash, and has no secret to show.
#[tokio::test]
async fn the_hash_on_the_inviters_disk_lets_no_host_in() {
    let (one, two, secret) = (MemberKey::generate(), MemberKey::generate(), secret());
    let verifier = secret.verifier();
    let (mut near, far) = duplex(BUFFER_BYTES);
    let thief = async {
        let once = BoxSecretKey::generate();
        let joiner = public(&once);
        let code = code(&verifier, &one.id(), &joiner);
        near.write_all(&[&[FIRST_BYTE], &GREETING[..], &joiner, &code].concat()).await?;
        let (theirs, key): ([u8; 32], [u8; 32]) = (array(&mut near).await?, array(&mut near).await?);
        let _: [u8; 64] = array(&mut near).await?;
        let greeted = Greeted { joiner, code, inviter: theirs, key };
        let [mut outward, mut inward] = greeted.directions(&verifier, &agree(&once, &theirs)?);
        let ask = Ask {
            secret: verifier.key().as_bytes().to_vec(),
            key: two.public_key().0.to_vec(),
            signature: two.sign(&greeted.by_joiner()).0.to_vec(),
        };
        outward.write(&mut near, &ask.encode_to_vec()).await?;
        inward.read(&mut near).await
    };
    let (joined, answer) = tokio::join!(invites(far, &verifier, &one), thief);
    assert!(joined.is_err() && answer.is_err(), "{joined:?} {answer:?}");
}

/// One who knows the secret cannot come in another member's name.
#[tokio::test]
async fn a_joiner_shows_its_own_key_alone() {
    let (one, two, three, secret) =
        (MemberKey::generate(), MemberKey::generate(), MemberKey::generate(), secret());
    #[derive(Debug)]
    struct Liar(MemberKey, PublicKey);
    impl Sign for Liar {
        fn public_key(&self) -> PublicKey {
            self.1
        }
        fn sign(&self, message: &[u8]) -> Signature {
            self.0.sign(message)
        }
        fn verify(&self, key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
            self.0.verify(key, message, signature)
        }
        fn hash(&self, bytes: &[u8]) -> [u8; 32] {
            self.0.hash(bytes)
        }
    }
    let liar = Liar(two, three.public_key());
    let (near, far) = duplex(BUFFER_BYTES);
    let verifier = secret.verifier();
    let lies = async {
        let mut joiner = Joiner::greet(near, (&one.id(), &secret), &liar).await?;
        joiner.answer().await.map_err(HandshakeError::Io)
    };
    let (joined, answer) = tokio::join!(invites(far, &verifier, &one), lies);
    assert!(joined.is_err() && answer.is_err(), "{joined:?} {answer:?}");
}

/// One between them that puts its own keys in the place of theirs: as another member, and in the inviter's name.
#[tokio::test]
async fn one_between_that_swaps_keys_is_told_no_secret() {
    let (one, two, thief, secret) =
        (MemberKey::generate(), MemberKey::generate(), MemberKey::generate(), secret());
    for shows_own_key in [true, false] {
        let (near, mut far) = duplex(BUFFER_BYTES);
        let between = async {
            let mut said = Vec::new();
            far.read_u8().await?;
            let hello = Hello::read(&mut far).await?;
            let once = BoxSecretKey::generate();
            let key = if shows_own_key { thief.public_key().0 } else { one.public_key().0 };
            let greeted = Greeted { joiner: hello.joiner, code: hello.code, inviter: public(&once), key };
            let signature = thief.sign(&greeted.by_inviter());
            far.write_all(&[&greeted.inviter[..], &greeted.key, &signature.0].concat()).await?;
            far.read_to_end(&mut said).await?;
            io::Result::Ok(said)
        };
        let (heard, answer) = tokio::join!(between, joins(near, (one.id(), secret.clone()), &two));
        assert!(heard.expect("closed in order").is_empty(), "nothing was told");
        match answer {
            Err(HandshakeError::Other(shown)) => assert!(shows_own_key && shown == thief.id()),
            Err(HandshakeError::Forged) => assert!(!shows_own_key),
            other => panic!("{other:?}"),
        }
    }
}

/// Keeps what both ends say, and passes it on. With `swap`, the key that the inviter made for the connection is another one.
async fn between(mut near: DuplexStream, mut far: DuplexStream, swap: bool) -> (Vec<u8>, Vec<u8>) {
    let (mut there, mut back) = (Vec::new(), Vec::new());
    let (mut one, mut two) = ([0; 4_096], [0; 4_096]);
    loop {
        tokio::select! {
            read = near.read(&mut one) => match read {
                Ok(len) if len > 0 => {
                    there.extend_from_slice(&one[..len]);
                    let _ = far.write_all(&one[..len]).await;
                }
                _ => return (there, back),
            },
            read = far.read(&mut two) => match read {
                Ok(len) if len > 0 => {
                    if swap && back.is_empty() {
                        two[..32].copy_from_slice(&public(&BoxSecretKey::generate()));
                    }
                    back.extend_from_slice(&two[..len]);
                    let _ = near.write_all(&two[..len]).await;
                }
                _ => return (there, back),
            },
        }
    }
}

#[tokio::test]
async fn what_was_recorded_shows_nothing_and_opens_no_second_connection() {
    let (one, two, secret) = (MemberKey::generate(), MemberKey::generate(), secret());
    let ((near, tap), (pass, far)) = (duplex(BUFFER_BYTES), duplex(BUFFER_BYTES));
    let verifier = secret.verifier();
    let (joined, _, (there, back)) = tokio::join!(
        invites(far, &verifier, &one),
        joins(near, (one.id(), secret.clone()), &two),
        between(tap, pass, false)
    );
    assert_eq!(joined.expect("heard"), Some(two.id()));
    for said in [&there, &back] {
        let holds = |word: &[u8]| said.windows(word.len()).any(|part| part == word);
        assert!(!holds(secret.as_bytes()) && !holds(b"the key of the ring"));
        assert!(!holds(verifier.key().as_bytes()) && !holds(&two.public_key().0));
    }
    // To the inviter.
    let (mut near, far) = duplex(BUFFER_BYTES);
    near.write_all(&there).await.expect("open");
    let again = invites(far, &verifier, &one).await;
    assert!(again.is_err(), "it has made another key: {again:?}");
    // To the joiner.
    let (near, mut far) = duplex(BUFFER_BYTES);
    far.write_all(&back).await.expect("open");
    let again = joins(near, (one.id(), secret.clone()), &two).await;
    assert!(matches!(again, Err(HandshakeError::Forged)), "it has made another key: {again:?}");
}

#[tokio::test]
async fn a_key_that_is_changed_on_its_way_is_noticed() {
    let (one, two, secret) = (MemberKey::generate(), MemberKey::generate(), secret());
    let ((near, tap), (pass, far)) = (duplex(BUFFER_BYTES), duplex(BUFFER_BYTES));
    let verifier = secret.verifier();
    let (joined, answer, _) = tokio::join!(
        invites(far, &verifier, &one),
        joins(near, (one.id(), secret.clone()), &two),
        between(tap, pass, true)
    );
    assert!(joined.is_err(), "{joined:?}");
    assert!(matches!(answer, Err(HandshakeError::Forged)), "{answer:?}");
}

#[tokio::test]
async fn noise_is_no_greeting() {
    let one = MemberKey::generate();
    let verifier = secret().verifier();
    for noise in
        [&b"\xff"[..], b"\xffAnnJn1", b"\xffAnnJn2\n", b"\xffGET / HTTP/1.1\r\nhost: x\r\n\r\n", &[0xff; 500]]
    {
        let (mut near, far) = duplex(BUFFER_BYTES);
        near.write_all(noise).await.expect("open");
        drop(near);
        assert!(invites(far, &verifier, &one).await.is_err(), "{noise:?}");
    }
}
