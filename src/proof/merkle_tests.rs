//! Tests of the tree against the published vectors and against the definition written out.

use std::collections::HashMap;
use std::convert::Infallible;

use proptest::prelude::*;

use super::*;

fn hex(text: &str) -> Hash {
    let bytes: Vec<u8> = (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
        .collect();
    bytes.try_into().unwrap()
}

/// The eight leaves that the Certificate Transparency sources test with.
fn ct_leaves() -> Vec<Hash> {
    let inputs: [&[u8]; 8] = [
        &[],
        &[0],
        &[0x10],
        &[0x20, 0x21],
        &[0x30, 0x31],
        &[0x40, 0x41, 0x42, 0x43],
        &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
        &[
            0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d,
            0x6e, 0x6f,
        ],
    ];
    inputs.iter().map(|input| leaf_hash(input)).collect()
}

const CT_ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

/// A frontier over the leaves, and every complete subtree it named on the way.
fn grow(leaves: &[Hash]) -> (Frontier, HashMap<(u8, u64), Hash>) {
    let mut frontier = Frontier::new();
    let mut nodes = HashMap::new();
    for leaf in leaves {
        for (level, index, hash) in frontier.push(*leaf) {
            assert!(nodes.insert((level, index), hash).is_none(), "named twice");
        }
    }
    (frontier, nodes)
}

fn inclusion(nodes: &HashMap<(u8, u64), Hash>, index: u64, size: u64) -> Vec<Hash> {
    inclusion_proof(index, size, &mut |l, i| Ok::<_, Infallible>(nodes[&(l, i)])).unwrap()
}

fn consistency(nodes: &HashMap<(u8, u64), Hash>, old: u64, new: u64) -> Vec<Hash> {
    consistency_proof(old, new, &mut |l, i| Ok::<_, Infallible>(nodes[&(l, i)])).unwrap()
}

/// MTH of RFC 6962, section 2.1, word for word.
fn naive_root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let k = naive_split(leaves.len());
            node_hash(&naive_root(&leaves[..k]), &naive_root(&leaves[k..]))
        }
    }
}

fn naive_split(n: usize) -> usize {
    let mut k = 1;
    while k * 2 < n {
        k *= 2;
    }
    k
}

/// PATH of RFC 6962, section 2.1.1.
fn naive_path(m: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() <= 1 {
        return Vec::new();
    }
    let k = naive_split(leaves.len());
    let (mut path, other) = if m < k {
        (naive_path(m, &leaves[..k]), &leaves[k..])
    } else {
        (naive_path(m - k, &leaves[k..]), &leaves[..k])
    };
    path.push(naive_root(other));
    path
}

/// SUBPROOF of RFC 6962, section 2.1.2.
fn naive_subproof(m: usize, leaves: &[Hash], complete: bool) -> Vec<Hash> {
    if m == leaves.len() {
        return if complete { Vec::new() } else { vec![naive_root(leaves)] };
    }
    let k = naive_split(leaves.len());
    let (mut proof, other) = if m <= k {
        (naive_subproof(m, &leaves[..k], complete), &leaves[k..])
    } else {
        (naive_subproof(m - k, &leaves[k..], false), &leaves[..k])
    };
    proof.push(naive_root(other));
    proof
}

#[test]
fn roots_are_those_of_the_published_vectors() {
    assert_eq!(
        empty_root(),
        hex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    );
    let leaves = ct_leaves();
    for (i, root) in CT_ROOTS.iter().enumerate() {
        assert_eq!(grow(&leaves[..=i]).0.root(), hex(root), "size {}", i + 1);
    }
}

#[test]
fn proofs_are_those_of_the_published_vectors() {
    let (_, nodes) = grow(&ct_leaves());
    let first = [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]
    .map(hex);
    assert_eq!(inclusion(&nodes, 0, 8), first);
    assert_eq!(consistency(&nodes, 1, 8), first);
    let six_to_eight = [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]
    .map(hex);
    assert_eq!(consistency(&nodes, 6, 8), six_to_eight);
    assert_eq!(inclusion(&nodes, 0, 1), Vec::<Hash>::new(), "a lone leaf is its own root");
}

#[test]
fn questions_without_an_answer_are_refused() {
    let mut none = |_, _| Err::<Hash, &str>("never asked");
    assert_eq!(
        inclusion_proof(4, 4, &mut none),
        Err(ProofError::IndexOutOfRange { index: 4, size: 4 }.into())
    );
    assert_eq!(
        consistency_proof(5, 4, &mut none),
        Err(ProofError::SizesReversed { old: 5, new: 4 }.into())
    );
    assert_eq!(inclusion_proof(0, 2, &mut none), Err(BuildError::Source("never asked")));
    let zero = [0; 32];
    assert!(verify_inclusion(&zero, 0, 0, &[], &zero).is_err());
    assert!(verify_consistency(2, 1, &zero, &zero, &[]).is_err());
    assert!(verify_consistency(3, 7, &zero, &zero, &[]).is_err());
    assert_eq!(
        verify_consistency(0, 7, &empty_root(), &zero, &[]),
        Ok(()),
        "everything continues the empty tree"
    );
    assert_eq!(
        verify_consistency(0, 7, &zero, &zero, &[]),
        Err(ProofError::RootMismatch),
        "the empty tree has one root only"
    );
}

#[test]
fn the_largest_sizes_do_not_overflow() {
    let zero = [0; 32];
    let many = vec![zero; 70];
    assert!(verify_inclusion(&zero, u64::MAX - 1, u64::MAX, &many, &zero).is_err());
    assert!(verify_consistency(u64::MAX - 1, u64::MAX, &zero, &zero, &many).is_err());
    assert!(verify_consistency(1 << 63, u64::MAX, &zero, &zero, &many).is_err());
    assert!(inclusion_nodes(u64::MAX - 1, u64::MAX).unwrap().len() <= 64);
    assert!(consistency_nodes(3, u64::MAX).unwrap().len() <= 4096);
    assert!(Frontier::from_bytes(u64::MAX, &[0; 64 * 32]).is_err());
}

#[test]
fn a_frontier_refuses_bytes_of_another_size() {
    let (frontier, _) = grow(&ct_leaves()[..7]);
    let bytes = frontier.to_bytes();
    assert_eq!(Frontier::from_bytes(7, &bytes), Ok(frontier));
    assert!(Frontier::from_bytes(8, &bytes).is_err());
    assert!(Frontier::from_bytes(7, &bytes[1..]).is_err());
    assert!(Frontier::from_bytes(0, &[0]).is_err());
    assert_eq!(
        Frontier::from_bytes(0, &[]).unwrap().root(),
        empty_root(),
        "an empty log has a frontier too"
    );
}

fn some_leaves() -> impl Strategy<Value = Vec<Hash>> {
    prop::collection::vec(any::<[u8; 4]>().prop_map(|data| leaf_hash(&data)), 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn frontier_proofs_and_definition_agree(leaves in some_leaves(), pick in any::<prop::sample::Index>(), cut in any::<prop::sample::Index>()) {
        let size = leaves.len() as u64;
        let (frontier, nodes) = grow(&leaves);
        let root = naive_root(&leaves);
        prop_assert_eq!(frontier.root(), root);
        prop_assert_eq!(frontier.size(), size);
        prop_assert_eq!(Frontier::from_bytes(size, &frontier.to_bytes()), Ok(frontier));

        let index = pick.index(leaves.len());
        let proof = inclusion(&nodes, index as u64, size);
        prop_assert_eq!(&proof, &naive_path(index, &leaves));
        prop_assert_eq!(verify_inclusion(&leaves[index], index as u64, size, &proof, &root), Ok(()));
        prop_assert_eq!(
            inclusion_nodes(index as u64, size).unwrap().iter().all(|node| nodes.contains_key(node)),
            true
        );

        let old = cut.index(leaves.len()) + 1;
        let proof = consistency(&nodes, old as u64, size);
        prop_assert_eq!(&proof, &naive_subproof(old, &leaves, true));
        let old_root = naive_root(&leaves[..old]);
        prop_assert_eq!(verify_consistency(old as u64, size, &old_root, &root, &proof), Ok(()));
    }

    #[test]
    fn a_proof_holds_for_nothing_else(leaves in some_leaves(), pick in any::<prop::sample::Index>(), other in any::<prop::sample::Index>(), bit in 0usize..256) {
        let size = leaves.len() as u64;
        let (_, nodes) = grow(&leaves);
        let root = naive_root(&leaves);
        let index = pick.index(leaves.len()) as u64;
        let leaf = leaves[index as usize];
        let proof = inclusion(&nodes, index, size);

        let mut wrong_leaf = leaf;
        wrong_leaf[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(verify_inclusion(&wrong_leaf, index, size, &proof, &root).is_err());
        let other = other.index(leaves.len()) as u64;
        if other != index && leaves[other as usize] != leaf {
            prop_assert!(verify_inclusion(&leaf, other, size, &proof, &root).is_err());
        }
        let mut longer = proof.clone();
        longer.push(root);
        prop_assert!(verify_inclusion(&leaf, index, size, &longer, &root).is_err());
        for hurt in 0..proof.len() {
            let mut broken = proof.clone();
            broken[hurt][bit / 8] ^= 1 << (bit % 8);
            prop_assert!(verify_inclusion(&leaf, index, size, &broken, &root).is_err());
        }

        let old = index + 1;
        let old_root = naive_root(&leaves[..old as usize]);
        let proof = consistency(&nodes, old, size);
        let mut wrong_root = old_root;
        wrong_root[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(verify_consistency(old, size, &wrong_root, &root, &proof).is_err());
        prop_assert!(verify_consistency(old, size, &old_root, &wrong_root, &proof).is_err());
        for hurt in 0..proof.len() {
            let mut broken = proof.clone();
            broken[hurt][bit / 8] ^= 1 << (bit % 8);
            prop_assert!(verify_consistency(old, size, &old_root, &root, &broken).is_err());
        }
    }
}
