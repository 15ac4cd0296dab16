//! Reads XGBoost's JSON and refuses what is not evaluated here.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::error::ModelError;
use super::limits::{MAX_FEATURES, MAX_NODES, MAX_TREES, check_size};
use super::list::List;
use super::number::{Exact, plain};
use super::tree::{Columns, Tree};

const PART: &str = "XGBoost model";

/// Holds a model that was read and checked.
#[derive(Debug)]
pub(super) struct Booster {
    pub(super) trees: Vec<Tree>,
    pub(super) features: usize,
    pub(super) names: Vec<String>,
    /// The probability before the first tree, above 0 and below 1.
    pub(super) base_score: f32,
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    learner: Learner<'a>,
}

#[derive(Deserialize)]
struct Learner<'a> {
    #[serde(default)]
    feature_names: List<String, MAX_FEATURES>,
    #[serde(default, borrow)]
    feature_types: List<Cow<'a, str>, MAX_FEATURES>,
    #[serde(borrow)]
    gradient_booster: Named<'a>,
    #[serde(rename = "learner_model_param")]
    parameters: Parameters<'a>,
    objective: Named<'a>,
}

/// Holds a part whose content depends on its name. It is read once the name is known to be supported.
#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    model: Option<&'a RawValue>,
}

/// Holds parameters, which XGBoost writes as strings.
#[derive(Deserialize)]
struct Parameters<'a> {
    #[serde(borrow)]
    base_score: Cow<'a, str>,
    #[serde(borrow)]
    num_feature: Cow<'a, str>,
    #[serde(borrow, default)]
    num_class: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    num_target: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Forest<'a> {
    #[serde(borrow)]
    trees: List<&'a RawValue, MAX_TREES>,
    tree_info: List<u32, MAX_TREES>,
}

/// Holds one element for each node of a tree.
type Nodes<T> = List<T, MAX_NODES>;

#[derive(Deserialize)]
struct RawTree {
    left_children: Nodes<i64>,
    right_children: Nodes<i64>,
    split_indices: Nodes<u32>,
    split_conditions: Nodes<Exact<f32>>,
    default_left: Nodes<Flag>,
    sum_hessian: Nodes<Exact<f32>>,
    #[serde(default)]
    split_type: Nodes<u8>,
    #[serde(default)]
    categories: Nodes<IgnoredAny>,
}

/// Reads a flag, which is a number since XGBoost 1.6 and was a boolean before.
#[derive(Deserialize)]
#[serde(untagged)]
enum Flag {
    Number(u8),
    Boolean(bool),
}

impl Flag {
    fn is_set(&self) -> bool {
        matches!(self, Self::Number(1..) | Self::Boolean(true))
    }
}

/// Reads and checks a model.
pub(super) fn read(json: &str) -> Result<Booster, ModelError> {
    check_size(json)?;
    let Document { learner } = serde_json::from_str(json).map_err(|error| ModelError::json(PART, &error))?;
    if learner.gradient_booster.name != "gbtree" {
        return Err(ModelError::unsupported("the booster", &learner.gradient_booster.name, "gbtree"));
    }
    if learner.objective.name != "binary:logistic" {
        return Err(ModelError::unsupported("the objective", &learner.objective.name, "binary:logistic"));
    }
    let parameters = &learner.parameters;
    for (what, found) in [("num_class", &parameters.num_class), ("num_target", &parameters.num_target)] {
        if let Some(found) = found.as_ref().filter(|found| !["0", "1"].contains(&found.as_ref())) {
            return Err(ModelError::unsupported(what, found, "0 or 1"));
        }
    }
    if let Some(found) = learner.feature_types.0.iter().find(|kind| *kind == "c") {
        return Err(ModelError::unsupported("the type of a feature", &format!("{found} (categorical)"), "numbers"));
    }
    let (features, base_score) = (feature_count(&parameters.num_feature)?, base_score(&parameters.base_score)?);
    if !learner.feature_names.0.is_empty() && learner.feature_names.0.len() != features {
        let reason = format!("it has {} elements, but num_feature is {features}", learner.feature_names.0.len());
        return Err(ModelError::invalid("feature_names", reason));
    }
    let Some(model) = learner.gradient_booster.model else {
        return Err(ModelError::invalid("gradient_booster", "it has no field `model`"));
    };
    let trees = read_trees(model.get(), features)?;
    Ok(Booster { trees, features, names: learner.feature_names.0, base_score })
}

fn feature_count(text: &str) -> Result<usize, ModelError> {
    match text.parse() {
        Ok(features) if (1..=MAX_FEATURES).contains(&features) => Ok(features),
        _ => Err(ModelError::unsupported("num_feature", text, format!("1 to {MAX_FEATURES}"))),
    }
}

/// Reads `base_score`, which is a number in a string, in brackets since XGBoost 3.1.
fn base_score(text: &str) -> Result<f32, ModelError> {
    let number = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    match number.parse() {
        Ok(score) if score > 0.0 && score < 1.0 => Ok(score),
        _ => Err(ModelError::unsupported("base_score", text, "one number between 0 and 1")),
    }
}

fn read_trees(json: &str, features: usize) -> Result<Vec<Tree>, ModelError> {
    let forest: Forest<'_> = serde_json::from_str(json).map_err(|error| ModelError::json("model", &error))?;
    let Forest { trees: List(texts), tree_info: List(classes) } = forest;
    if classes.len() != texts.len() || classes.iter().any(|class| *class != 0) {
        let reason = format!("it must hold {} zeros, one for each tree of a binary model", texts.len());
        return Err(ModelError::invalid("tree_info", reason));
    }
    let (mut trees, mut nodes) = (Vec::new(), 0);
    for (at, tree) in texts.iter().enumerate() {
        let tree = read_tree(tree.get(), &format!("tree {at}"), features)?;
        nodes += tree.nodes.len();
        if nodes > MAX_NODES {
            let found = format!("more than {MAX_NODES} at tree {at}");
            return Err(ModelError::unsupported("the number of nodes", &found, format!("at most {MAX_NODES}")));
        }
        trees.push(tree);
    }
    Ok(trees)
}

fn read_tree(json: &str, place: &str, features: usize) -> Result<Tree, ModelError> {
    let tree: RawTree = serde_json::from_str(json).map_err(|error| ModelError::invalid(place, error.to_string()))?;
    if !tree.categories.0.is_empty() || tree.split_type.0.iter().any(|kind| *kind != 0) {
        return Err(ModelError::invalid(place, "it has categorical splits; supported: splits of numbers"));
    }
    let columns = Columns {
        left: tree.left_children.0,
        right: tree.right_children.0,
        feature: tree.split_indices.0,
        condition: plain(&tree.split_conditions.0),
        default_left: tree.default_left.0.iter().map(Flag::is_set).collect(),
        hessian: plain(&tree.sum_hessian.0),
    };
    Tree::new(&columns, place, features)
}
