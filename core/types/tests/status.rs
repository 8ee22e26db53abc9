//! The status table against the vectors, and the retry classes of every code against the specification.
//!
//! Vectors: `tests/vectors/status.json`, or the folder named by `FLYER_WIRE_VECTORS`.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot read its vectors has to stop"
)]

extern crate alloc;

use alloc::collections::BTreeSet;
use flyer_types::status::{Group, ManagerRetry, MetaRetry, StorageCall, StorageRetry};
use flyer_types::{Errno, Status, StatusCode};
use serde_json::Value;
use std::path::PathBuf;

fn vectors() -> Value {
    let folder = std::env::var_os("FLYER_WIRE_VECTORS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors")),
        PathBuf::from,
    );
    let path = folder.join("status.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap()
}

fn number<T: TryFrom<u64>>(row: &Value, column: &str) -> T {
    let value = row[column]
        .as_u64()
        .unwrap_or_else(|| panic!("no {column}: {row}"));
    T::try_from(value).unwrap_or_else(|_| panic!("{column} too large: {row}"))
}

/// Numbers that no group of the table claims, and gaps inside groups.
const UNKNOWN: [u16; 9] = [9, 997, 3002, 4083, 5019, 8005, 9000, 12_000, u16::MAX];

#[test]
fn every_row_of_the_vectors_is_reproduced() {
    let vectors = vectors();
    let rows = vectors["codes"].as_array().unwrap();
    assert!(rows.len() >= 236, "vectors shrank to {}", rows.len());
    for row in rows {
        let code = StatusCode(number(row, "code"));
        assert!(code.is_known(), "{row}");
        assert_eq!(code.name(), row["name"].as_str().unwrap(), "{row}");
        assert_eq!(code.group().name(), row["group"].as_str().unwrap(), "{row}");
        assert_eq!(code.errno(), Errno(number(row, "errno")), "{row}");
        assert_eq!(
            code.errno().to_string(),
            row["errno_name"].as_str().unwrap(),
            "{row}"
        );
        assert_eq!(
            code.to_storage_client(),
            StatusCode(number(row, "storage_client_code")),
            "{row}"
        );
        assert_eq!(code.to_string(), format!("{}({})", code.name(), code.0));
    }
}

#[test]
fn every_constant_is_in_the_vectors() {
    let vectors = vectors();
    let theirs: BTreeSet<u16> = vectors["codes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| number(row, "code"))
        .collect();
    let ours: BTreeSet<u16> = StatusCode::all().map(|code| code.0).collect();
    assert_eq!(ours, theirs);
}

#[test]
fn text_is_that_of_the_vectors() {
    let vectors = vectors();
    let describe: Vec<&str> = vectors["describe"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_str().unwrap())
        .collect();
    let shown = [
        Status::new(StatusCode::META_NOT_FOUND).to_string(),
        Status::with_message(StatusCode::META_NOT_FOUND, "x").to_string(),
    ];
    assert_eq!(describe, shown);
    assert_eq!(
        Status::with_message(StatusCode::OK, "").to_string(),
        "OK(0)",
        "an empty message is none"
    );
    assert_eq!(format!("{:?}", StatusCode::INVALID_ARG), "InvalidArg(3)");
}

#[test]
fn unknown_codes_are_kept_and_named() {
    let vectors = vectors();
    let errno = Errno(number(&vectors, "unknown_code_errno"));
    for raw in UNKNOWN {
        let code = StatusCode(raw);
        assert!(!code.is_known(), "{raw}");
        assert_eq!(code.to_string(), format!("UnknownStatusCode({raw})"));
        assert_eq!(code.errno(), errno, "{raw}");
        assert_eq!(
            Status::with_message(code, "why").to_string(),
            format!("UnknownStatusCode({raw}) why")
        );
    }
    assert_eq!(
        StatusCode(2004).errno(),
        Errno::EREMOTEIO,
        "RPC codes share one errno"
    );
    assert_eq!(Group::of(9000), Group::Unknown);
}

#[test]
fn conversion_keeps_the_message() {
    let status = Status::with_message(StatusCode::RPC_TIMEOUT, "10.0.0.1:8000").to_storage_client();
    assert_eq!(status.to_string(), "StorageClient::Timeout(7008) 10.0.0.1:8000");
    assert_eq!(StatusCode(7998).to_storage_client(), StatusCode(7998));
}

#[test]
fn errnos_print_their_symbol_or_their_number() {
    assert_eq!(Errno::EIO.to_string(), "EIO");
    assert_eq!(Errno(0).to_string(), "0");
    assert_eq!(Errno(9999).name(), None);
}

/// Every number that is known, and some that are not.
fn all_codes() -> impl Iterator<Item = StatusCode> {
    StatusCode::all().chain(UNKNOWN.map(StatusCode))
}

#[test]
fn meta_classes_follow_the_specification() {
    // Upstream's rule for metadata calls, written down a second time as ranges of numbers.
    let finals = |code: u16| {
        matches!(
            code,
            0 | 3 | 25 | 3000 | 3001 | 3003 | 3005..=3008 | 3010 | 3013 | 3016 | 3017 | 3100..=3199
        )
    };
    let permanent = |code: u16| matches!(code, 0..=999 | 3009 | 3011 | 3014 | 3018 | 3300..=3999 | 7007 | 7015 | 7019 | 7021 | 7999 | 2009);
    for code in all_codes().chain([StatusCode(3150), StatusCode(3250), StatusCode(7998)]) {
        let expected = if finals(code.0) {
            MetaRetry::Final
        } else if permanent(code.0) {
            MetaRetry::Permanent
        } else {
            MetaRetry::Retryable
        };
        assert_eq!(code.meta_retry(), expected, "{code}");
        let rpc = (2000..3000).contains(&code.0);
        assert_eq!(code.is_server_error(), rpc || code.0 == 1004, "{code}");
        let leak = matches!(code.0, 1006 | 3015) || rpc && !matches!(code.0, 2007 | 2014 | 2015 | 2009);
        assert_eq!(code.may_leak_session(), leak, "{code}");
        let brief = matches!(code.0, 2012 | 2007 | 3019);
        assert_eq!(code.meta_waits_briefly(), brief, "{code}");
        assert!(
            !brief || expected == MetaRetry::Retryable,
            "{code} is waited for but not retried"
        );
    }
}

#[test]
fn storage_classes_differ_from_upstream_exactly_where_documented() {
    // Upstream's rule for storage calls on the converted code.
    let upstream = |code: StatusCode| match code.to_storage_client().0 {
        _ if code.is_ok() => StorageRetry::Success,
        7001 | 7002 | 7007 | 7009 | 7015 | 7017 | 7018 | 7019 | 7021 | 7999 => StorageRetry::Permanent,
        7006 | 7008 | 7010 => StorageRetry::Unavailable,
        7014 | 7020 => StorageRetry::Fast,
        _ => StorageRetry::Retry,
    };
    for call in [StorageCall::Read, StorageCall::Update] {
        for code in all_codes().chain([StatusCode(4084)]) {
            let expected = match (code.0, call) {
                (7013 | 4015 | 4024 | 4083 | 4084, _) => StorageRetry::Permanent,
                (7015 | 4080, StorageCall::Read) => StorageRetry::Unavailable,
                (2010 | 2013 | 2014 | 2018, _) => StorageRetry::Unavailable,
                _ => upstream(code),
            };
            assert_eq!(code.storage_retry(call), expected, "{code} {call:?}");
        }
    }
    let differs = |code: &StatusCode| upstream(*code) != code.storage_retry(StorageCall::Read);
    let deviations: Vec<u16> = all_codes().filter(differs).map(|code| code.0).collect();
    assert_eq!(
        deviations,
        [2010, 2013, 2014, 2018, 4015, 4024, 4080, 7013, 7015, 4083]
    );
}

#[test]
fn storage_hints_name_the_codes_they_are_for() {
    let lost: Vec<u16> = all_codes()
        .filter(|code| code.is_outcome_lost())
        .map(|c| c.0)
        .collect();
    assert_eq!(lost, [7013]);
    let stale: Vec<u16> = all_codes()
        .filter(|code| code.suggests_stale_routing())
        .map(|c| c.0)
        .collect();
    assert_eq!(
        stale,
        [
            2005, 2007, 2010, 2012, 2013, 2014, 2018, 4030, 4031, 4032, 4081, 7004, 7005, 7006, 7008, 7014
        ]
    );
    assert!(
        stale
            .iter()
            .all(|&code| StatusCode(code).storage_retry(StorageCall::Update) != StorageRetry::Permanent),
        "a refresh helps only a call that is tried again"
    );
}

#[test]
fn manager_classes_follow_the_specification() {
    for code in all_codes() {
        let expected = match code.0 {
            2000..=2999 => ManagerRetry::OtherAddress,
            5000 => ManagerRetry::OtherManager,
            _ => ManagerRetry::Final,
        };
        assert_eq!(code.manager_retry(), expected, "{code}");
    }
}

#[test]
fn a_status_stays_small() {
    assert!(size_of::<Status>() <= 24);
    assert!(size_of::<Result<(), Status>>() <= 24);
}

#[cfg(feature = "arbitrary")]
#[test]
fn arbitrary_statuses_have_known_and_unknown_codes_and_messages() {
    use arbitrary::{Arbitrary, Unstructured};

    let mut rng = flyer_types::Rng::from_seed(1);
    let (mut known, mut unknown, mut messages) = (0, 0, 0);
    for _ in 0..2_000 {
        let mut bytes = [0; 16];
        rng.fill_bytes(&mut bytes);
        let status = Status::arbitrary(&mut Unstructured::new(&bytes)).unwrap();
        *(if status.code.is_known() {
            &mut known
        } else {
            &mut unknown
        }) += 1;
        messages += usize::from(!status.message.is_empty());
    }
    assert!(
        known > 0 && unknown > 0 && messages > 0,
        "{known} {unknown} {messages}"
    );
}
