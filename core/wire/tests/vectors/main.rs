//! Every line of every vector file: bytes produced by the original code.
//!
//! The files are those of `tests/vectors` at the top level, or of the folder that `FLYER_WIRE_VECTORS` names. A file, a
//! type or a kind of line that this test does not know is a failure, so that nothing is passed over.

mod frames;
mod layout;
mod layout_low;
mod schema;
mod tables;
mod trace;
mod types;
mod usrbio;
mod value;

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

// `#[derive(Wire)]` speaks of `crate::codec` and `crate::reflect`.
use flyer_wire::{codec, reflect};

/// Types by their name.
type Types = BTreeMap<String, types::Codec>;

/// Checks one line of a file.
type CheckLine = fn(&Types, &mut layout::Routing, &Value) -> Result<(), String>;

/// Failures to show of one file.
const FAILURES_SHOWN_MAX: usize = 8;

fn main() -> ExitCode {
    let folder = std::env::var_os("FLYER_WIRE_VECTORS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors"),
        PathBuf::from,
    );
    say(&format!("vectors of {}", folder.display()));
    let types = types::all();
    let (mut passed, mut failed) = (0usize, 0usize);
    for name in file_names(&folder) {
        match check_file(&types, &folder.join(&name), &name) {
            Ok(checked) => {
                say(&format!("{name:<18} {checked:>6} checked"));
                passed += 1;
            }
            Err(failures) => {
                say(&format!("{name:<18} FAILED\n{failures}"));
                failed += 1;
            }
        }
    }
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    say(&format!(
        "\ntest result: {verdict}. {passed} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out"
    ));
    if failed == 0 && passed > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

#[allow(clippy::print_stdout, reason = "a test without a harness reports by itself")]
fn say(text: &str) {
    println!("{text}");
}

fn file_names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| {
        panic!(
            "{}: {e}; FLYER_WIRE_VECTORS names the folder of vectors",
            folder.display()
        )
    });
    let mut names: Vec<_> = entries
        .map(|entry| {
            entry
                .expect("a readable folder")
                .file_name()
                .into_string()
                .expect("a plain name")
        })
        .filter(|name| name != "README.md")
        .collect();
    names.sort();
    names
}

fn check_file(types: &Types, path: &Path, name: &str) -> Result<usize, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("  {}: {e}", path.display()))?;
    let check_line: CheckLine = match name {
        "core.jsonl" | "meta.jsonl" | "mgmtd.jsonl" | "primitives.jsonl" | "rdma.jsonl" | "storage.jsonl" => {
            typed_line
        }
        "packet.jsonl" => |types, _, line| frames::check(types, line),
        "trace.jsonl" => |types, _, line| trace::check(types, line),
        "layout.jsonl" => |_, routing, line| layout::check(routing, line),
        "schema.json" => return whole(&text, schema::check),
        "services.json" => return whole(&text, tables::services),
        "status.json" => return whole(&text, tables::status),
        "usrbio.json" => return whole(&text, usrbio::check),
        _ => return Err("  this test does not know the file: teach it, do not skip it".into()),
    };
    let mut routing = layout::Routing::default();
    let mut failures = Vec::new();
    let mut checked = 0;
    for (at, line) in text.lines().enumerate() {
        let outcome = serde_json::from_str::<Value>(line)
            .map_err(|e| format!("is not JSON: {e}"))
            .and_then(|line| {
                check_line(types, &mut routing, &line).map_err(|e| format!("{} {e}", what(&line)))
            });
        match outcome {
            Ok(()) => checked += 1,
            Err(why) => failures.push(format!("  line {}: {why}", at + 1)),
        }
    }
    if checked == 0 && failures.is_empty() {
        return Err("  no lines".into());
    }
    if failures.is_empty() {
        return Ok(checked);
    }
    let more = failures.len().saturating_sub(FAILURES_SHOWN_MAX);
    failures.truncate(FAILURES_SHOWN_MAX);
    Err(format!(
        "{}\n  ({checked} lines pass, {more} more fail)",
        failures.join("\n")
    ))
}

fn what(line: &Value) -> String {
    format!("{} {}", line["type"], line.get("case").unwrap_or(&Value::Null))
}

fn whole(text: &str, check: fn(&Value) -> Result<usize, String>) -> Result<usize, String> {
    let root = serde_json::from_str(text).map_err(|e| format!("  is not JSON: {e}"))?;
    check(&root).map_err(|e| format!("  {e}"))
}

fn typed_line(types: &Types, _: &mut layout::Routing, line: &Value) -> Result<(), String> {
    let name = line["type"].as_str().ok_or("has no type")?;
    let codec = types.get(name).ok_or("is a type this test does not know")?;
    types::check(codec, line)
}

/// The bytes in a hex column.
fn bytes(line: &Value, column: &str) -> Result<Vec<u8>, String> {
    value::unhex(
        line[column]
            .as_str()
            .ok_or_else(|| format!("has no column {column}"))?,
    )
}

/// The number in a column.
fn number(line: &Value, column: &str) -> Result<u64, String> {
    line[column]
        .as_u64()
        .ok_or_else(|| format!("has no number in column {column}"))
}
