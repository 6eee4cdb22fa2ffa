//! How far a file has come: a bar on a terminal, and nothing where no person looks.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;

use annulus_core::PackageIdent;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::output;
use crate::depot::Report;

/// Bars on standard error.
#[derive(Debug, Default)]
pub(in crate::cli) struct Progress {
    bars: BTreeMap<String, ProgressBar>,
}

/// One bar; none where standard error is no terminal.
pub(in crate::cli) fn bar(name: &str, total: Option<u64>) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
    let style = "{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    bar.set_message(name.to_owned());
    bar
}

impl Report for Progress {
    fn say(&mut self, line: &str) {
        for bar in self.bars.values() {
            bar.finish_and_clear();
        }
        match line.strip_prefix("warning: ") {
            Some(_) => eprintln!("{line}"),
            None => output::line(line),
        }
    }

    fn come(&mut self, ident: &PackageIdent, have: u64, total: Option<u64>) {
        let bar = self.bars.entry(ident.to_string()).or_insert_with(|| bar(&ident.to_string(), total));
        bar.set_position(have);
        if total == Some(have) {
            bar.finish_and_clear();
        }
    }
}
