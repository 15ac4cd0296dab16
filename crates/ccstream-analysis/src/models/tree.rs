//! A regression tree, checked: every node is reached once from the root, and every number is finite.

use super::error::ModelError;
use super::limits::MAX_DEPTH;

/// Marks a leaf, in XGBoost's JSON too.
const NONE: i64 = -1;

/// Holds the fields of a tree in XGBoost's JSON, one element a node.
#[derive(Debug, Default)]
pub(super) struct Columns {
    pub(super) left: Vec<i64>,
    pub(super) right: Vec<i64>,
    pub(super) feature: Vec<u32>,
    /// A split's threshold; the output of a leaf.
    pub(super) condition: Vec<f32>,
    pub(super) default_left: Vec<bool>,
    /// The weight of the training rows that reached the node.
    pub(super) hessian: Vec<f32>,
}

/// Holds a node. The right child follows the left one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Node {
    /// A split's threshold; the output of a leaf.
    pub(super) value: f32,
    /// The position of the left child; 0 in a leaf, since no child is the root.
    pub(super) left: u32,
    pub(super) feature: u32,
    /// Whether a row without the feature's value goes to the left.
    pub(super) default_left: bool,
    /// The mean output of the training rows that reached the node.
    pub(super) mean: f32,
}

/// Holds the reachable nodes, level by level.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
    pub(super) depth: usize,
}

impl Columns {
    fn check(&self, place: &str) -> Result<usize, ModelError> {
        let nodes = self.left.len();
        let lengths = [
            ("right_children", self.right.len()),
            ("split_indices", self.feature.len()),
            ("split_conditions", self.condition.len()),
            ("default_left", self.default_left.len()),
            ("sum_hessian", self.hessian.len()),
        ];
        for (field, length) in lengths {
            if length != nodes {
                let reason = format!("{field} has {length} elements, but left_children has {nodes}");
                return Err(ModelError::invalid(place, reason));
            }
        }
        if nodes == 0 {
            return Err(ModelError::invalid(place, "it has no nodes"));
        }
        Ok(nodes)
    }
}

impl Tree {
    /// Checks and renumbers a tree. Nodes that XGBoost has pruned remain in its arrays, with a feature that does not
    /// exist; they are left out here.
    pub(super) fn new(columns: &Columns, place: &str, features: usize) -> Result<Self, ModelError> {
        let count = columns.check(place)?;
        let invalid = |reason: String| Err(ModelError::invalid(place, reason));
        let mut reached = vec![false; count];
        reached[0] = true;
        // `order` holds the old positions of the nodes, level by level; a node's new position is its position there.
        let (mut order, mut nodes, mut depth) = (vec![0usize], Vec::<Node>::new(), 0);
        let mut level_end = 1;
        while nodes.len() < order.len() {
            if nodes.len() == level_end {
                level_end = order.len();
                depth += 1;
                if depth > MAX_DEPTH {
                    return invalid(format!("it is deeper than {MAX_DEPTH} levels"));
                }
            }
            let old = order[nodes.len()];
            let (mut left, mut feature) = (0, 0);
            let children = [columns.left[old], columns.right[old]];
            if children != [NONE; 2] {
                feature = columns.feature[old];
                if feature as usize >= features {
                    return invalid(format!(
                        "node {old} splits on feature {feature}; its features are 0 to {}",
                        features - 1
                    ));
                }
                left = order.len() as u32;
                for child in children {
                    let Some(child) = usize::try_from(child).ok().filter(|child| *child < count) else {
                        return invalid(format!("node {old} has child {child}; its nodes are 0 to {}", count - 1));
                    };
                    if std::mem::replace(&mut reached[child], true) {
                        return invalid(format!("node {child} is reached twice, so it is no tree"));
                    }
                    order.push(child);
                }
            }
            nodes.push(Node {
                value: columns.condition[old],
                left,
                feature,
                default_left: columns.default_left[old],
                mean: columns.condition[old],
            });
        }
        let hessians: Vec<f32> = order.iter().map(|old| columns.hessian[*old]).collect();
        fill_means(&mut nodes, &hessians);
        Ok(Self { nodes, depth })
    }

    /// Returns the position of the child to which a row goes, or `None` at a leaf.
    fn next(&self, at: usize, row: &[f32]) -> Option<usize> {
        let node = &self.nodes[at];
        let value = row[node.feature as usize];
        let is_left = value < node.value || (value.is_nan() && node.default_left);
        (node.left != 0).then(|| node.left as usize + usize::from(!is_left))
    }

    /// Adds to each feature the changes of the mean output at its splits on the row's path; returns the root's mean.
    pub(super) fn contribute(&self, row: &[f32], contributions: &mut [f64]) -> f64 {
        let mut at = 0;
        while let Some(next) = self.next(at, row) {
            let change = self.nodes[next].mean - self.nodes[at].mean;
            contributions[self.nodes[at].feature as usize] += f64::from(change);
            at = next;
        }
        f64::from(self.nodes[0].mean)
    }
}

/// Computes the means of inner nodes from their children, as XGBoost's approximate contributions do.
fn fill_means(nodes: &mut [Node], hessians: &[f32]) {
    for at in (0..nodes.len()).rev() {
        let left = nodes[at].left as usize;
        if left != 0 {
            let [mean, other] = [nodes[left].mean, nodes[left + 1].mean];
            let mean = (mean * hessians[left] + other * hessians[left + 1]) / hessians[at];
            // A tree trained without a minimal child weight can have nodes of weight zero.
            nodes[at].mean = if mean.is_finite() { mean } else { 0.5 * (nodes[left].mean + other) };
        }
    }
}

#[cfg(test)]
impl Tree {
    /// Returns the output of the leaf that a row reaches.
    pub(super) fn output(&self, row: &[f32]) -> f32 {
        let mut at = 0;
        while let Some(next) = self.next(at, row) {
            at = next;
        }
        self.nodes[at].value
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "the expected numbers are exact")]
mod tests {
    use super::*;

    /// Makes a tree of depth 1 on feature 0 at 2.5, with 10 rows of 40 on the left.
    fn stump() -> Columns {
        Columns {
            left: vec![1, -1, -1],
            right: vec![2, -1, -1],
            feature: vec![0; 3],
            condition: vec![2.5, -1.0, 3.0],
            default_left: vec![true, false, false],
            hessian: vec![40.0, 10.0, 30.0],
        }
    }

    #[test]
    fn a_row_goes_left_below_the_threshold() {
        let tree = Tree::new(&stump(), "tree 0", 1).unwrap();
        let outputs = [2.4, 2.5, f32::NAN, f32::INFINITY, f32::NEG_INFINITY].map(|value| tree.output(&[value]));
        assert_eq!(outputs, [-1.0, 3.0, -1.0, 3.0, -1.0]);
        let mut contributions = [0.0];
        assert_eq!(tree.contribute(&[7.0], &mut contributions), 2.0);
        assert_eq!(contributions, [1.0]);
    }

    #[test]
    fn what_is_no_tree_is_refused() {
        type Change = fn(&mut Columns);
        let broken: [(&str, Change); 8] = [
            ("node 0 is reached twice", |tree| tree.left[0] = 0),
            ("node 2 is reached twice", |tree| tree.left[0] = 2),
            ("node 0 has child 3", |tree| tree.right[0] = 3),
            ("node 0 has child -1", |tree| tree.right[0] = -1),
            ("node 0 has child -2", |tree| tree.left[0] = -2),
            ("node 0 splits on feature 1;", |tree| tree.feature[0] = 1),
            ("sum_hessian has 4 elements", |tree| tree.hessian.push(1.0)),
            ("it has no nodes", |tree| *tree = Columns::default()),
        ];
        for (reason, change) in broken {
            let mut columns = stump();
            change(&mut columns);
            let error = Tree::new(&columns, "tree 7", 1).unwrap_err().to_string();
            assert!(error.starts_with("tree 7: ") && error.contains(reason), "{error}");
        }
    }

    #[test]
    fn a_tree_may_be_as_deep_as_the_limit_and_no_deeper() {
        let chain = |splits: usize| {
            let mut columns = Columns::default();
            for at in 0..=2 * splits {
                let split = at % 2 == 0 && at < 2 * splits;
                columns.left.push(if split { at as i64 + 1 } else { -1 });
                columns.right.push(if split { at as i64 + 2 } else { -1 });
                columns.condition.push(at as f32);
                columns.feature.push(0);
                columns.default_left.push(false);
                columns.hessian.push(0.0);
            }
            Tree::new(&columns, "tree 0", 1)
        };
        let deepest = chain(MAX_DEPTH).unwrap();
        assert_eq!((deepest.depth, deepest.output(&[1e9])), (MAX_DEPTH, 2.0 * MAX_DEPTH as f32));
        assert!(deepest.nodes.iter().all(|node| node.mean.is_finite()));
        assert!(chain(MAX_DEPTH + 1).unwrap_err().to_string().contains("deeper than 32 levels"));
    }
}
