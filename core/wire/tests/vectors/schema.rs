//! The schema: classes with their fields in order, and enumerations with their values.

use flyer_wire::codec::{Message, Wire, decode};
use flyer_wire::msg::{common, meta, mgmtd, migration, storage};
use flyer_wire::reflect::{Leaf, Reflect, Shape, Visitor};
use serde_json::Value;
use std::collections::BTreeMap;

/// Tables of a class, base first: class name and field names.
type Tables = Vec<(String, Vec<String>)>;

/// Collects the tables of the outermost message.
#[derive(Default)]
struct Collect {
    tables: Tables,
    depth: usize,
}

impl Visitor for Collect {
    fn leaf(&mut self, _: Leaf<'_>) {}

    fn begin(&mut self, shape: Shape<'_>) -> bool {
        if let (Shape::Table(class), 1) = (shape, self.depth) {
            self.tables.push((class.to_string(), Vec::new()));
        }
        if matches!(shape, Shape::Status(_)) {
            return false;
        }
        self.depth += 1;
        true
    }

    fn field(&mut self, name: &'static str) {
        if self.depth == 2 {
            self.tables
                .last_mut()
                .expect("a field is in a table")
                .1
                .push(name.to_string());
        }
    }

    fn end(&mut self) {
        self.depth -= 1;
    }
}

fn tables_of<T: Message + Reflect>() -> (String, Tables) {
    let mut collect = Collect::default();
    T::initial().reflect(&mut collect);
    (T::CLASS.to_string(), collect.tables)
}

macro_rules! collect_all {
    ($($message:ty,)*) => {
        fn our_tables() -> BTreeMap<String, Tables> {
            [$(tables_of::<$message>()),*].into_iter().collect()
        }
    };
}
flyer_wire::for_each_message!(collect_all);

/// Width of an enumeration in bytes, and the name of the enumerator with this number.
type EnumFacts = (usize, Option<&'static str>);

/// Remembers the name of an enumerator.
struct EnumName(Option<&'static str>);

impl Visitor for EnumName {
    fn leaf(&mut self, leaf: Leaf<'_>) {
        if let Leaf::Enum(_, name) = leaf {
            self.0 = name;
        }
    }
    fn begin(&mut self, _: Shape<'_>) -> bool {
        false
    }
    fn field(&mut self, _: &'static str) {}
    fn end(&mut self) {}
}

fn enum_facts<T: Wire + Reflect>(number: u64) -> EnumFacts {
    let value: T = decode(&number.to_le_bytes()).expect("an enumeration is at most 8 bytes wide");
    let mut name = EnumName(None);
    value.reflect(&mut name);
    (T::BYTES_MIN, name.0)
}

fn our_enums() -> BTreeMap<&'static str, fn(u64) -> EnumFacts> {
    BTreeMap::from([
        (
            "hf3fs::ConfigStatus",
            enum_facts::<common::ConfigStatus> as fn(u64) -> EnumFacts,
        ),
        (
            "hf3fs::flat::LocalTargetState",
            enum_facts::<mgmtd::routing::LocalTargetState>,
        ),
        ("hf3fs::flat::NodeStatus", enum_facts::<mgmtd::node::NodeStatus>),
        ("hf3fs::flat::NodeType", enum_facts::<mgmtd::node::NodeType>),
        (
            "hf3fs::flat::PublicTargetState",
            enum_facts::<mgmtd::routing::PublicTargetState>,
        ),
        ("hf3fs::flat::SetTagMode", enum_facts::<mgmtd::node::SetTagMode>),
        ("hf3fs::meta::InodeType", enum_facts::<meta::inode::InodeType>),
        (
            "hf3fs::meta::Layout::ChainRange::Shuffle",
            enum_facts::<meta::inode::Shuffle>,
        ),
        (
            "hf3fs::meta::LockDirectoryReq::LockAction",
            enum_facts::<meta::attr::LockAction>,
        ),
        (
            "hf3fs::mgmtd::UpdateChainReq::Mode",
            enum_facts::<mgmtd::admin::UpdateChainMode>,
        ),
        ("hf3fs::migration::JobStatus", enum_facts::<migration::JobStatus>),
        (
            "hf3fs::storage::ChecksumType",
            enum_facts::<storage::chunk::ChecksumType>,
        ),
        (
            "hf3fs::storage::ChunkState",
            enum_facts::<storage::chunk::ChunkState>,
        ),
        (
            "hf3fs::storage::RecycleState",
            enum_facts::<storage::chunk::RecycleState>,
        ),
        (
            "hf3fs::storage::UpdateType",
            enum_facts::<storage::io::UpdateType>,
        ),
    ])
}

/// Checks `schema.json`. Test types (`vgp::*`) are those of the test itself; their lines check them.
pub(crate) fn check(root: &Value) -> Result<usize, String> {
    for key in root.as_object().ok_or("is not an object")?.keys() {
        if !matches!(key.as_str(), "structs" | "enums") {
            return Err(format!("a part this test does not know: {key}"));
        }
    }
    let structs = root["structs"].as_object().ok_or("has no structs")?;
    let enums = root["enums"].as_object().ok_or("has no enums")?;
    let ours = our_tables();
    let mut facts = 0;
    for (class, tables) in structs.iter().filter(|(class, _)| !class.starts_with("vgp::")) {
        let ours = ours.get(class).ok_or_else(|| format!("no message {class}"))?;
        let theirs = tables_in(tables).ok_or_else(|| format!("{class}: unreadable tables"))?;
        if *ours != theirs {
            return Err(format!("{class}: {ours:?} instead of {theirs:?}"));
        }
        facts += theirs.iter().map(|(_, fields)| fields.len()).sum::<usize>();
    }
    let our_enums = our_enums();
    for (name, theirs) in enums {
        let ours = our_enums
            .get(name.as_str())
            .ok_or_else(|| format!("no enumeration {name}"))?;
        for (text, number) in theirs["values"]
            .as_object()
            .ok_or("an enumeration has no values")?
        {
            let (width, our_text) = ours(number.as_u64().ok_or("an enumerator is no number")?);
            if theirs["size"] != width || our_text != Some(text) {
                return Err(format!("{name}::{text}: {our_text:?}, {width} bytes wide"));
            }
            facts += 1;
        }
    }
    Ok(facts)
}

fn tables_in(tables: &Value) -> Option<Tables> {
    let table = |table: &Value| {
        let names = table["fields"]
            .as_array()?
            .iter()
            .map(|f| f["name"].as_str().map(str::to_string));
        Some((
            table["class"].as_str()?.to_string(),
            names.collect::<Option<Vec<_>>>()?,
        ))
    };
    tables.as_array()?.iter().map(table).collect()
}
