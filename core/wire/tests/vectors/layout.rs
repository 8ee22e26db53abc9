//! Layouts, chunk ids, checksums of data, permission checks.

use crate::layout_low;
use crate::value::hex;
use crate::{bytes, number};
use flyer_types::StatusCode;
use flyer_types::ids::{ChainId, ChainTableId, ChainTableVersion, Gid, InodeId, Permission, Uid};
use flyer_wire::checksum::{self, Crc};
use flyer_wire::codec::{decode, encode_to_vec};
use flyer_wire::layout::{ChainTables, chain_of_index};
use flyer_wire::msg::common::UserInfo;
use flyer_wire::msg::meta::access::Access;
use flyer_wire::msg::meta::inode::{Acl, Layout};
use flyer_wire::msg::storage::chunk::{ChecksumInfo, ChecksumType};
use flyer_wire::msg::storage::chunk_id::{ChunkId, FileChunk};
use flyer_wire::shuffle::ShuffleMethod;
use serde_json::Value;
use std::collections::BTreeMap;

/// The chain tables of the last `routing` line.
#[derive(Default)]
pub(crate) struct Routing {
    case: String,
    tables: BTreeMap<(ChainTableId, ChainTableVersion), Vec<ChainId>>,
}

impl ChainTables for Routing {
    fn chains(&self, table: ChainTableId, version: ChainTableVersion) -> Option<&[ChainId]> {
        if version != ChainTableVersion(0) {
            return self.tables.get(&(table, version)).map(Vec::as_slice);
        }
        let all = (table, version)..=(table, ChainTableVersion(u32::MAX));
        self.tables
            .range(all)
            .next_back()
            .map(|(_, chains)| chains.as_slice())
    }
}

/// Checks a line of `layout.jsonl`.
pub(crate) fn check(routing: &mut Routing, line: &Value) -> Result<(), String> {
    match line["type"].as_str().ok_or("has no type")? {
        "routing" => read_routing(routing, line),
        "chain_index_list" => layout_low::chain_index_list(line),
        "mt19937_64" => layout_low::mt19937_64(line),
        "chain_of_offset" => chain_of_offset(routing, line),
        "chunk_id" => chunk_id(line),
        "chunk_range" => chunk_range(line),
        "checksum" => layout_low::checksum(line).and_then(|()| checksum_info(line)),
        "checksum_combine" => layout_low::checksum_combine(line).and_then(|()| combine(line)),
        "checksum_combine_none" => combine_none(line),
        "checksum_combine_mismatch" => combine_mismatch(line),
        "acl_check" => acl_check(line),
        _ => Err("is a kind of line this test does not know".into()),
    }
}

fn small(line: &Value, column: &str) -> Result<u32, String> {
    u32::try_from(number(line, column)?).map_err(|e| format!("{column}: {e}"))
}

fn list<T>(value: &Value, of: fn(u32) -> T) -> Result<Vec<T>, String> {
    let elements = value.as_array().ok_or("is not a list")?;
    elements
        .iter()
        .map(|e| {
            e.as_u64()
                .and_then(|e| u32::try_from(e).ok())
                .map(of)
                .ok_or_else(|| "is not a number".to_string())
        })
        .collect()
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, ours: T, theirs: T) -> Result<(), String> {
    if ours == theirs {
        Ok(())
    } else {
        Err(format!("{what}: {ours:?} instead of {theirs:?}"))
    }
}

fn read_routing(routing: &mut Routing, line: &Value) -> Result<(), String> {
    *routing = Routing {
        case: line["case"].to_string(),
        ..Routing::default()
    };
    for table in line["tables"].as_array().ok_or("has no tables")? {
        let id = ChainTableId(small(table, "chainTableId")?);
        let version = ChainTableVersion(small(table, "chainTableVersion")?);
        routing
            .tables
            .insert((id, version), list(&table["chains"], ChainId)?);
    }
    Ok(())
}

fn chain_of_offset(routing: &Routing, line: &Value) -> Result<(), String> {
    equal("routing", line["routing"].to_string(), routing.case.clone())?;
    let layout: Layout = decode(&bytes(line, "layout_hex")?).map_err(|e| e.to_string())?;
    equal("layout", encode_to_vec(&layout), bytes(line, "layout_hex")?)?;
    equal(
        "valid",
        Some(layout.check(false).is_ok()),
        line["valid"].as_bool(),
    )?;
    let inode = InodeId(number(line, "inode")?);
    let indexes = layout.chain_indexes(ShuffleMethod::Gpp11);
    let code = |code: StatusCode| Value::from(code.0);
    for result in line["results"].as_array().ok_or("has no results")? {
        let offset = number(result, "offset")?;
        let track = u16::try_from(number(result, "track")?).map_err(|e| e.to_string())?;
        let at = format!("offset {offset} track {track}");
        let chain = layout.slot_at(track, offset).and_then(|slot| {
            let index = indexes[slot as usize];
            chain_of_index(layout.table_id, layout.table_version, index, routing)
        });
        let (chain, chain_err) = match chain {
            Ok(chain) => (Value::from(chain.0), Value::Null),
            Err(error) => (Value::Null, code(error)),
        };
        equal(&at, &chain, &result["chain"])?;
        equal(&at, &chain_err, &result["chain_err"])?;
        let (chunk, chunk_err) = match layout.chunk_at(inode, offset) {
            Ok((chunk, _)) => (Value::from(hex(chunk.id().as_bytes())), Value::Null),
            Err(error) => (Value::Null, code(error)),
        };
        equal(&at, &chunk_err, &result["chunk_err"])?;
        if chunk_err.is_null() {
            equal(&at, &chunk, &result["chunk"])?;
        }
    }
    Ok(())
}

fn chunk_id(line: &Value) -> Result<(), String> {
    let track = u16::try_from(number(line, "track")?).map_err(|e| e.to_string())?;
    let chunk = FileChunk {
        inode: InodeId(number(line, "inode")?),
        track,
        index: small(line, "chunk")?,
    };
    let id = chunk.id();
    equal("bytes", id.as_bytes(), &bytes(line, "hex")?)?;
    equal("text", Some(id.to_string().as_str()), line["describe"].as_str())?;
    equal("wire", encode_to_vec(&id), bytes(line, "wire_hex")?)?;
    equal(
        "read back",
        decode::<ChunkId>(&bytes(line, "wire_hex")?).ok(),
        Some(id.clone()),
    )?;
    equal("next", id.next().as_bytes(), &bytes(line, "next_hex")?)?;
    equal("parts", id.file_chunk(), Some(chunk))
}

fn chunk_range(line: &Value) -> Result<(), String> {
    let range = ChunkId::range_of_file(InodeId(number(line, "inode")?), small(line, "chunkBegin")?, 0);
    equal("begin", range.begin.as_bytes(), &bytes(line, "begin")?)?;
    equal("end", range.end.as_bytes(), &bytes(line, "end")?)
}

fn kind(line: &Value) -> Result<ChecksumType, String> {
    Ok(ChecksumType(
        u8::try_from(number(line, "algo")?).map_err(|e| e.to_string())?,
    ))
}

fn checksum_info(line: &Value) -> Result<(), String> {
    let Some(wire) = line.get("wire_hex") else {
        return Ok(());
    };
    let info = ChecksumInfo::of(kind(line)?, &bytes(line, "hex")?).ok_or("has an unknown algorithm")?;
    equal("value", u64::from(info.value), number(line, "value")?)?;
    equal("wire", Some(hex(&encode_to_vec(&info)).as_str()), wire.as_str())
}

fn combine(line: &Value) -> Result<(), String> {
    let kind = kind(line)?;
    let part = |column| {
        Ok::<_, String>(ChecksumInfo {
            kind,
            value: small(line, column)?,
        })
    };
    let joined = part("first")?.followed_by(part("second")?, number(line, "second_length")?);
    equal("combined", joined, Ok(part("combined")?))?;
    equal(
        "equal",
        line["equal"].as_bool(),
        Some(number(line, "combined")? == number(line, "whole")?),
    )
}

/// Nothing followed by a CRC-32C of some bytes.
fn combine_none(line: &Value) -> Result<(), String> {
    let combined_type = u8::try_from(number(line, "combined_type")?).map_err(|e| e.to_string())?;
    let second = ChecksumInfo {
        kind: ChecksumType::CRC32C,
        value: small(line, "second")?,
    };
    let joined = ChecksumInfo::default().followed_by(second, 1);
    let expected = ChecksumInfo {
        kind: ChecksumType(combined_type),
        value: small(line, "combined")?,
    };
    equal("ok", line["ok"].as_bool(), Some(true))?;
    equal("combined", joined, Ok(expected))
}

/// Two kinds of checksum do not combine.
fn combine_mismatch(line: &Value) -> Result<(), String> {
    let of = |kind| ChecksumInfo {
        kind,
        value: checksum::raw(Crc::Crc32c, 0, b"x"),
    };
    let code = StatusCode(u16::try_from(number(line, "error_code")?).map_err(|e| e.to_string())?);
    equal("ok", line["ok"].as_bool(), Some(false))?;
    equal(
        "outcome",
        of(ChecksumType::CRC32C).followed_by(of(ChecksumType::CRC32), 1),
        Err(code),
    )
}

fn acl_check(line: &Value) -> Result<(), String> {
    let user = UserInfo {
        uid: Uid(small(line, "uid")?),
        gid: Gid(small(line, "gid")?),
        groups: list(&line["groups"], Gid)?,
        ..UserInfo::default()
    };
    let acl = Acl {
        uid: Uid(small(line, "acl_uid")?),
        gid: Gid(small(line, "acl_gid")?),
        perm: Permission(small(line, "perm")?),
        ..Acl::default()
    };
    let access = u8::try_from(number(line, "access")?)
        .ok()
        .and_then(Access::from_bits)
        .ok_or("unknown access")?;
    let outcome = acl.check(&user, access);
    equal("ok", Some(outcome.is_ok()), line["ok"].as_bool())?;
    equal(
        "code",
        outcome.err().map_or(0, |code| u64::from(code.0)),
        number(line, "code")?,
    )
}
