//! The guides are true: every command that they show runs, every option that they name exists, every folder that a
//! code map names is there and none is missing.

mod attacks;
mod commands;
mod maps;
mod text;
mod world;
