//! `layout.jsonl` and `packet.jsonl`, the lines about plain arithmetic: the shuffle, its engine, and CRC registers.

use super::value::hex;
use super::{bytes, number};
use flyer_wire::checksum::{Crc, DATA_START, FRAME_START, concat, frame_word, raw};
use flyer_wire::shuffle::{ShuffleMethod, is_safe_seed, shuffle};
use rand_mt::Mt64;
use serde_json::{Value, json};

/// A list of chain indexes, by both methods of drawing.
pub(crate) fn chain_index_list(line: &Value) -> Result<(), String> {
    let shuffled = number(line, "shuffle")? == 1;
    let always = ["type", "baseIndex", "shuffle", "seed", "stripe", "list"];
    let when_shuffled = ["list_gpp10", "list_stdshuffle", "safe_seed"];
    columns(line, &always, if shuffled { &when_shuffled } else { &[] })?;

    let base = number32(line, "baseIndex")?;
    let stripe = number32(line, "stripe")?;
    let seed = number(line, "seed")?;
    let list_by = |method| {
        let mut list: Vec<u32> = (0..stripe).map(|at| base.wrapping_add(at)).collect();
        if shuffled {
            shuffle(&mut list, seed, method);
        }
        json!(list)
    };
    let (newer, older) = (list_by(ShuffleMethod::Gpp11), list_by(ShuffleMethod::Gpp10));
    equal("list", &newer, &line["list"])?;
    if !shuffled {
        return Ok(());
    }
    let same_or_own = |column: &str| {
        if line[column] == "same" {
            &line["list"]
        } else {
            &line[column]
        }
    };
    equal("list_gpp10", &older, same_or_own("list_gpp10"))?;
    // The standard library that the vectors were made with draws in one of the two ways.
    let of_library = same_or_own("list_stdshuffle");
    if *of_library != newer && *of_library != older {
        return Err("list_stdshuffle: is neither method's list".into());
    }
    equal(
        "safe_seed",
        &json!(is_safe_seed(stripe, seed)),
        &line["safe_seed"],
    )
}

/// The first outputs of the engine.
pub(crate) fn mt19937_64(line: &Value) -> Result<(), String> {
    columns(line, &["type", "seed", "out"], &[])?;
    let mut engine = Mt64::new(number(line, "seed")?);
    let wanted = line["out"].as_array().ok_or("has no list in column out")?;
    if wanted.is_empty() {
        return Err("has no outputs".into());
    }
    let outputs: Vec<u64> = wanted.iter().map(|_| engine.next_u64()).collect();
    equal("out", &json!(outputs), &line["out"])
}

/// The checksum of some data, from both starts.
pub(crate) fn checksum(line: &Value) -> Result<(), String> {
    let given = !line["hex"].is_null();
    let always = ["type", "case", "algo", "length", "value", "hex"];
    columns(
        line,
        &always,
        if given { &["value_start0", "wire_hex"] } else { &[] },
    )?;

    let data = if given {
        bytes(line, "hex")?
    } else {
        generated(line)?
    };
    equal("length", &json!(data.len()), &line["length"])?;
    let algo = number(line, "algo")?;
    let value = match algorithm(algo)? {
        Some(crc) => raw(crc, DATA_START, &data),
        None => 0,
    };
    equal("value", &json!(value), &line["value"])?;
    if !given {
        return Ok(());
    }
    let from_zero = algorithm(algo)?.map_or(0, |crc| raw(crc, 0, &data));
    equal("value_start0", &json!(from_zero), &line["value_start0"])?;
    // A table of five bytes: the algorithm and the register.
    let wire = format!("05{algo:02x}{}", hex(&value.to_le_bytes()));
    equal("wire_hex", &json!(wire), &line["wire_hex"])
}

/// The checksum of a concatenation, from those of its parts.
pub(crate) fn checksum_combine(line: &Value) -> Result<(), String> {
    let names = [
        "type",
        "buffer",
        "cut",
        "algo",
        "first",
        "second",
        "second_length",
        "combined",
        "whole",
        "equal",
    ];
    columns(line, &names, &[])?;
    let crc = algorithm(number(line, "algo")?)?.ok_or("algo: has no register to combine")?;
    let (first, second) = (number32(line, "first")?, number32(line, "second")?);
    let combined = concat(crc, first, second, number(line, "second_length")?, DATA_START);
    equal("combined", &json!(combined), &line["combined"])?;
    equal("equal", &json!(line["combined"] == line["whole"]), &line["equal"])
}

/// The checksum word of a frame with this body.
pub(crate) fn header_checksum(line: &Value) -> Result<(), String> {
    columns(
        line,
        &[
            "type",
            "case",
            "compressed",
            "checksum",
            "raw_crc32c_seed0",
            "hex",
        ],
        &[],
    )?;
    let body = bytes(line, "hex")?;
    let register = raw(Crc::Crc32c, FRAME_START, &body);
    equal("raw_crc32c_seed0", &json!(register), &line["raw_crc32c_seed0"])?;
    let compressed = line["compressed"]
        .as_bool()
        .ok_or("has no flag in column compressed")?;
    equal(
        "checksum",
        &json!(frame_word(register, compressed)),
        &line["checksum"],
    )?;

    // The same, from two pieces that are read back to front.
    let (a, b) = body.split_at(body.len() / 3);
    let second = raw(Crc::Crc32c, FRAME_START, b);
    let first = raw(Crc::Crc32c, FRAME_START, a);
    let joined = concat(Crc::Crc32c, first, second, b.len() as u64, FRAME_START);
    equal(
        "raw_crc32c_seed0 of two pieces",
        &json!(joined),
        &line["raw_crc32c_seed0"],
    )
}

/// The polynomial behind a `ChecksumInfo` type; none for "no checksum".
fn algorithm(number: u64) -> Result<Option<Crc>, String> {
    match number {
        0 => Ok(None),
        1 => Ok(Some(Crc::Crc32c)),
        2 => Ok(Some(Crc::Crc32)),
        _ => Err(format!("algo: {number} is not an algorithm this test knows")),
    }
}

/// Data that is too long to be in the file; its recipe is the name of the case.
fn generated(line: &Value) -> Result<Vec<u8>, String> {
    if line["case"] != "3MiB byte[i]=(i*131+(i>>8))&255" {
        return Err("case: is a recipe this test does not know".into());
    }
    let byte = |i: u32| (i * 131 + (i >> 8)).to_le_bytes()[0];
    Ok((0..3 << 20).map(byte).collect())
}

/// Refuses lines with columns that are not checked, or without one that is.
fn columns(line: &Value, always: &[&str], also: &[&str]) -> Result<(), String> {
    let present = line.as_object().ok_or("is not an object")?;
    if let Some(unknown) = present
        .keys()
        .find(|name| ![always, also].concat().contains(&name.as_str()))
    {
        return Err(format!("has a column this test does not know: {unknown}"));
    }
    match [always, also]
        .concat()
        .iter()
        .find(|name| !present.contains_key(**name))
    {
        Some(missing) => Err(format!("has no column {missing}")),
        None => Ok(()),
    }
}

fn number32(line: &Value, column: &str) -> Result<u32, String> {
    u32::try_from(number(line, column)?).map_err(|_| format!("{column}: does not fit 32 bits"))
}

fn equal(what: &str, ours: &Value, theirs: &Value) -> Result<(), String> {
    if ours == theirs {
        Ok(())
    } else {
        Err(format!("{what}: is {ours}, should be {theirs}"))
    }
}
