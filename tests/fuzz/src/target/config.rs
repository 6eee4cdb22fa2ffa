//! `user.toml` and a group's configuration: layers of one service, merged and looked at. Two layers of an input are
//! parted by a line of four dashes.

use annulus::prepare::{Layer, Layers};

use super::{MIB, Seen, Target};
use crate::mutate::text;

pub(super) const TARGET: Target = Target {
    name: "config",
    about: "user.toml above default.toml: layers of configuration, merged",
    run,
    mutate: text::mutate,
    seeds,
    tell: None,
    bytes_max: 64 * 1024,
    memory_max: 64 * MIB,
};

fn run(bytes: &[u8]) -> Seen {
    let Ok(text) = std::str::from_utf8(bytes) else { return Seen::refused("no text") };
    let mut layers = Layers::default();
    for (layer, text) in [Layer::Default, Layer::User, Layer::Group].into_iter().zip(text.split("\n----\n")) {
        let table = match text.parse::<toml::Table>() {
            Ok(table) => table,
            Err(error) => return Seen::refused(error.message()),
        };
        if let Err(error) = layers.push(layer, format!("{layer:?}"), table) {
            return Seen::refused(super::last_line(&error.to_string()));
        }
    }
    let merged = layers.merged();
    let values = layers.values();
    let printed = toml::to_string(&merged).expect("a table that was read can be printed");
    let again: toml::Table = printed.parse().expect("what was printed can be read");
    assert_eq!(format!("{again:?}"), format!("{merged:?}"), "configuration survives");
    Seen::accepted(&format!("{}", layers.differences().len().min(4)), values.len())
}

fn seeds() -> Vec<Vec<u8>> {
    [
        "port = 6379\n[server]\nname = \"redis\"\nhosts = [\"a\", \"b\"]\n----\nport = \"6380\"\n[server]\nhosts = []\n",
        "a.b.c = 1\n[[list]]\nx = 1979-05-27T07:32:00Z\n[[list]]\nx = 0.5\n----\na = 3\n----\nlist = true\n",
        "text = \"\"\"\nlines\n\"\"\"\nnumber = 0x7f\nbig = 9223372036854775807\nnot = nan\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}
