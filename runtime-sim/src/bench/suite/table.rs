//! The report as a table and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::rival::Figure;
use super::rows::Bound;
use super::{Line, Report};
use crate::bench::figures::number;

impl Report {
    /// For people.
    pub(super) fn text(&self) -> String {
        let mut rows = vec![[
            "what".to_owned(),
            "measured".to_owned(),
            "rival".to_owned(),
            "target".to_owned(),
            String::new(),
        ]];
        for line in &self.lines {
            let verdict = line.verdict().map_or("", |held| if held { "pass" } else { "MISSED" });
            rows.push([words(line), line.measured(), line.rival_words(), line.target(), verdict.to_owned()]);
        }
        let widths: [usize; 5] =
            std::array::from_fn(|i| rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0));
        let mut out = String::new();
        for row in &rows {
            let [what, measured, rival, target, verdict] = row;
            let [a, b, c, d, _] = widths;
            let line = format!("{what:<a$}  {measured:>b$}  {rival:>c$}  {target:>d$}  {verdict}");
            let _ = writeln!(out, "{}", line.trim_end());
        }
        let judged = self.lines.iter().filter_map(Line::verdict);
        let (mut passed, mut missed) = (0, 0);
        judged.for_each(|held| if held { passed += 1 } else { missed += 1 });
        let _ = writeln!(out, "\n{passed} pass, {missed} missed; every figure with the default timings");
        if self.lines.iter().any(|line| line.rival.is_none()) {
            let _ =
                writeln!(out, "(r) measured earlier, elsewhere: give --rival to run the rival beside ours");
        }
        if let Some(note) = self.quick {
            let _ = writeln!(out, "{note}");
        }
        let _ = writeln!(out, "{DAEMONS}");
        let [before, after] = self.load.clone().map(|load| load.unwrap_or_else(|| "unknown".to_owned()));
        let _ = writeln!(out, "load average before: {before}; after: {after}");
        out
    }

    /// For programs.
    pub(super) fn json(&self) -> String {
        let rows: Vec<Value> = self.lines.iter().map(Line::json).collect();
        let report = json!({
            "rows": rows,
            "note": self.quick,
            "left_out": [DAEMONS],
            "load_average": { "before": self.load[0], "after": self.load[1] },
        });
        format!("{report:#}\n")
    }
}

const DAEMONS: &str = "real daemons are measured apart from the simulator and are left out here";

impl Line {
    fn measured(&self) -> String {
        self.figure().map_or_else(|| "none".to_owned(), |f| number(f / self.row.divisor))
    }

    fn rival_words(&self) -> String {
        match &self.rival {
            Some(Figure::Value(value)) => number(*value),
            Some(Figure::Never) => "never".to_owned(),
            None if self.row.reference == "-" => "-".to_owned(),
            None => format!("{} (r)", self.row.reference),
        }
    }

    fn target(&self) -> String {
        match self.row.bound {
            Bound::AtLeast(bound) => format!(">= {}", number(bound)),
            Bound::AtMost(bound) => format!("<= {}", number(bound)),
            Bound::None => String::new(),
        }
    }

    fn verdict_in_unit(&self) -> (Option<f64>, Option<f64>) {
        match self.row.bound {
            Bound::AtLeast(bound) => (Some(bound), None),
            Bound::AtMost(bound) => (None, Some(bound)),
            Bound::None => (None, None),
        }
    }

    fn json(&self) -> Value {
        let (at_least, at_most) = self.verdict_in_unit();
        let rival = match &self.rival {
            Some(Figure::Value(value)) => json!({ "measured": value }),
            Some(Figure::Never) => json!({ "measured": null, "never": true }),
            None => json!({ "reference": self.row.reference }),
        };
        let runs: Vec<Option<f64>> = self.ours.iter().map(|run| run.map(|f| f / self.row.divisor)).collect();
        json!({
            "key": self.row.key,
            "what": self.row.what,
            "unit": self.row.unit,
            "measured": self.figure().map(|f| f / self.row.divisor),
            "runs": runs,
            "at_least": at_least,
            "at_most": at_most,
            "pass": self.verdict(),
            "rival": rival,
            "command": self.command,
        })
    }
}

fn words(line: &Line) -> String {
    let unit = line.row.unit;
    if unit.is_empty() { line.row.what.to_owned() } else { format!("{}, {unit}", line.row.what) }
}
