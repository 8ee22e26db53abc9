//! What the peers encode holds the same facts as what ours encodes, and survives their encoding.

use flyer_bench::mirror::Mirror;
use flyer_bench::peers::{BINCODE_FIXED, BINCODE_VARINT, room};
use flyer_bench::{bytes, plain, proto, samples};
use flyer_wire::codec::{Message, decode, encode_to_vec};
use flyer_wire::msg::meta::attr::StatRsp;
use flyer_wire::msg::meta::inode::{ChainList, Directory, InodeKind, Layout, LayoutChains, Symlink};
use flyer_wire::msg::storage::io::BatchReadReq;
use prost::bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

/// Through ours and through every peer and back.
fn same_facts<T, P, Q>(ours: &T)
where
    T: Message + PartialEq + core::fmt::Debug,
    P: Mirror<T> + Serialize + DeserializeOwned + bincode::Encode + bincode::Decode<()>,
    Q: Mirror<T> + prost::Message + Default,
{
    assert_eq!(&decode::<T>(&encode_to_vec(ours)).expect("own bytes"), ours);
    let plain = P::of(ours);
    let mut memory = room();

    let made = postcard::to_slice(&plain, &mut memory).expect("room for it");
    let back: P = postcard::from_bytes(made).expect("own bytes");
    assert_eq!(&back.back(), ours, "postcard");

    let length = bincode::encode_into_slice(&plain, &mut memory, BINCODE_VARINT).expect("room for it");
    let (back, _): (P, _) = bincode::decode_from_slice(&memory[..length], BINCODE_VARINT).expect("own bytes");
    assert_eq!(&back.back(), ours, "bincode, varint");

    let length = bincode::encode_into_slice(&plain, &mut memory, BINCODE_FIXED).expect("room for it");
    let (back, _): (P, _) = bincode::decode_from_slice(&memory[..length], BINCODE_FIXED).expect("own bytes");
    assert_eq!(&back.back(), ours, "bincode, fixed");

    let made = Q::of(ours).encode_to_vec();
    let back = Q::decode(Bytes::from(made)).expect("own bytes");
    assert_eq!(&back.back(), ours, "prost");
}

#[test]
fn peers_hold_the_same_facts() {
    let mut stat = samples::stat_rsp();
    same_facts::<StatRsp, plain::StatRsp, proto::StatRsp>(&stat);
    let chains = LayoutChains::ChainList(ChainList {
        chain_indexes: vec![1, 2, 3],
    });
    stat.stat.base.kind = InodeKind::Directory(Directory {
        layout: Layout {
            chains,
            ..Layout::default()
        },
        ..Directory::default()
    });
    same_facts::<StatRsp, plain::StatRsp, proto::StatRsp>(&stat);
    stat.stat.base.kind = InodeKind::Symlink(Symlink {
        target: "there".into(),
    });
    same_facts::<StatRsp, plain::StatRsp, proto::StatRsp>(&stat);
    for keys in [0, 2, 4] {
        let request = samples::batch_read_req(keys);
        same_facts::<BatchReadReq, plain::BatchReadReq, proto::BatchReadReq>(&request);
    }
    same_facts::<_, plain::RoutingInfo, proto::RoutingInfo>(&samples::routing_info());
}

/// The data of an answer are a lease in ours and bytes in the peers.
#[test]
fn peers_hold_the_same_answer() {
    let ours = samples::batch_read_rsp(samples::INLINE);
    let data = vec![0xa5; samples::INLINE_BYTES as usize];
    let lent = plain::BatchReadRsp {
        tag: Mirror::of(&ours.tag),
        results: Mirror::of(&ours.results),
        inlinebuf: bytes::Borrowed(&data),
    };
    let mut memory = room();
    let made = postcard::to_slice(&lent, &mut memory).expect("room for it");
    let back: plain::BatchReadRsp<bytes::Borrowed<'_>> = postcard::from_bytes(made).expect("own bytes");
    assert_eq!(back, lent);
    let back: plain::BatchReadRsp<bytes::Bytes> = postcard::from_bytes(made).expect("own bytes");
    assert_eq!(&*back.inlinebuf.0, &data[..]);

    let length = bincode::encode_into_slice(&lent, &mut memory, BINCODE_FIXED).expect("room for it");
    let (back, _) = bincode::borrow_decode_from_slice(&memory[..length], BINCODE_FIXED).expect("own bytes");
    assert_eq!(lent, back);
    assert_eq!(
        (ours.tag.clone(), ours.results.clone()),
        (back.tag.back(), back.results.back())
    );

    let proto = proto::BatchReadRsp {
        tag: Mirror::of(&ours.tag),
        results: Mirror::of(&ours.results),
        inlinebuf: Bytes::from(data),
    };
    let made = Bytes::from(prost::Message::encode_to_vec(&proto));
    let back: proto::BatchReadRsp = prost::Message::decode(made.clone()).expect("own bytes");
    assert_eq!(back, proto);
    assert!(
        made.as_ptr_range().contains(&back.inlinebuf.as_ptr()),
        "prost leaves data in place"
    );
    assert_eq!((ours.tag, ours.results), (back.tag.back(), back.results.back()));
}
