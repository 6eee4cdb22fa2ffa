//! The common part of configuration and files as a message.

use alloc::vec::Vec;
use prost::Message;

use crate::model::error::DecodeError;
use crate::model::identity::Vouch;
use crate::model::limits::{CONTENDERS_MAX, INCARNATION_MAX};
use crate::model::mutant::mutated;
use crate::model::rumor::{Contender, Proof, Sealed, Version};
use crate::wire::convert::{id_from_wire, id_to_wire};

/// Another body that was acknowledged under the same version.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ContenderMessage {
    #[prost(fixed64, tag = "1")]
    hash: u64,
    #[prost(bytes = "vec", tag = "2")]
    writer: Vec<u8>,
    /// The hash of its body that the writer signed, and the writer's word for it.
    #[prost(bytes = "vec", tag = "3")]
    content: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    vouch: Vec<u8>,
}

/// The body of a version, and the signature beside it where it is sealed.
pub(super) fn body_to_wire(version: &Version, is_sealed: bool) -> (Vec<u8>, Vec<u8>) {
    if !is_sealed {
        return (version.body.clone(), Vec::new());
    }
    let Sealed { text, signature } = Sealed::of_body(&version.body);
    (text.to_vec(), signature.to_vec())
}

/// The body of a sealed version.
pub(super) fn sealed_from_wire(text: &[u8], signature: &[u8]) -> Result<Vec<u8>, DecodeError> {
    Sealed { text, signature }.to_body().ok_or(DecodeError::Invalid("box"))
}

impl Version {
    pub(super) fn writer_to_wire(&self) -> Vec<u8> {
        self.writer.as_ref().map(id_to_wire).unwrap_or_default()
    }

    pub(super) fn contenders_to_wire(&self) -> Vec<ContenderMessage> {
        let to_wire = |c: &Contender| ContenderMessage {
            hash: c.hash,
            writer: c.writer.as_ref().map(id_to_wire).unwrap_or_default(),
            content: c.proof.map(|proof| proof.content.to_vec()).unwrap_or_default(),
            vouch: c.proof.map(|proof| proof.vouch.to_bytes().to_vec()).unwrap_or_default(),
        };
        self.contenders().iter().map(to_wire).collect()
    }

    pub(super) fn from_wire(
        number: u64,
        body: Vec<u8>,
        writer: &[u8],
        contenders: &[ContenderMessage],
        bytes_max: usize,
    ) -> Result<Self, DecodeError> {
        if mutated!(VersionZeroTaken, number == 0, false) || number > INCARNATION_MAX {
            return Err(DecodeError::Invalid("incarnation"));
        }
        if body.len() > bytes_max {
            return Err(DecodeError::TooLong { bytes: body.len(), limit: bytes_max });
        }
        let id = |bytes: &[u8]| match bytes {
            [] => Ok(None),
            bytes => id_from_wire(bytes, "writer").map(Some),
        };
        let mut noted = Vec::with_capacity(contenders.len().min(CONTENDERS_MAX));
        for c in contenders.iter().take(CONTENDERS_MAX - 1) {
            let content = <[u8; 32]>::try_from(c.content.as_slice()).ok();
            let vouch = Vouch::from_bytes(&c.vouch);
            let proof = content.zip(vouch).map(|(content, vouch)| Proof { content, vouch });
            noted.push(Contender { hash: c.hash, writer: id(&c.writer)?, proof });
        }
        let version = Self::new(number, body, id(writer)?);
        version.with_contenders(noted).ok_or(DecodeError::Invalid("contenders"))
    }
}
