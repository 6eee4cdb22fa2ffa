//! The command line: what there is to say, and who carries it out. One file per command.

pub mod origin;
pub mod pkg;
