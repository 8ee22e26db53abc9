//! The random streams are pinned: a seed in a bug report has to mean the same for ever.
//!
//! The numbers come from a second implementation, written from the definitions of SplitMix64, xoshiro256++ and
//! Lemire's method. If one of these tests fails, the code is wrong, not the number.

use flyer_types::Rng;
use flyer_types::ids::Uuid;

/// The first numbers of a stream.
fn first(mut rng: Rng) -> [u64; 4] {
    core::array::from_fn(|_| rng.next_u64())
}

#[test]
fn root_streams_are_pinned() {
    assert_eq!(
        first(Rng::from_seed(0)),
        [
            0x5317_5d61_490b_23df,
            0x61da_6f3d_c380_d507,
            0x5c0f_df91_ec9a_7bfc,
            0x02ee_bf8c_3bbe_5e1a
        ]
    );
    assert_eq!(
        first(Rng::from_seed(42)),
        [
            0xd076_4d4f_4476_689f,
            0x519e_4174_576f_3791,
            0xfbe0_7cfb_0c24_ed8c,
            0xb37d_9f60_0cd8_35b8
        ]
    );
}

#[test]
fn split_streams_are_pinned() {
    let root = Rng::from_seed(42);
    assert_eq!(
        first(root.split("net")),
        [
            0xd429_600a_fe94_4f69,
            0x7f93_8087_a8e7_1847,
            0xf956_fb86_8eb2_6be3,
            0x5ddd_ed58_7311_7d4e
        ]
    );
    assert_eq!(
        first(root.split("storage.write")),
        [
            0x2961_2728_5956_39e2,
            0x4584_0b8d_564f_6c47,
            0x3bec_a40c_0b28_5e43,
            0x10d0_fd45_26a7_f2ad
        ],
        "a label longer than a word"
    );
    assert_eq!(
        first(root.split_index("link", 3)),
        [
            0x3cc1_f535_8c9c_51c2,
            0xdaae_01aa_ccbe_a1a9,
            0xd24e_dfc8_8920_716f,
            0x4a3b_093a_4f21_4c70
        ]
    );
    assert_eq!(
        first(root.split("a").split("b")),
        [
            0x8cf9_b853_2003_d80b,
            0x50fb_e78b_b079_3b7f,
            0xce9b_ec86_7b58_b497,
            0x5a7d_f281_20bf_2401
        ]
    );
}

#[test]
fn draws_are_pinned() {
    let mut rng = Rng::from_seed(7);
    let small: [u64; 12] = core::array::from_fn(|_| rng.below(10));
    assert_eq!(small, [0, 1, 7, 4, 9, 4, 7, 3, 9, 0, 1, 1]);
    // Half of all raw numbers are refused here.
    let mut rng = Rng::from_seed(7);
    let large: [u64; 4] = core::array::from_fn(|_| rng.below((1 << 63) + 1));
    assert_eq!(
        large,
        [
            0x0716_0d00_1557_489e,
            0x5bd9_88d9_d86a_2c39,
            0x7b59_31f9_7abc_81bb,
            0x3b9c_2db1_3e11_6244
        ]
    );
    let mut rng = Rng::from_seed(7);
    let ranged: [u64; 8] = core::array::from_fn(|_| rng.range(5..=10));
    assert_eq!(ranged, [5, 6, 9, 7, 10, 7, 9, 6]);
    let mut rng = Rng::from_seed(7);
    let odds: [bool; 8] = core::array::from_fn(|_| rng.chance(1, 3));
    assert_eq!(odds, [true, true, false, false, false, false, false, true]);
    let mut items = [0, 1, 2, 3, 4, 5, 6, 7];
    Rng::from_seed(7).shuffle(&mut items);
    assert_eq!(items, [7, 5, 6, 3, 2, 4, 1, 0]);
    assert_eq!(
        Some(Rng::from_seed(7).uuid()),
        Uuid::parse("3d91ae2a-001a-2c0e-149e-4efaddc80f2c")
    );
    let mut bytes = [0; 11];
    Rng::from_seed(7).fill_bytes(&mut bytes);
    assert_eq!(
        bytes,
        [0x3d, 0x91, 0xae, 0x2a, 0x00, 0x1a, 0x2c, 0x0e, 0x14, 0x9e, 0x4e]
    );
}

#[test]
fn streams_do_not_depend_on_what_was_drawn() {
    let fresh = Rng::from_seed(9);
    let mut used = fresh.clone();
    for _ in 0..1000 {
        used.next_u64();
    }
    assert_eq!(first(used.split("x")), first(fresh.split("x")));
    assert_eq!(first(used.split_index("x", 5)), first(fresh.split_index("x", 5)));
    let mut child = fresh.split("x");
    child.next_u64();
    assert_eq!(first(child.split("y")), first(fresh.split("x").split("y")));
    assert_ne!(first(used), first(fresh), "but the stream itself goes on");
}

#[test]
fn different_names_are_different_streams() {
    let root = Rng::from_seed(1);
    let streams = [
        root.clone(),
        Rng::from_seed(2),
        root.split(""),
        root.split("\0"),
        root.split("a"),
        root.split("ab"),
        root.split("b"),
        root.split("a").split("b"),
        root.split("b").split("a"),
        root.split("abcdefgh"),
        root.split("abcdefgh\0"),
        root.split_index("a", 0),
        root.split_index("a", 1),
        root.split_index("b", 1),
        root.split_index("a", u64::MAX),
    ];
    for (at, one) in streams.iter().enumerate() {
        for (other_at, other) in streams.iter().enumerate() {
            assert_eq!(
                at == other_at,
                first(one.clone()) == first(other.clone()),
                "{at} {other_at}"
            );
        }
    }
}

#[test]
fn every_value_of_a_range_is_about_as_frequent_as_the_others() {
    let mut rng = Rng::from_seed(3);
    let mut counts = [0u32; 7];
    for _ in 0..70_000 {
        counts[rng.index(7)] += 1;
    }
    assert!(counts.iter().all(|n| (9_500..10_500).contains(n)), "{counts:?}");
    let mut places = [[0u32; 4]; 4];
    for _ in 0..40_000 {
        let mut items = [0usize, 1, 2, 3];
        rng.shuffle(&mut items);
        for (at, item) in items.into_iter().enumerate() {
            places[at][item] += 1;
        }
    }
    assert!(
        places.as_flattened().iter().all(|n| (9_500..10_500).contains(n)),
        "{places:?}"
    );
}

#[test]
fn edges_of_the_arguments() {
    let mut rng = Rng::from_seed(4);
    assert_eq!(rng.below(1), 0);
    assert_eq!(rng.range(9..=9), 9);
    assert_eq!(rng.range(u64::MAX..=u64::MAX), u64::MAX);
    let mut twin = rng.clone();
    assert_eq!(rng.range(0..=u64::MAX), twin.next_u64());
    assert!(rng.chance(1, 1) && !rng.chance(0, 1));
    assert_eq!(rng.pick::<u8>(&[]), None);
    assert_eq!(rng.pick(&[8]), Some(&8));
    let mut none: [u8; 0] = [];
    rng.shuffle(&mut none);
    rng.fill_bytes(&mut none);
}

#[test]
#[should_panic(expected = "no number is below 0")]
fn nothing_is_below_zero() {
    Rng::from_seed(0).below(0);
}

#[test]
#[should_panic(expected = "2 of 1 is no probability")]
fn odds_above_one_are_a_bug() {
    let _ = Rng::from_seed(0).chance(2, 1);
}

#[test]
#[should_panic(expected = "no number lies in 2..=1")]
fn empty_ranges_are_a_bug() {
    let (low, high) = (2, 1);
    Rng::from_seed(0).range(low..=high);
}
