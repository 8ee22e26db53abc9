//! `usrbio.json`: structures, sizes, numbers and names of the shared-memory interface.
//!
//! Every value in the file is compared with what the library says, and every structure, field, name and column has to
//! be one that this test knows.

use core::mem::{align_of, offset_of, size_of};

use flyer_types::ids::InodeId;
use flyer_wire::msg::meta::flags::IFlags;
use flyer_wire::usrbio::ioctl::{
    self, HardlinkArg, MountNameArg, MoveArg, PUNCH_HOLE_RANGES_MAX, PunchHoleArg, RemoveArg, SUPER_MAGIC,
};
use flyer_wire::usrbio::ring::{self, IoArgs, IoCqe, IoSqe, RingLayout, Semaphore};
use flyer_wire::usrbio::{
    IOR_ALLOW_READ_UNCOMMITTED, IOR_FORBID_READ_HOLES, Ior, Iov, SUBMIT_SEMAPHORE_LINKS,
};
use serde_json::{Map, Value, json};

/// Checks the whole file; the number of facts that were compared.
pub(crate) fn check(root: &Value) -> Result<usize, String> {
    let mut facts = Facts::default();
    for (name, section) in object(root, "the file")? {
        match name.as_str() {
            "structs" => structs(&mut facts, section)?,
            "ring" => ring_sizes(&mut facts, section)?,
            "ioctl" => facts.table("ioctl", section, ioctl_number)?,
            "constants" => facts.table("constants", section, constant)?,
            "sem_names" => facts.equal("sem_names", &json!(SUBMIT_SEMAPHORE_LINKS), section)?,
            "inode_ids" => facts.table("inode_ids", section, inode_id)?,
            _ => return Err(format!("{name}: is a section this test does not know")),
        }
        facts.sections += 1;
    }
    if facts.sections != 6 {
        return Err(format!("has {} sections, should have 6", facts.sections));
    }
    Ok(facts.checked)
}

/// What a row should hold.
type Columns = Vec<(&'static str, Value)>;

/// Counts what was compared, so that a file without content is noticed.
#[derive(Default)]
struct Facts {
    checked: usize,
    sections: usize,
}

impl Facts {
    fn equal(&mut self, what: &str, ours: &Value, theirs: &Value) -> Result<(), String> {
        self.checked += 1;
        if ours == theirs {
            Ok(())
        } else {
            Err(format!("{what}: is {ours}, should be {theirs}"))
        }
    }

    /// Compares an object whose keys `ours` knows the values of.
    fn table(&mut self, what: &str, theirs: &Value, ours: fn(&str) -> Option<Value>) -> Result<(), String> {
        let entries = object(theirs, what)?;
        if entries.is_empty() {
            return Err(format!("{what}: is empty"));
        }
        for (key, value) in entries {
            let ours = ours(key).ok_or_else(|| format!("{what}: this test does not know {key}"))?;
            self.equal(&format!("{what} {key}"), &ours, value)?;
        }
        Ok(())
    }

    /// Compares all columns of a row: no more and no fewer than `ours` has.
    fn row(&mut self, what: &str, ours: &[(&str, Value)], theirs: &Value) -> Result<(), String> {
        let columns = object(theirs, what)?;
        if let Some(unknown) = columns
            .keys()
            .find(|name| !ours.iter().any(|(known, _)| known == name))
        {
            return Err(format!("{what}: this test does not know {unknown}"));
        }
        for (column, value) in ours {
            self.equal(&format!("{what} {column}"), value, &theirs[*column])?;
        }
        Ok(())
    }
}

/// A structure as the compiler laid it out, with upstream's names.
struct Layout {
    name: &'static str,
    size: usize,
    align: usize,
    fields: Vec<(&'static str, usize, usize)>,
}

/// The size of what a field accessor gives.
fn size_of_field<T, F>(_: fn(&T) -> &F) -> usize {
    size_of::<F>()
}

macro_rules! layout {
    ($upstream:literal, $type:ty $(, $name:literal = $field:ident)*) => {
        Layout {
            name: $upstream,
            size: size_of::<$type>(),
            align: align_of::<$type>(),
            fields: vec![$((
                $name,
                offset_of!($type, $field),
                size_of_field(|value: &$type| &value.$field),
            )),*],
        }
    };
}

#[rustfmt::skip]
fn layouts() -> Vec<Layout> {
    vec![
        layout!("sem_t", Semaphore),
        layout!("IoArgs", IoArgs, "bufId" = buf_id, "bufOff" = buf_off, "fileIid" = file_inode,
            "fileOff" = file_off, "ioLen" = io_len, "userdata" = userdata),
        layout!("IoSqe", IoSqe, "index" = index, "userdata" = userdata),
        layout!("IoCqe", IoCqe, "index" = index, "reserved" = reserved, "result" = result, "userdata" = userdata),
        layout!("hf3fs_iov", Iov, "base" = base, "iovh" = handle, "id" = id, "mount_point" = mount_point,
            "size" = size, "block_size" = block_size, "numa" = numa),
        layout!("hf3fs_ior", Ior, "iov" = iov, "iorh" = handle, "mount_point" = mount_point, "for_read" = for_read,
            "io_depth" = io_depth, "priority" = priority, "timeout" = timeout_ms, "flags" = flags),
        layout!("hf3fs_cqe", IoCqe, "index" = index, "reserved" = reserved, "result" = result,
            "userdata" = userdata),
        layout!("Hf3fsIoctlGetMountNameArg", MountNameArg, "str" = name),
        layout!("Hf3fsIoctlHardlinkArg", HardlinkArg, "ino" = parent, "str" = name),
        layout!("Hf3fsIoctlPunchHoleArg", PunchHoleArg, "n" = count, "flags" = flags, "start" = starts, "end" = ends),
        layout!("Hf3fsIoctlMove", MoveArg, "srcParent" = source_parent, "srcName" = source_name,
            "dstParent" = target_parent, "dstName" = target_name, "moveToTrash" = to_trash),
        layout!("Hf3fsIoctlRemove", RemoveArg, "parent" = parent, "name" = name, "recursive" = recursive),
    ]
}

fn structs(facts: &mut Facts, section: &Value) -> Result<(), String> {
    let known = layouts();
    let theirs = list(section, "structs")?;
    facts.equal("number of structs", &json!(known.len()), &json!(theirs.len()))?;
    for row in theirs {
        let name = row["name"].as_str().ok_or("structs: one has no name")?;
        let Some(ours) = known.iter().find(|layout| layout.name == name) else {
            return Err(format!("structs: this test does not know {name}"));
        };
        let columns = [
            ("name", json!(name)),
            ("size", json!(ours.size)),
            ("align", json!(ours.align)),
            ("fields", row["fields"].clone()),
        ];
        facts.row(name, &columns, row)?;
        let fields = list(&row["fields"], name)?;
        facts.equal(
            &format!("fields of {name}"),
            &json!(ours.fields.len()),
            &json!(fields.len()),
        )?;
        for (row, (field, offset, size)) in fields.iter().zip(&ours.fields) {
            let columns = [
                ("name", json!(field)),
                ("offset", json!(offset)),
                ("size", json!(size)),
            ];
            facts.row(&format!("{name}.{field}"), &columns, row)?;
        }
    }
    Ok(())
}

fn ring_sizes(facts: &mut Facts, section: &Value) -> Result<(), String> {
    let mut parts = 0;
    for (name, part) in object(section, "ring")? {
        match name.as_str() {
            "marker_size" => facts.equal("marker_size", &json!(ring::POSITION_BYTES), part)?,
            "offsets" => facts.table("offsets", part, position_offset)?,
            "entries_to_bytes" => rows(facts, name, part, |row| {
                let entries = number32(row, "entries")?;
                let bytes = ring::bytes_of(entries).ok_or("entries_to_bytes: is refused")?;
                let back = ring::entries_of(bytes);
                Ok(vec![
                    ("entries", json!(entries)),
                    ("bytes", json!(bytes)),
                    ("entries_back", json!(back)),
                ])
            })?,
            "bytes_to_entries" => rows(facts, name, part, |row| {
                let bytes = row["bytes"].as_u64().ok_or("bytes_to_entries: has no bytes")?;
                Ok(vec![
                    ("bytes", json!(bytes)),
                    ("entries", json!(ring::entries_of(bytes))),
                ])
            })?,
            "layouts" => rows(facts, name, part, |row| ring_layout(number32(row, "entries")?))?,
            _ => return Err(format!("ring: this test does not know {name}")),
        }
        parts += 1;
    }
    facts.equal("parts of ring", &json!(5), &json!(parts))
}

fn ring_layout(entries: u32) -> Result<Columns, String> {
    let layout = RingLayout::of_entries(entries).ok_or("layouts: is refused")?;
    if RingLayout::of_bytes(layout.bytes) != Some(layout) {
        return Err(format!(
            "layouts: {entries} entries do not come back from their size"
        ));
    }
    Ok(vec![
        ("entries", json!(layout.entries)),
        ("bytes", json!(layout.bytes)),
        ("slots_in_ring", json!(layout.slots)),
        ("ring_section", json!(layout.args_off(0))),
        ("cqe_section", json!(layout.cqe_off(0))),
        ("sqe_section", json!(layout.sqe_off(0))),
        ("cqe_sem", json!(layout.semaphore_off)),
    ])
}

fn rows(
    facts: &mut Facts,
    what: &str,
    theirs: &Value,
    ours: fn(&Value) -> Result<Columns, String>,
) -> Result<(), String> {
    let theirs = list(theirs, what)?;
    if theirs.is_empty() {
        return Err(format!("{what}: is empty"));
    }
    for row in theirs {
        facts.row(what, &ours(row)?, row)?;
    }
    Ok(())
}

fn position_offset(name: &str) -> Option<Value> {
    Some(json!(match name {
        "sqe_head" => ring::SQE_HEAD_OFF,
        "sqe_tail" => ring::SQE_TAIL_OFF,
        "cqe_head" => ring::CQE_HEAD_OFF,
        "cqe_tail" => ring::CQE_TAIL_OFF,
        "ring_section" => ring::ARGS_OFF,
        _ => return None,
    }))
}

fn ioctl_number(name: &str) -> Option<Value> {
    Some(json!(match name {
        "HF3FS_IOC_GET_MOUNT_NAME" => ioctl::GET_MOUNT_NAME,
        "HF3FS_IOC_GET_PATH_OFFSET" => ioctl::GET_PATH_OFFSET,
        "HF3FS_IOC_GET_MAGIC_NUM" => ioctl::GET_MAGIC_NUM,
        "HF3FS_IOC_GET_IOCTL_VERSION" => ioctl::GET_IOCTL_VERSION,
        "HF3FS_IOC_RECURSIVE_RM" => ioctl::RECURSIVE_RM,
        "HF3FS_IOC_FSYNC" => ioctl::FSYNC,
        "HF3FS_IOC_HARDLINK" => ioctl::HARDLINK,
        "HF3FS_IOC_PUNCH_HOLE" => ioctl::PUNCH_HOLE,
        "HF3FS_IOC_MOVE" => ioctl::MOVE,
        "HF3FS_IOC_REMOVE" => ioctl::REMOVE,
        _ => return None,
    }))
}

fn constant(name: &str) -> Option<Value> {
    Some(match name {
        "HF3FS_SUPER_MAGIC" => json!(SUPER_MAGIC),
        "HF3FS_IOR_ALLOW_READ_UNCOMMITTED" => json!(IOR_ALLOW_READ_UNCOMMITTED),
        "HF3FS_IOR_FORBID_READ_HOLES" => json!(IOR_FORBID_READ_HOLES),
        "HF3FS_IOCTL_PUNCH_HOLE_MAX" => json!(PUNCH_HOLE_RANGES_MAX),
        "FS_CHAIN_ALLOCATION_FL" => json!(IFlags::CHAIN_ALLOCATION.bits()),
        "FS_NEW_CHUNK_ENGINE" => json!(IFlags::NEW_CHUNK_ENGINE.bits()),
        "FS_FL_SUPPORTED" => json!(IFlags::all().bits()),
        "FS_FL_INHERITABLE" => json!(IFlags::INHERITED.bits()),
        "FS_HUGE_FILE_FL" => json!(IFlags::HUGE_FILE.bits()),
        "FS_IMMUTABLE_FL" => json!(IFlags::IMMUTABLE.bits()),
        _ => return None,
    })
}

fn inode_id(name: &str) -> Option<Value> {
    let id = match name {
        "root" => InodeId::ROOT,
        "gcRoot" => InodeId::GC_ROOT,
        "normalMax" => InodeId::NORMAL_MAX,
        "kNewChunkEngineMask" => InodeId(InodeId::NEW_CHUNK_ENGINE),
        "virt" => InodeId::VIRT,
        "iovDir" => InodeId::IOV_DIR,
        "iov(0)" => InodeId::iov(0)?,
        "iov(1)" => InodeId::iov(1)?,
        "iov(100)" => InodeId::iov(100)?,
        "iov(65535)" => InodeId::iov(65_535)?,
        "rmRf" => InodeId::RM_RF,
        "virtTemporary(0)" => InodeId::virtual_symlink_of(InodeId(0)),
        "virtTemporary(0x1234)" => InodeId::virtual_symlink_of(InodeId(0x1234)),
        "virtTemporary(normalMax)" => InodeId::virtual_symlink_of(InodeId::NORMAL_MAX),
        "getConf" => InodeId::GET_CONF,
        "setConf" => InodeId::SET_CONF,
        "submit_sem_prio0" => InodeId::submit_semaphore(0)?,
        "submit_sem_prio1" => InodeId::submit_semaphore(1)?,
        "submit_sem_prio2" => InodeId::submit_semaphore(2)?,
        "withNewChunkEngine(5)" => InodeId(5).with_new_chunk_engine(),
        _ => return None,
    };
    Some(json!({ "dec": id.0, "hex": id.to_string() }))
}

fn object<'a>(value: &'a Value, what: &str) -> Result<&'a Map<String, Value>, String> {
    value
        .as_object()
        .ok_or_else(|| format!("{what}: is not an object"))
}

fn list<'a>(value: &'a Value, what: &str) -> Result<&'a Vec<Value>, String> {
    value.as_array().ok_or_else(|| format!("{what}: is not a list"))
}

fn number32(row: &Value, column: &str) -> Result<u32, String> {
    let number = row[column]
        .as_u64()
        .ok_or_else(|| format!("has no number in column {column}"))?;
    u32::try_from(number).map_err(|_| format!("{column}: does not fit 32 bits"))
}
