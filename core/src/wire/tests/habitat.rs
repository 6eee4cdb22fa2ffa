//! Messages of a Habitat ring without a key, byte by byte as Habitat 2.1.78 sent them over loopback: datagrams, and the
//! bodies of its rumor messages.

use alloc::vec::Vec;

use crate::model::election::ElectionPurpose;
use crate::model::id::{MemberId, ProbeSeq};
use crate::model::member::{State, UNSPECIFIED};
use crate::model::rumor::{Rumor, Sealed};
use crate::wire::envelope::Envelope;
use crate::wire::swim::{self, Body};

const PING_WITH_RECORDS: &str = "1a7d080112360a340a20666266396430653338313030343439393830326434633337613462326637356610001a0020f8\
     d20128f8d2013000380040002a410a3d0a20326365626661393962306563346337333838376266623238343362356639\
     313110001a093132372e302e302e312096d3012896d3013000380040001001";
const ACK: &str = "1a3a08021a360a340a20666266396430653338313030343439393830326434633337613462326637356610001a0020f8\
     d20128f8d201300038004000";
const PING_REQ: &str = "1abc01080322750a340a20663734626131646364636630343938343936353266613063356136373666363110001a0020\
     82d3012882d301300038004000123d0a2032636562666139396230656334633733383837626662323834336235663931\
     3110001a093132372e302e302e312096d3012896d3013000380040002a410a3d0a203263656266613939623065633463\
     37333838376266623238343362356639313110001a093132372e302e302e312096d3012896d3013000380040001001";
const PROBE_PING: &str = "1a3a080432360a340a20306230663731613965653030346430613861653661623137313338663461376410001a00208c\
     d301288cd301300038004001";
const SEALED_CONFIG: &str = "1ac50108041a0f627574746572666c79636c69656e7432af010a10736c65657065722e626f784061636d6510041801229601\
     424f582d310a626f622d32303236313132393132313932360a736c65657065722e626f784061636d652d3230323631313239\
     3132313932360a444f486b45645371642f4949796f69594a766f4d384d4768644f4365464477420a72356d5a4a3430433478\
     2f55757357376c65642b513842656c77652b52724946564d39384a742b414b52474b4b6a595a4164546a32777a4d43653533";
const SEALED_FILE: &str = "1abd0108051a0f627574746572666c79636c69656e743aa7010a10736c65657065722e626f784061636d6510021801220a73\
     65637265742e7478742a8201424f582d310a626f622d32303236313132393132313932360a736c65657065722e626f784061\
     636d652d32303236313132393132313932360a62564f76522b4b42384e61737a70784f4b7073356a7441497a66556c335465\
     6a0a776c7a4970465a2f43505a373050706c634e57535152376d307075794674506e34756d4d30496352";
const SERVICE: &str = "1acf0108021a2066626639643065333831303034343939383032643463333761346232663735662aa8010a2066626639\
     64306533383130303434393938303264346333376134623266373566120b736c65657065722e766563180140004a2469\
     6e7465726f702f736c65657065722f312e302e302f3230323630313031303030303030520d706f7274203d2032373930\
     300a623c0a093132372e302e302e311202766d1a093132372e302e302e3120f8d2012a093132372e302e302e3130f9d2\
     013a093132372e302e302e3140fad2016800";
const CONFIG: &str = "1a2808041a0f627574746572666c79636c69656e7432130a0b7765622e64656661756c74100318002200";
const FILE: &str = "1a3108051a0f627574746572666c79636c69656e743a1c0a0d72656469732e64656661756c74100418002205656d7074\
     792a00";
const DEPARTURE: &str = "1a3708091a0f627574746572666c79636c69656e744a220a203263656266613939623065633463373338383762666232\
     383433623566393131";
const ELECTION: &str = "1a7d08031a20666266396430653338313030343439393830326434633337613462326637356642570a20666266396430\
     6533383130303434393938303264346333376134623266373566120b736c65657065722e766563180020002801322066\
     62663964306533383130303434393938303264346333376134623266373566";
const ELECTION_UPDATE: &str = "1a7d08081a20666266396430653338313030343439393830326434633337613462326637356642570a20666266396430\
     6533383130303434393938303264346333376134623266373566120b736c65657065722e766563180020002801322066\
     62663964306533383130303434393938303264346333376134623266373566";

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |c: u8| char::from(c).to_digit(16).expect("a hex digit") as u8;
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    assert!(rest.is_empty(), "two digits make a byte");
    pairs.iter().map(|[high, low]| digit(*high) << 4 | digit(*low)).collect()
}

fn rumor(hex: &str) -> Rumor {
    let bytes = bytes(hex);
    let payload = Envelope::read(&bytes).and_then(Envelope::open).expect("an envelope");
    Rumor::decode(payload).expect("a rumor")
}

#[test]
fn its_datagrams_are_understood() {
    for (hex, records) in [(PING_WITH_RECORDS, 1), (ACK, 0), (PING_REQ, 1), (PROBE_PING, 0)] {
        let bytes = bytes(hex);
        let read = swim::decode(&bytes).expect("a datagram");
        assert_eq!((read.skipped, read.rumors.len()), (0, records), "{hex}");
        assert_eq!((read.from.address, read.from.state), (UNSPECIFIED, State::Alive), "{hex}");
        let seq = ProbeSeq(0);
        match read.body {
            Body::Ping { seq: asked, forward_to: None } => assert_eq!(asked, seq),
            Body::Ack { seq: answered, forward_to: None } => assert_eq!(answered, seq),
            Body::PingReq { target, .. } => assert!(target.address.is_loopback()),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn its_rumors_are_understood() {
    let Rumor::Service(service) = rumor(SERVICE) else { panic!("a service") };
    assert_eq!((service.group.as_str(), service.incarnation.0), ("sleeper.vec", 1));
    assert_eq!(service.cfg, b"port = 27900\n");
    let Rumor::ServiceConfig(config) = rumor(CONFIG) else { panic!("a configuration") };
    assert_eq!((config.group.as_str(), config.version.number), ("web.default", 3));
    let Rumor::ServiceFile(file) = rumor(FILE) else { panic!("a file") };
    assert_eq!((file.name.as_str(), file.version.number), ("empty", 4));
    let Rumor::SealedConfig(config) = rumor(SEALED_CONFIG) else { panic!("a sealed configuration") };
    assert_eq!((config.group.as_str(), config.version.number), ("sleeper.box@acme", 4));
    assert!(config.version.body.starts_with(b"BOX-1\nbob-20261129121926\nsleeper.box@acme-20261129121926\n"));
    let Rumor::SealedFile(file) = rumor(SEALED_FILE) else { panic!("a sealed file") };
    assert_eq!((file.name.as_str(), file.version.number), ("secret.txt", 2));
    assert!(Sealed::of_body(&file.version.body).signature.is_empty(), "Habitat's users sign nothing");
    let Rumor::Departure(ban) = rumor(DEPARTURE) else { panic!("a ban") };
    assert_eq!(MemberId::from_hex(b"2cebfa99b0ec4c73887bfb2843b5f911"), Ok(ban.member_id));
    let Rumor::Election(election) = rumor(ELECTION) else { panic!("an election") };
    assert!(election.ended, "it is still running");
    let Rumor::Election(update) = rumor(ELECTION_UPDATE) else { panic!("an election of the update") };
    assert_eq!(update.election.purpose, ElectionPurpose::Update);
}
