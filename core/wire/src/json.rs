//! The readable JSON form of messages, as upstream prints it (`src/common/serde/Serde.cc` upstream).
//!
//! All tables of a message make one flat object. Members come in wire order; where a class has a field of the name of
//! a base class's field, the class's own wins. Differences to upstream: times are UTC and not local, inline data show
//! as their length, a number without a name shows as the number, and bytes that are not UTF-8 show with replacement
//! characters.

use crate::reflect::{Leaf, Reflect, Shape, Visitor};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write;
use flyer_types::WallTime;

/// The readable JSON form of a value.
#[must_use]
pub fn to_json(value: &dyn Reflect) -> String {
    let mut visitor = Json {
        open: Vec::new(),
        done: String::new(),
    };
    value.reflect(&mut visitor);
    debug_assert!(visitor.open.is_empty(), "every begin has an end");
    visitor.done
}

/// Builds the text from the inside out: a part is text when its end is reached.
struct Json {
    open: Vec<Open>,
    /// The value, once complete.
    done: String,
}

/// A value with parts that has begun.
enum Open {
    Object {
        members: Vec<(String, String)>,
        field: &'static str,
    },
    /// A class of the object around it.
    Table,
    List(Vec<String>),
    Map {
        members: Vec<(String, String)>,
        key: Option<String>,
    },
    Variant(&'static str, String),
    Ok(String),
    Err(String),
}

impl Visitor for Json {
    fn leaf(&mut self, leaf: Leaf<'_>) {
        let text = leaf_text(leaf);
        self.put(text);
    }

    fn begin(&mut self, shape: Shape<'_>) -> bool {
        let open = match shape {
            Shape::Struct(Some(summary)) => {
                self.put(quoted(&summary.to_string()));
                return false;
            }
            Shape::Status(status) => {
                let message = quoted(&status.message.to_str_lossy());
                self.put(format!(r#"{{"code":{},"msg":{message}}}"#, status.code.0));
                return false;
            }
            Shape::Struct(None) => Open::Object {
                members: Vec::new(),
                field: "",
            },
            Shape::Table(_) => Open::Table,
            Shape::List => Open::List(Vec::new()),
            Shape::Map => Open::Map {
                members: Vec::new(),
                key: None,
            },
            Shape::Variant(name) => Open::Variant(name, String::new()),
            Shape::Ok => Open::Ok(String::new()),
            Shape::Err => Open::Err(String::new()),
        };
        self.open.push(open);
        true
    }

    fn field(&mut self, name: &'static str) {
        if let Some(Open::Object { field, .. }) = self.open.iter_mut().rfind(|o| !matches!(o, Open::Table)) {
            *field = name;
        }
    }

    fn end(&mut self) {
        let text = match self.open.pop().expect("an end follows a begin") {
            Open::Table => return,
            Open::Object { members, .. } | Open::Map { members, key: None } => object(&members),
            Open::Map { key: Some(_), .. } => unreachable!("a key is followed by its value"),
            Open::List(elements) => format!("[{}]", elements.join(",")),
            Open::Variant(name, value) => format!(r#"{{"type":{},"value":{value}}}"#, quoted(name)),
            Open::Ok(value) => format!(r#"{{"value":{value}}}"#),
            Open::Err(status) => format!(r#"{{"error":{status}}}"#),
        };
        self.put(text);
    }
}

impl Json {
    /// Hands a finished part to what it is a part of.
    fn put(&mut self, text: String) {
        match self.open.iter_mut().rfind(|o| !matches!(o, Open::Table)) {
            None => self.done = text,
            Some(Open::Object { members, field }) => {
                members.retain(|(name, _)| name != field);
                members.push(((*field).to_string(), text));
            }
            Some(Open::Map { members, key }) => match key.take() {
                None => *key = Some(text.trim_matches('"').to_string()),
                Some(key) => members.push((key, text)),
            },
            Some(Open::List(elements)) => elements.push(text),
            Some(Open::Variant(_, value) | Open::Ok(value) | Open::Err(value)) => *value = text,
            Some(Open::Table) => unreachable!("tables are passed over"),
        }
    }
}

fn object(members: &[(String, String)]) -> String {
    let members: Vec<_> = members
        .iter()
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    format!("{{{}}}", members.join(","))
}

fn leaf_text(leaf: Leaf<'_>) -> String {
    match leaf {
        Leaf::Void => quoted("Void"),
        Leaf::Absent => "null".to_string(),
        Leaf::Bool(value) => value.to_string(),
        Leaf::Unsigned(number) => number.to_string(),
        Leaf::Signed(number) => number.to_string(),
        Leaf::Float(number) if number.is_finite() => number.to_string(),
        Leaf::Float(number) => quoted(&number.to_string()),
        Leaf::Enum(_, Some(name)) => quoted(name),
        Leaf::Enum(number, None) => number.to_string(),
        Leaf::Flags(bits) if bits < 0 => quoted(&format!("-{:x}", bits.unsigned_abs())),
        Leaf::Flags(bits) => quoted(&format!("{bits:x}")),
        Leaf::Text(bytes) => quoted(&String::from_utf8_lossy(bytes)),
        Leaf::ChunkId(bytes) => quoted(&crate::msg::storage::chunk_id::ChunkId::new(bytes).to_string()),
        Leaf::Secret(token) => quoted(&token.to_string()),
        Leaf::Inode(id) => quoted(&id.to_string()),
        Leaf::Uuid(uuid) => quoted(&uuid.to_string()),
        Leaf::WallTime(time) => quoted(&utc(time)),
        Leaf::Duration(ns) => quoted(&duration(ns.cast_unsigned())),
        Leaf::Size(bytes) => quoted(&size(bytes)),
        Leaf::Address(address) => quoted(&address.to_string()),
        Leaf::EmptyChains => quoted("empty"),
        Leaf::Gid(bytes) => quoted(
            &bytes
                .iter()
                .fold(String::new(), |text, byte| text + &format!("{byte:02x}")),
        ),
        Leaf::Lease(lease) => quoted(&format!("{} bytes", lease.len)),
    }
}

/// A JSON string.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..' ' => write!(out, "\\u{:04x}", u32::from(c)).expect("writing to a String succeeds"),
            _ => out.push(c),
        }
    }
    out.push('"');
    out
}

/// `YYYY-MM-DD HH:MM:SS`, UTC; fractions of a second are cut.
fn utc(time: WallTime) -> String {
    let seconds = time.us / 1_000_000;
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

/// The proleptic Gregorian date of a day counted from 1970-01-01. The year is taken to begin in March, so that the
/// leap day is its last (Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// `1h 2min` and so on; parts that are zero are left out.
fn duration(ns: u64) -> String {
    const UNITS: [(u64, &str); 7] = [
        (86_400_000_000_000, "day"),
        (3_600_000_000_000, "h"),
        (60_000_000_000, "min"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
        (1_000, "us"),
        (1, "ns"),
    ];
    let mut parts = Vec::new();
    let mut rest = ns;
    for (unit, name) in UNITS {
        if rest / unit > 0 {
            parts.push(format!("{}{name}", rest / unit));
            rest %= unit;
        }
    }
    if parts.is_empty() {
        "0ns".to_string()
    } else {
        parts.join(" ")
    }
}

/// The largest unit that divides the number, as upstream's configuration writes sizes.
fn size(bytes: u64) -> String {
    const UNITS: [(u32, &str); 4] = [(40, "TB"), (30, "GB"), (20, "MB"), (10, "KB")];
    if bytes == u64::MAX {
        return "infinity".to_string();
    }
    for (shift, name) in UNITS {
        if bytes > 0 && bytes.trailing_zeros() >= shift {
            return format!("{}{name}", bytes >> shift);
        }
    }
    bytes.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let shown = |seconds| utc(WallTime::from_secs(seconds));
        assert_eq!(shown(951_782_399), "2000-02-28 23:59:59");
        assert_eq!(shown(951_782_400), "2000-02-29 00:00:00");
        assert_eq!(shown(1_709_164_800), "2024-02-29 00:00:00");
        assert_eq!(shown(4_107_542_400), "2100-03-01 00:00:00");
        assert_eq!(shown(-86_400), "1969-12-31 00:00:00");
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(quoted("a\"\\\n\u{1}é"), "\"a\\\"\\\\\\n\\u0001é\"");
    }
}
