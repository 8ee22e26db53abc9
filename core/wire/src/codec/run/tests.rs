//! Tables that end anywhere: reading by runs must not differ from reading field by field.

use super::{bytes, covers, place, sum, table};
use crate::codec::{DecodeErrorKind, Segment, Wire, Writer, decode, encode_to_vec};
use crate::msg::meta::inode::{Acl, InodeData};
use crate::msg::storage::io::{MessageTag, UpdateChannel};
use crate::reflect::{Leaf, Reflect, Shape, Visitor};
use alloc::vec;
use alloc::vec::Vec;
use arbitrary::{Arbitrary, Unstructured};
use flyer_types::ids::{ChannelId, ChannelSeq, Gid, Permission, RequestId, Uid};
use flyer_types::{Rng, Text};

#[test]
fn runs_are_found() {
    let sizes = [Some(4), Some(4), None, Some(8), None, Some(1), Some(0), Some(2)];
    let all = [0, 1, 2, 3, 4, 5, 6, 7];
    assert_eq!(all.map(|at| bytes(&sizes, at)), [8, 0, 0, 0, 0, 3, 0, 0]);
    assert_eq!(
        all.map(|at| covers(&sizes, at)),
        [true, true, false, false, false, true, true, true]
    );
    assert_eq!(place(&sizes, 0, 1), Some((4, 8)));
    assert_eq!(place(&sizes, 0, 2), None);
    assert_eq!(place(&sizes, 5, 7), Some((1, 3)));
    assert_eq!(place(&sizes, 5, 1), None);
}

#[test]
fn fixed_tables_have_short_lengths() {
    assert_eq!(table(&[]), Some(1));
    assert_eq!(table(&[Some(8), None]), None);
    assert_eq!(table(&[Some(100), Some(27)]), Some(128));
    assert_eq!(table(&[Some(100), Some(28)]), None);
    assert_eq!(sum(Some(1), Some(2)), Some(3));
    assert_eq!(sum(None, Some(2)), None);
}

/// The encoding, with zeros where inline data go.
fn encode(value: &impl Wire) -> Vec<u8> {
    let mut w = Writer::new();
    value.encode(&mut w);
    let segments = w.segments().flat_map(|segment| match segment {
        Segment::Bytes(made) => made.to_vec(),
        Segment::Lease(lease) => vec![0; lease.len as usize],
    });
    segments.collect()
}

/// Number of fields of the last table of a message that take bytes.
#[derive(Default)]
struct OwnFields {
    depth: usize,
    count: usize,
}

impl Visitor for OwnFields {
    fn leaf(&mut self, leaf: Leaf<'_>) {
        // Depth 1 is the message, depth 2 one of its tables.
        if self.depth == 2 && matches!(leaf, Leaf::Void) {
            self.count -= 1;
        }
    }

    fn begin(&mut self, shape: Shape<'_>) -> bool {
        self.depth += 1;
        if self.depth == 2 && matches!(shape, Shape::Table(_)) {
            self.count = 0;
        }
        true
    }

    fn field(&mut self, _name: &'static str) {
        if self.depth == 2 {
            self.count += 1;
        }
    }

    fn end(&mut self) {
        self.depth -= 1;
    }
}

/// The tables of an encoding: their contents.
fn tables(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let mut length = 0;
        let mut shift = 0;
        loop {
            let byte = bytes[0];
            bytes = &bytes[1..];
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                break;
            }
        }
        let (content, rest) = bytes.split_at(length);
        found.push(content);
        bytes = rest;
    }
    found
}

/// Tables with these contents.
fn joined(contents: &[&[u8]]) -> Vec<u8> {
    let parts = contents
        .iter()
        .map(|content| encode_to_vec(&Text::from(*content)));
    parts.flatten().collect()
}

/// Cuts the last table of a message after every byte of its content. Between two fields that must give the fields
/// before the cut and initial values behind it, inside a field it must be an error.
fn cut_everywhere<T: Wire + Reflect>(class: &str, value: &T) {
    let mut fields = OwnFields::default();
    value.reflect(&mut fields);
    let (whole, initial) = (encode(value), encode(&T::initial()));
    let (mut whole, initial) = (tables(&whole), tables(&initial));
    let Some(content) = whole.pop() else {
        return;
    };
    let initial = initial.last().expect("the same tables");
    let mut boundaries = 0;
    for cut in 0..=content.len() {
        whole.push(&content[..cut]);
        let result = decode::<T>(&joined(&whole));
        whole.pop();
        match result {
            Ok(value) => {
                boundaries += 1;
                let again = encode(&value);
                let again = tables(&again).pop().expect("the same tables");
                let (before, behind) = again.split_at(cut);
                assert_eq!(before, &content[..cut], "{class} cut at {cut}");
                assert!(initial.ends_with(behind), "{class} cut at {cut}: {behind:02x?}");
            }
            Err(error) => assert_eq!(error.kind, DecodeErrorKind::Short, "{class} cut at {cut}"),
        }
    }
    assert_eq!(
        boundaries,
        fields.count + 1,
        "{class}: a table may end before, between and behind its fields"
    );
    // A newer peer's fields are skipped.
    let longer = [content, &[0xee; 3]].concat();
    whole.push(&longer);
    let value: T = decode(&joined(&whole)).expect("longer than known");
    assert_eq!(tables(&encode(&value)).last(), Some(&content), "{class}");
}

macro_rules! cut {
    ($($message:ty,)*) => {
        fn cut_all(random: &[u8]) {
            $({
                let mut source = Unstructured::new(random);
                let value = <$message>::arbitrary(&mut source).expect("these types can be made of any bytes");
                cut_everywhere(<$message as crate::codec::Message>::CLASS, &value);
                cut_everywhere(<$message as crate::codec::Message>::CLASS, &<$message>::default());
            })*
        }
    };
}
crate::for_each_message!(cut);

#[test]
fn tables_of_every_message_may_end_between_fields() {
    let mut rng = Rng::from_seed(8).split("cuts");
    for _ in 0..3 {
        let mut random = vec![0; 300];
        rng.fill_bytes(&mut random);
        cut_all(&random);
    }
}

/// Replaces `inner`, a table inside the last table of `outer`, by one with another content.
fn with_inner(outer: &[u8], inner: &[u8], content: &[u8]) -> Vec<u8> {
    with_part(outer, inner, &joined(&[content]))
}

/// Replaces a part of the only table of `outer`.
fn with_part(outer: &[u8], part: &[u8], by: &[u8]) -> Vec<u8> {
    let outer = tables(outer)[0];
    let at = outer.windows(part.len()).position(|bytes| bytes == part);
    let at = at.expect("it is in there");
    joined(&[&[&outer[..at], by, &outer[at + part.len()..]].concat()])
}

/// In a run, a nested table of another length than usual must not shift or hide what follows it.
#[test]
fn nested_tables_in_runs_may_have_any_length() {
    let channel = UpdateChannel {
        id: ChannelId(0x1122),
        seqnum: ChannelSeq(0x3344_5566_7788_99aa),
    };
    let tag = MessageTag {
        request_id: RequestId(77),
        channel,
        ..MessageTag::default()
    };
    let acl = Acl {
        uid: Uid(0x0101_0101),
        gid: Gid(0x0202_0202),
        perm: Permission(0x0303_0303),
        ..Acl::default()
    };
    let data = InodeData {
        acl,
        nlink: 0x7777,
        ..InodeData::default()
    };
    let (tag_bytes, data_bytes) = (encode(&tag), encode(&data));
    let (channel_bytes, acl_bytes) = (encode(&channel), encode(&acl));
    for length in 0..channel_bytes.len() + 5 {
        let mut content = channel_bytes[1..].to_vec();
        content.resize(length, 0xee);
        let read = decode::<MessageTag>(&with_inner(&tag_bytes, &channel_bytes, &content)).ok();
        let expected = decode::<UpdateChannel>(&joined(&[&content])).ok();
        assert_eq!(
            expected.is_some(),
            [0, 2].contains(&length) || length >= 10,
            "{length}"
        );
        let expected = expected.map(|channel| MessageTag {
            channel,
            ..tag.clone()
        });
        assert_eq!(read, expected, "{length}");
    }
    for length in 0..acl_bytes.len() + 5 {
        let mut content = acl_bytes[1..].to_vec();
        content.resize(length, 0xee);
        let read = decode::<InodeData>(&with_inner(&data_bytes, &acl_bytes, &content)).ok();
        let expected = decode::<Acl>(&joined(&[&content])).ok();
        assert_eq!(
            expected.is_some(),
            [0, 4, 8, 12].contains(&length) || length >= 16,
            "{length}"
        );
        let expected = expected.map(|acl| InodeData { acl, ..data.clone() });
        assert_eq!(read, expected, "{length}");
    }
}

/// A length may take more bytes than it needs; that is another size than the usual one.
#[test]
fn lengths_need_not_be_short() {
    let acl = Acl {
        uid: Uid(5),
        gid: Gid(6),
        ..Acl::default()
    };
    let usual = encode(&acl);
    let long = [&[0x80 | 16, 0][..], &usual[1..]].concat();
    assert_eq!(decode::<Acl>(&long), Ok(acl));
    let data = InodeData {
        acl,
        ..InodeData::default()
    };
    let outer = encode(&data);
    assert_eq!(
        decode::<InodeData>(&with_part(&outer, &usual, &long)).as_ref(),
        Ok(&data)
    );
    assert_eq!(
        decode::<InodeData>(&with_part(&outer, b"\x04File", b"\x84\x00File")),
        Ok(data)
    );
}
