//! Encoding and decoding of real messages, ours beside postcard, bincode and prost.

use flyer_bench::mirror::Mirror;
use flyer_bench::peers::{
    BINCODE_FIXED, BINCODE_VARINT, bincode_borrow, bincode_decode, bincode_encode, flyer_decode,
    flyer_encode, postcard_decode, postcard_encode, prost_decode, prost_decode_slice, prost_encode, room,
    room_empty, room_writer,
};
use flyer_bench::{Case, Required, Run, bytes, plain, proto, samples};
use flyer_wire::codec::{Wire, encode_to_vec};
use flyer_wire::msg::meta::attr::StatRsp;
use flyer_wire::msg::mgmtd::routing::RoutingInfo;
use flyer_wire::msg::storage::io::{BatchReadReq, BatchReadRsp};
use prost::bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

fn main() {
    let mut run = Run::from_args();
    let no_slower = Required::RatioMax(1.0);
    message::<StatRsp, plain::StatRsp, proto::StatRsp>(&mut run, "stat_rsp", no_slower, &samples::stat_rsp());
    message::<BatchReadReq, plain::BatchReadReq, proto::BatchReadReq>(
        &mut run,
        "batch_read_req/64",
        no_slower,
        &samples::batch_read_req(0),
    );
    message::<BatchReadReq, plain::BatchReadReq, proto::BatchReadReq>(
        &mut run,
        "batch_read_req/64/2_rkeys",
        Required::Nothing,
        &samples::batch_read_req(2),
    );
    inline_decode(&mut run);
    inline_encode(&mut run);
    message::<RoutingInfo, plain::RoutingInfo, proto::RoutingInfo>(
        &mut run,
        "routing_info/1000/10000",
        Required::Nothing,
        &samples::routing_info(),
    );
    run.finish();
}

/// One message without inline data, both ways.
fn message<T, P, Q>(run: &mut Run, name: &str, required: Required, ours: &T)
where
    T: Wire,
    P: Mirror<T> + Serialize + DeserializeOwned + bincode::Encode + bincode::Decode<()>,
    Q: Mirror<T> + prost::Message + Default,
{
    let (decode, encode) = (format!("{name} decode"), format!("{name} encode"));
    if !run.wants(&decode) && !run.wants(&encode) {
        return;
    }
    let (plain, proto) = (P::of(ours), Q::of(ours));
    let mut rooms = [(); 3].map(|()| room());
    let [by_postcard, by_varint, by_fixed] = &mut rooms;
    let mut by_prost = room_empty();
    let mut w = room_writer();
    let flyer = encode_to_vec(ours);
    let sizes = [
        flyer.len(),
        postcard_encode(&plain, by_postcard),
        bincode_encode(&plain, by_varint, BINCODE_VARINT),
        bincode_encode(&plain, by_fixed, BINCODE_FIXED),
        prost_encode(&proto, &mut by_prost),
    ];
    let prost = Bytes::from(by_prost.clone());
    let (postcard, varint, fixed) = (
        by_postcard[..sizes[1]].to_vec(),
        by_varint[..sizes[2]].to_vec(),
        by_fixed[..sizes[3]].to_vec(),
    );
    run.case(
        Case::new(decode, required)
            .with("flyer", sizes[0], || flyer_decode::<T>(&flyer))
            .with("postcard", sizes[1], || postcard_decode::<P>(&postcard))
            .with("bincode, varint", sizes[2], || {
                bincode_decode::<P>(&varint, BINCODE_VARINT);
            })
            .with("bincode, fixed", sizes[3], || {
                bincode_decode::<P>(&fixed, BINCODE_FIXED);
            })
            .with("prost", sizes[4], || prost_decode::<Q>(&prost)),
    );
    run.case(
        Case::new(encode, required)
            .with("flyer", sizes[0], || flyer_encode(ours, &mut w))
            .with("postcard", sizes[1], || _ = postcard_encode(&plain, by_postcard))
            .with("bincode, varint", sizes[2], || {
                _ = bincode_encode(&plain, by_varint, BINCODE_VARINT);
            })
            .with("bincode, fixed", sizes[3], || {
                _ = bincode_encode(&plain, by_fixed, BINCODE_FIXED);
            })
            .with("prost", sizes[4], || _ = prost_encode(&proto, &mut by_prost)),
    );
}

/// An answer with its data inline. Ours leaves them in place; of the peers, each in each way that it has.
fn inline_decode(run: &mut Run) {
    let name = "batch_read_rsp/1MiB decode";
    if !run.wants(name) {
        return;
    }
    type Owned = plain::BatchReadRsp<bytes::Bytes>;
    type Lent<'a> = plain::BatchReadRsp<bytes::Borrowed<'a>>;
    let ours = samples::batch_read_rsp(samples::INLINE);
    let data = vec![0xa5; samples::INLINE_BYTES as usize];
    let (plain, proto) = (plain_rsp(&ours, &data), proto_rsp(&ours, &data));
    let flyer = samples::gathered(&ours, &data);
    let [mut postcard, mut varint, mut fixed] = [(); 3].map(|()| room());
    let length = postcard_encode(&plain, &mut postcard);
    postcard.truncate(length);
    let length = bincode_encode(&plain, &mut varint, BINCODE_VARINT);
    varint.truncate(length);
    let length = bincode_encode(&plain, &mut fixed, BINCODE_FIXED);
    fixed.truncate(length);
    let prost = Bytes::from(prost::Message::encode_to_vec(&proto));
    run.case(
        Case::new(name, Required::Nothing)
            .with("flyer, in place", flyer.len(), || {
                flyer_decode::<BatchReadRsp>(&flyer);
            })
            .with("postcard, in place", postcard.len(), || {
                postcard_decode::<Lent<'_>>(&postcard);
            })
            .with("postcard, copy", postcard.len(), || {
                postcard_decode::<Owned>(&postcard);
            })
            .with("bincode, varint, in place", varint.len(), || {
                bincode_borrow::<Lent<'_>>(&varint, BINCODE_VARINT);
            })
            .with("bincode, fixed, in place", fixed.len(), || {
                bincode_borrow::<Lent<'_>>(&fixed, BINCODE_FIXED);
            })
            .with("bincode, fixed, copy", fixed.len(), || {
                bincode_decode::<Owned>(&fixed, BINCODE_FIXED);
            })
            .with("prost, in place", prost.len(), || {
                prost_decode::<proto::BatchReadRsp>(&prost);
            })
            .with("prost, copy", prost.len(), || {
                prost_decode_slice::<proto::BatchReadRsp>(&prost);
            }),
    );
}

/// The same answer the other way. Peers have to copy the data.
fn inline_encode(run: &mut Run) {
    let name = "batch_read_rsp/1MiB encode";
    if !run.wants(name) {
        return;
    }
    let ours = samples::batch_read_rsp(samples::INLINE);
    let data = vec![0xa5; samples::INLINE_BYTES as usize];
    let (plain, proto) = (plain_rsp(&ours, &data), proto_rsp(&ours, &data));
    let mut w = room_writer();
    let mut rooms = [(); 3].map(|()| room());
    let [by_postcard, by_varint, by_fixed] = &mut rooms;
    let mut by_prost = room_empty();
    let sizes = [
        samples::gathered(&ours, &data).len(),
        postcard_encode(&plain, by_postcard),
        bincode_encode(&plain, by_varint, BINCODE_VARINT),
        bincode_encode(&plain, by_fixed, BINCODE_FIXED),
        prost_encode(&proto, &mut by_prost),
    ];
    run.case(
        Case::new(name, Required::Nothing)
            .with("flyer, in place", sizes[0], || flyer_encode(&ours, &mut w))
            .with("postcard, copy", sizes[1], || {
                _ = postcard_encode(&plain, by_postcard);
            })
            .with("bincode, varint, copy", sizes[2], || {
                _ = bincode_encode(&plain, by_varint, BINCODE_VARINT);
            })
            .with("bincode, fixed, copy", sizes[3], || {
                _ = bincode_encode(&plain, by_fixed, BINCODE_FIXED);
            })
            .with("prost, copy", sizes[4], || {
                _ = prost_encode(&proto, &mut by_prost);
            }),
    );
}

fn plain_rsp<'a>(ours: &BatchReadRsp, data: &'a [u8]) -> plain::BatchReadRsp<bytes::Borrowed<'a>> {
    plain::BatchReadRsp {
        tag: Mirror::of(&ours.tag),
        results: Mirror::of(&ours.results),
        inlinebuf: bytes::Borrowed(data),
    }
}

fn proto_rsp(ours: &BatchReadRsp, data: &[u8]) -> proto::BatchReadRsp {
    proto::BatchReadRsp {
        tag: Mirror::of(&ours.tag),
        results: Mirror::of(&ours.results),
        inlinebuf: Bytes::copy_from_slice(data),
    }
}
