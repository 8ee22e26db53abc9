//! The `value` column: all fields of a value, nothing hidden. See `tests/vectors/README.md` at the top level.

use flyer_types::Lease;
use flyer_wire::reflect::{Leaf, Reflect, Shape, Visitor};
use serde_json::{Map, Value, json};

/// Shows `value` as the vectors do. `inline` are the bytes that leases point into.
pub(crate) fn to_value(value: &dyn Reflect, inline: &[u8]) -> Value {
    let mut visitor = Values {
        inline,
        open: Vec::new(),
        done: Value::Null,
    };
    value.reflect(&mut visitor);
    assert!(visitor.open.is_empty(), "every begin has an end");
    visitor.done
}

/// Whether two values are equal, numbers by their value.
pub(crate) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => {
            x == y || x.as_f64() == y.as_f64() && (x.is_f64() || y.is_f64())
        }
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y)),
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len() && x.iter().all(|(k, x)| y.get(k).is_some_and(|y| same(x, y)))
        }
        _ => a == b,
    }
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Bytes of a hex string.
pub(crate) fn unhex(text: &str) -> Result<Vec<u8>, String> {
    if !text.len().is_multiple_of(2) {
        return Err("odd number of hex digits".into());
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).map_err(|e| e.to_string()))
        .collect()
}

struct Values<'a> {
    inline: &'a [u8],
    open: Vec<Open>,
    done: Value,
}

enum Open {
    Struct(Vec<Value>),
    Table(Map<String, Value>, &'static str),
    List(Vec<Value>),
    Map(Vec<Value>),
    Variant(&'static str, Value),
    Ok(Value),
    Err(Value),
}

fn text_or_hex(bytes: &[u8]) -> Value {
    match str::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(_) => json!({ "hex": hex(bytes) }),
    }
}

impl Values<'_> {
    fn put(&mut self, value: Value) {
        match self.open.last_mut() {
            None => self.done = value,
            Some(Open::Struct(list) | Open::List(list) | Open::Map(list)) => list.push(value),
            Some(Open::Table(fields, name)) => {
                let before = fields.insert((*name).to_string(), value);
                assert!(before.is_none(), "a table has each field once");
            }
            Some(Open::Variant(_, inner) | Open::Ok(inner) | Open::Err(inner)) => *inner = value,
        }
    }

    fn lease(&self, lease: Lease) -> Value {
        let (start, len) = (lease.off as usize, lease.len as usize);
        json!({ "hex": hex(&self.inline[start..start + len]) })
    }
}

impl Visitor for Values<'_> {
    fn leaf(&mut self, leaf: Leaf<'_>) {
        let value = match leaf {
            Leaf::Void | Leaf::Absent => Value::Null,
            Leaf::Bool(value) => json!(value),
            Leaf::Unsigned(number) | Leaf::Size(number) | Leaf::Enum(number, _) => json!(number),
            Leaf::Signed(number) | Leaf::Flags(number) | Leaf::Duration(number) => json!(number),
            Leaf::Float(number) => json!(number),
            Leaf::Text(bytes) => text_or_hex(bytes),
            Leaf::Secret(token) => text_or_hex(token.expose().as_bytes()),
            Leaf::ChunkId(bytes) => json!({ "hex": hex(bytes) }),
            Leaf::Gid(bytes) => json!({ "hex": hex(bytes) }),
            Leaf::Inode(id) => json!(id.0),
            Leaf::Uuid(uuid) => json!(uuid.to_string()),
            Leaf::WallTime(time) => json!(time.us),
            Leaf::Address(a) => json!({ "ip": a.ip.to_string(), "port": a.port, "type": a.kind.0 }),
            Leaf::EmptyChains => json!({}),
            Leaf::Lease(lease) => self.lease(lease),
        };
        self.put(value);
    }

    fn begin(&mut self, shape: Shape<'_>) -> bool {
        let open = match shape {
            Shape::Struct(_) => Open::Struct(Vec::new()),
            Shape::Table(_) => Open::Table(Map::new(), ""),
            Shape::List => Open::List(Vec::new()),
            Shape::Map => Open::Map(Vec::new()),
            Shape::Variant(name) => Open::Variant(name, Value::Null),
            Shape::Ok => Open::Ok(Value::Null),
            Shape::Err => Open::Err(Value::Null),
            Shape::Status(status) => {
                let message = match status.message.is_empty() {
                    true => Value::Null,
                    false => text_or_hex(status.message.as_bytes()),
                };
                self.put(json!({ "code": status.code.0, "msg": message }));
                return false;
            }
        };
        self.open.push(open);
        true
    }

    fn field(&mut self, name: &'static str) {
        let Some(Open::Table(_, field)) = self.open.last_mut() else {
            panic!("fields are in tables");
        };
        *field = name;
    }

    fn end(&mut self) {
        let value = match self.open.pop().expect("an end follows a begin") {
            Open::Struct(mut tables) if tables.len() == 1 => tables.remove(0),
            Open::Struct(tables) => json!({ "$tables": tables }),
            Open::Table(fields, _) => Value::Object(fields),
            Open::List(list) => Value::Array(list),
            Open::Map(list) => list.chunks(2).map(|pair| json!(pair)).collect(),
            Open::Variant(name, value) => json!({ "type": name, "value": value }),
            Open::Ok(value) => json!({ "ok": value }),
            Open::Err(status) => json!({ "err": status }),
        };
        self.put(value);
    }
}
