//! The trees of a model, laid out for speed.
//!
//! Trees are evaluated [`BLOCK`] at a time, one level after the other, so that the processor works on independent
//! trees at once. Their outputs are added in the order of the trees. A step is one comparison without a jump that could
//! be mispredicted.
//!
//! If no tree is deeper than [`DENSE_DEPTH`], all are completed to the depth of the deepest: a leaf above the last
//! level is repeated below itself. The children of the node at position `i` of a block's level are then at `2 i` and
//! `2 i + 1` of the next level. Deeper trees would take too much memory. Their nodes hold the position of the left
//! child, and a leaf leads to itself until all trees have made the same number of steps.
//!
//! Values and thresholds are stored as integers of the same order, which are compared faster than floats. A missing
//! value needs no additional comparison: a row is stored twice, once for the splits that send a missing value to the
//! left, where it becomes less than all thresholds, and once for the others, where it becomes the greatest integer.

use super::limits::MAX_FEATURES;
use super::tree::Tree;

/// The number of trees that are evaluated at a time.
const BLOCK: usize = 8;
/// The greatest depth to which trees are completed.
const DENSE_DEPTH: usize = 6;
/// The number of values in an expanded row: every slot of a byte, so that no access needs a check of its bounds.
const SLOTS: usize = 2 * MAX_FEATURES;
const _: () = assert!(SLOTS == u8::MAX as usize + 1);
/// The output of trees that fill the last block. Adding it changes no number, not even a negative zero.
const NOTHING: f32 = -0.0;

/// Holds a split: a row goes to the left if its value in the slot is below the threshold.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Split {
    threshold: u32,
    slot: u8,
}

/// Holds a split or a leaf of a deep tree.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Step {
    threshold: u32,
    /// The position of the left child, times 256, plus the slot.
    left_and_slot: u32,
}

/// Holds all trees of a model, in their order.
#[derive(Debug, Clone)]
pub(super) enum Packed {
    /// Completed trees. A block's splits are stored level by level, then tree by tree, in `BLOCK << depth` places, of
    /// which the last are unused. A block's outputs are stored tree by tree.
    Dense { depth: usize, splits: Vec<Split>, outputs: Vec<f32> },
    /// Deep trees: for each block, the number of steps and the position of each root.
    Deep { blocks: Vec<(usize, [u32; BLOCK])>, steps: Vec<Step>, outputs: Vec<f32> },
}

/// Holds a row for both directions of missing values: feature `i` is at `2 i` and `2 i + 1`.
type Expanded = [u32; SLOTS];

/// Returns an integer that has the order of the number. Both zeros give the same integer.
fn ordered(number: f32) -> u32 {
    let bits = (number + 0.0).to_bits();
    bits ^ (((bits as i32) >> 31) as u32 | 1 << 31)
}

/// Stores a row for both directions of missing values.
fn expand(row: &[f32], expanded: &mut Expanded) {
    for (pair, value) in expanded.as_chunks_mut::<2>().0.iter_mut().zip(row) {
        let number = ordered(*value);
        *pair = if value.is_nan() { [u32::MAX, 0] } else { [number; 2] };
    }
}

/// Returns the slot that a split reads.
fn slot(feature: u32, default_left: bool) -> u8 {
    (2 * feature + u32::from(default_left)) as u8
}

impl Packed {
    pub(super) fn new(trees: &[Tree]) -> Self {
        let depth = trees.iter().map(|tree| tree.depth).max().unwrap_or(0);
        if depth > DENSE_DEPTH { deep(trees) } else { dense(trees, depth) }
    }

    /// Adds the outputs of all trees to `sum`, one after the other, as XGBoost does.
    pub(super) fn add(&self, row: &[f32], sum: f32) -> f32 {
        let mut expanded = [0; SLOTS];
        expand(row, &mut expanded);
        match self {
            Self::Deep { blocks, steps, outputs } => walk_deep(blocks, steps, outputs, &expanded, sum),
            Self::Dense { depth, splits, outputs } => match depth {
                0 => walk::<0, { BLOCK }>(splits, outputs, &expanded, sum),
                1 => walk::<1, { BLOCK << 1 }>(splits, outputs, &expanded, sum),
                2 => walk::<2, { BLOCK << 2 }>(splits, outputs, &expanded, sum),
                3 => walk::<3, { BLOCK << 3 }>(splits, outputs, &expanded, sum),
                4 => walk::<4, { BLOCK << 4 }>(splits, outputs, &expanded, sum),
                5 => walk::<5, { BLOCK << 5 }>(splits, outputs, &expanded, sum),
                _ => walk::<DENSE_DEPTH, { BLOCK << DENSE_DEPTH }>(splits, outputs, &expanded, sum),
            },
        }
    }
}

/// Lays out completed trees.
fn dense(trees: &[Tree], depth: usize) -> Packed {
    let (mut splits, mut outputs) = (Vec::new(), Vec::new());
    for block in trees.chunks(BLOCK) {
        let end = outputs.len() + (BLOCK << depth);
        // One level of all trees: the tree's number and the node's position. Missing trees have no nodes.
        let mut level: Vec<(usize, usize)> = (0..BLOCK).map(|tree| (tree, 0)).collect();
        for _ in 0..depth {
            let mut next = Vec::with_capacity(2 * level.len());
            for (number, at) in level {
                match block.get(number).map(|tree| &tree.nodes[at]) {
                    Some(node) if node.left != 0 => {
                        let slot = slot(node.feature, node.default_left);
                        splits.push(Split { threshold: ordered(node.value), slot });
                        next.extend([(number, node.left as usize + 1), (number, node.left as usize)]);
                    }
                    _ => {
                        splits.push(Split::default());
                        next.extend([(number, at); 2]);
                    }
                }
            }
            level = next;
        }
        outputs
            .extend(level.iter().map(|(number, at)| block.get(*number).map_or(NOTHING, |tree| tree.nodes[*at].value)));
        splits.resize(end, Split::default());
    }
    Packed::Dense { depth, splits, outputs }
}

/// Adds the outputs of completed trees. `SIZE` is `BLOCK << DEPTH`.
fn walk<const DEPTH: usize, const SIZE: usize>(splits: &[Split], outputs: &[f32], row: &Expanded, mut sum: f32) -> f32 {
    for (splits, outputs) in splits.as_chunks::<SIZE>().0.iter().zip(outputs.as_chunks::<SIZE>().0) {
        let mut at: [usize; BLOCK] = std::array::from_fn(|tree| tree);
        for level in 0..DEPTH {
            let (first, size) = (BLOCK * ((1 << level) - 1), BLOCK << level);
            for at in &mut at {
                // The mask changes nothing; it shows the compiler that the position is in the level.
                let split = &splits[first + (*at & (size - 1))];
                *at = *at + *at + usize::from(row[usize::from(split.slot)] < split.threshold);
            }
        }
        for at in at {
            sum += outputs[at & (SIZE - 1)];
        }
    }
    sum
}

/// Lays out deep trees.
fn deep(trees: &[Tree]) -> Packed {
    // A leaf's threshold is above no value, so a row goes to the right of the position before the leaf: to the leaf
    // itself. The first step only makes room before the second one, the leaf of the trees that fill the last block.
    let (mut steps, mut outputs, mut blocks) = (vec![Step::default(); 2], vec![NOTHING; 2], Vec::new());
    for block in trees.chunks(BLOCK) {
        let mut roots = [1; BLOCK];
        for (tree, root) in block.iter().zip(&mut roots) {
            *root = steps.len() as u32;
            for (at, node) in tree.nodes.iter().enumerate() {
                let is_leaf = node.left == 0;
                let left = *root + if is_leaf { at as u32 } else { node.left } - u32::from(is_leaf);
                let slot = if is_leaf { 0 } else { slot(node.feature, node.default_left) };
                let threshold = if is_leaf { 0 } else { ordered(node.value) };
                steps.push(Step { threshold, left_and_slot: left << 8 | u32::from(slot) });
                outputs.push(node.value);
            }
        }
        blocks.push((block.iter().map(|tree| tree.depth).max().unwrap_or(0), roots));
    }
    Packed::Deep { blocks, steps, outputs }
}

/// Adds the outputs of deep trees.
fn walk_deep(blocks: &[(usize, [u32; BLOCK])], steps: &[Step], outputs: &[f32], row: &Expanded, mut sum: f32) -> f32 {
    for (depth, roots) in blocks {
        let mut at = *roots;
        for _ in 0..*depth {
            for at in &mut at {
                let step = &steps[*at as usize];
                let value = row[usize::from(step.left_and_slot as u8)];
                *at = (step.left_and_slot >> 8) + u32::from(value >= step.threshold);
            }
        }
        for at in at {
            sum += outputs[at as usize];
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tree::{Columns, Tree};
    use super::*;

    /// Grows a tree from random numbers: each splits the oldest leaf or leaves it as it is.
    fn grown(choices: &[(u8, f32, bool, bool)], features: usize) -> Tree {
        let mut columns = Columns { left: vec![-1], right: vec![-1], ..Columns::default() };
        for (at, (feature, value, default_left, is_split)) in choices.iter().enumerate() {
            if at >= columns.left.len() {
                break;
            }
            if *is_split {
                let child = columns.left.len() as i64;
                (columns.left[at], columns.right[at]) = (child, child + 1);
                columns.left.extend([-1; 2]);
                columns.right.extend([-1; 2]);
            }
            columns.condition.push(*value);
            columns.feature.push(u32::from(*feature) % features as u32);
            columns.default_left.push(*default_left);
        }
        columns.condition.resize(columns.left.len(), 0.25);
        columns.feature.resize(columns.left.len(), 0);
        columns.default_left.resize(columns.left.len(), false);
        columns.hessian.resize(columns.left.len(), 1.0);
        Tree::new(&columns, "tree", features).unwrap()
    }

    fn choices() -> impl Strategy<Value = Vec<(u8, f32, bool, bool)>> {
        prop::collection::vec((any::<u8>(), -2i8..3, any::<bool>(), prop::bool::weighted(0.8)), 0..200)
            .prop_map(|all| all.into_iter().map(|(f, value, left, split)| (f, f32::from(value), left, split)).collect())
    }

    #[test]
    fn integers_have_the_order_of_numbers() {
        let numbers = [f32::NEG_INFINITY, f32::MIN, -1.0, -1e-45, 0.0, 1e-45, 1.0, f32::MAX, f32::INFINITY];
        assert!(numbers.map(ordered).is_sorted_by(|a, b| a < b));
        assert_eq!(ordered(-0.0), ordered(0.0));
        assert!(0 < ordered(f32::NEG_INFINITY) && ordered(f32::INFINITY) < u32::MAX);
    }

    #[test]
    fn a_block_without_trees_changes_no_bit() {
        let leaf = grown(&[(0, -0.0, false, false)], 1);
        for trees in [vec![], vec![leaf.clone()], vec![leaf; 9]] {
            assert_eq!(Packed::new(&trees).add(&[1.0], -0.0).to_bits(), (-0.0f32).to_bits());
        }
    }

    proptest! {
        #[test]
        fn packed_trees_give_the_sum_of_the_trees(
            trees in prop::collection::vec(choices(), 1..20),
            rows in prop::collection::vec(prop::collection::vec(prop::option::of(-3i8..4), 5), 1..20),
        ) {
            let trees: Vec<Tree> = trees.iter().map(|choices| grown(choices, 5)).collect();
            let packed = Packed::new(&trees);
            for row in rows {
                let row: Vec<f32> = row.into_iter().map(|value| value.map_or(f32::NAN, f32::from)).collect();
                let expected = trees.iter().fold(0.1, |sum, tree| sum + tree.output(&row));
                prop_assert_eq!(packed.add(&row, 0.1).to_bits(), expected.to_bits());
            }
        }
    }
}
