//! The report, in Markdown and in JSON.

pub mod machine;
pub mod row;
pub mod statistics;

use std::fmt::Write as _;

use anyhow::Result;

use crate::{
    groups::Group,
    report::row::{Row, Target},
};

/// The result of a group: its rows, or the error.
pub type Outcome<'a> = (&'a Group, Result<Vec<Row>>);

/// Returns the content of `report.json`: an array of rows.
///
/// # Errors
/// Returns an error if a number is not finite.
pub fn json(outcomes: &[Outcome<'_>]) -> Result<String> {
    let rows: Vec<_> = rows(outcomes).map(Row::json).collect();
    Ok(serde_json::to_string_pretty(&rows)?)
}

/// Returns all measured rows.
pub fn rows<'a>(outcomes: &'a [Outcome<'_>]) -> impl Iterator<Item = &'a Row> {
    outcomes.iter().filter_map(|(_, rows)| rows.as_ref().ok()).flatten()
}

/// Returns the table of all rows.
#[must_use]
pub fn table(outcomes: &[Outcome<'_>]) -> String {
    let mut table = String::from("| what | ours | peers | ratio | target | met |\n|---|---|---|---|---|---|\n");
    for row in rows(outcomes) {
        let peers: Vec<String> =
            row.peers.iter().map(|(name, seen)| format!("{name}: {}", row.peer_text(seen))).collect();
        let ratio = row.ratio().map_or("–".to_owned(), |ratio| format!("{ratio:.2}"));
        let met = match row.target {
            Target::Nothing => "–",
            _ if row.met() => "yes",
            _ => "**no**",
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            table,
            "| {} | {} | {} | {ratio} | {} | {met} |",
            row.name,
            row.unit.show(row.ours),
            peers.join("; "),
            row.target_text()
        );
    }
    table
}

/// Returns the content of `report.md`.
#[must_use]
pub fn markdown(outcomes: &[Outcome<'_>], machine: &[(&str, String)]) -> String {
    let mut text = String::from(
        "# How fast, how small\n\n\
         Written by `make bench`. Every row sets our programs beside their peers, measured in the same run on the same \
         machine, taking turns. Absolute figures swing twofold from run to run on a shared machine; ratios do not, so \
         most targets are ratios. *Ratio* is ours to the peer that the target names, or to the first one, such that more \
         is better where the target is `≥`.\n\n",
    );
    text.push_str(&table(outcomes));
    text.push_str("\n## The machine\n\n");
    for (what, value) in machine {
        let _ = writeln!(text, "* {what}: {value}");
    }
    text.push_str("\n## The rows\n");
    for (group, rows) in outcomes {
        let _ = writeln!(text, "\n### {}\n\n{}\n", group.title, group.about);
        match rows {
            Ok(rows) => {
                for note in rows.iter().flat_map(|row| row.notes.iter().map(move |note| (row, note))) {
                    let _ = writeln!(text, "* {}: {}", note.0.name, note.1);
                }
            }
            Err(error) => {
                let _ = writeln!(text, "**Could not be measured**: {}", format!("{error:#}").trim());
            }
        }
    }
    text
}
