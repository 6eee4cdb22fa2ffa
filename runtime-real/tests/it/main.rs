//! The binary as its users meet it: commands, gateways, a real supervisor, and failures.
#![expect(clippy::disallowed_methods, reason = "tests of real processes wait in real time")]

mod adoption;
mod agent_check;
mod attack;
mod bad_input;
mod config;
mod container;
mod ctl;
mod dead_man;
mod demo;
mod disk_full;
mod drain;
mod group;
mod guards;
mod haproxy;
mod host;
mod http;
mod init;
mod invite;
mod keyed_ring;
mod launcher;
mod load;
mod logs;
mod owner;
mod pkg;
mod ring;
mod sealed;
mod service;
mod spec_files;
mod start;
mod stopping;
mod support;
mod systemd;
mod tls;
mod two_supervisors;
mod versions;
