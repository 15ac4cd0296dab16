//! Compares models with the libraries that trained them, and reads broken model files. `fixtures/make.py` makes the
//! expected results.

#![allow(clippy::unwrap_used, reason = "a test fails if a fixture lacks a field")]

use ccstream_analysis::models::{Logistic, Model, Trees};
use serde_json::{Value, json};

const NAMES: [&str; 5] = ["ratio", "hour", "frauds", "age", "speed"];

/// Returns the text of each case's model, and its rows, margins and contributions as exact numbers.
fn cases(text: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(text).unwrap();
    all["cases"].as_array().unwrap().clone()
}

fn trees() -> Vec<Value> {
    cases(include_str!("fixtures/trees.json"))
}

/// Returns numbers; null is a missing value. The fixtures hold single precision with all its digits as double.
fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap_or(f64::NAN)).collect()
}

fn rows(case: &Value) -> Vec<Vec<f64>> {
    case["rows"].as_array().unwrap().iter().map(numbers).collect()
}

/// Returns rows of single precision.
fn single(case: &Value) -> Vec<Vec<f32>> {
    rows(case).iter().map(|row| row.iter().map(|value| *value as f32).collect()).collect()
}

/// Wraps a model of trees in a model file.
fn file(model: &Value) -> Value {
    json!({
        "format": "ccstream-model-1",
        "features": {"version": "v", "names": NAMES},
        "kind": "trees",
        "model": model,
        "calibration": {"kind": "beta", "a": 0.8, "b": 1.2, "c": -0.5},
        "card": {"as_of": "2018-08-08T00:00:00Z", "maturity_days": 7.5, "fraud_share": 0.008, "notes": "x"},
    })
}

#[test]
fn margins_equal_those_of_xgboost_to_the_last_bit() {
    let cases = trees();
    assert_eq!(cases.len(), 8);
    for case in &cases {
        let trees = Trees::read(&case["model"].to_string()).unwrap();
        let margins = numbers(&case["margins"]);
        for (row, margin) in single(case).iter().zip(margins) {
            assert_eq!(trees.margin(row).to_bits(), (margin as f32).to_bits(), "depth {}: {row:?}", case["depth"]);
        }
    }
}

#[test]
fn base_score_without_brackets_gives_the_same() {
    for mut case in trees() {
        let row = [0.25f32, f32::NAN, 1.0, -0.5, 0.0];
        let expected = Trees::read(&case["model"].to_string()).unwrap().margin(&row);
        let base_score = &mut case["model"]["learner"]["learner_model_param"]["base_score"];
        let bare = base_score.as_str().unwrap().trim_matches(['[', ']']).to_owned();
        assert_ne!(base_score.as_str(), Some(bare.as_str()));
        *base_score = json!(bare);
        assert_eq!(Trees::read(&case["model"].to_string()).unwrap().margin(&row).to_bits(), expected.to_bits());
    }
}

#[test]
fn contributions_equal_the_approximate_ones_of_xgboost() {
    for case in trees() {
        let trees = Trees::read(&case["model"].to_string()).unwrap();
        for (row, expected) in single(&case).iter().zip(case["contributions"].as_array().unwrap()) {
            let mut found = vec![0.0; NAMES.len()];
            let bias = trees.contributions(row, &mut found);
            found.push(bias);
            for (found, expected) in found.iter().zip(numbers(expected)) {
                assert!((found - expected).abs() < 1e-5, "depth {}: {found} {expected}", case["depth"]);
            }
            assert!((found.iter().sum::<f64>() - f64::from(trees.margin(row))).abs() < 1e-5);
        }
    }
}

#[test]
fn logistic_regression_equals_that_of_scikit_learn() {
    let cases = cases(include_str!("fixtures/logistic.json"));
    assert_eq!(cases.len(), 2);
    for case in &cases {
        let model = Logistic::read(&case["model"].to_string()).unwrap();
        for (row, margin) in rows(case).iter().zip(numbers(&case["margins"])) {
            assert!((model.margin(row) - margin).abs() < 1e-12, "{} {margin}", model.margin(row));
            let mut contributions = vec![0.0; NAMES.len()];
            let bias = model.contributions(row, &mut contributions);
            assert!((bias + contributions.iter().sum::<f64>() - margin).abs() < 1e-12);
        }
    }
}

#[test]
fn scores_have_the_order_of_margins() {
    for case in trees() {
        let model = Model::read(&file(&case["model"]).to_string(), "v", &NAMES).unwrap();
        let mut scores: Vec<_> = single(&case).iter().map(|row| model.score(row)).collect();
        scores.sort_by(|a, b| a.margin.total_cmp(&b.margin));
        for pair in scores.windows(2) {
            assert_eq!(pair[0].margin < pair[1].margin, pair[0].log_odds < pair[1].log_odds);
            assert_eq!(pair[0].margin < pair[1].margin, pair[0].probability < pair[1].probability);
        }
    }
}

#[test]
fn reasons_are_the_greatest_contributions() {
    for case in trees() {
        let model = Model::read(&file(&case["model"]).to_string(), "v", &NAMES).unwrap();
        assert_eq!((model.card().maturity_days, model.card().fraud_share), (Some(7.5), Some(0.008)));
        assert!(model.card().text.contains("\"notes\""));
        for (row, contributions) in single(&case).iter().zip(case["contributions"].as_array().unwrap()) {
            let contributions = numbers(contributions);
            let mut expected: Vec<usize> = (0..NAMES.len()).filter(|at| contributions[*at] > 1e-4).collect();
            expected.sort_by(|a, b| contributions[*b].total_cmp(&contributions[*a]));
            let found: Vec<&str> = model
                .reasons(row)
                .iter()
                .filter(|reason| reason.contribution > 1e-4)
                .map(|reason| reason.name)
                .collect();
            let expected: Vec<&str> = expected.into_iter().take(3).map(|at| NAMES[at]).collect();
            assert_eq!(found, expected);
        }
    }
}

/// Changes a model file of trees in one place.
type Change = fn(&mut Value);

#[test]
fn a_broken_file_is_refused_with_the_reason() {
    let broken: [(&str, Change); 22] = [
        ("the format of the model file is ccstream-model-9", |file| file["format"] = json!("ccstream-model-9")),
        ("the model has version w, the program version v", |file| file["features"]["version"] = json!("w")),
        ("the model has 4 names, the program 5", |file| file["features"]["names"] = json!(NAMES[1..])),
        ("feature 1 is minute in the model, hour", |file| file["features"]["names"][1] = json!("minute")),
        ("the kind of the model is forest", |file| file["kind"] = json!("forest")),
        ("the card cannot be read", |file| file["card"] = json!("text")),
        ("the objective is reg:squarederror", |file| learner(file)["objective"]["name"] = json!("reg:squarederror")),
        ("the booster is dart; supported: gbtree", |file| {
            learner(file)["gradient_booster"] = json!({"name": "dart", "gbtree": {"model": {}}, "weight_drop": []});
        }),
        ("num_class is 3", |file| learner(file)["learner_model_param"]["num_class"] = json!("3")),
        ("num_target is 2", |file| learner(file)["learner_model_param"]["num_target"] = json!("2")),
        ("num_feature is 129", |file| learner(file)["learner_model_param"]["num_feature"] = json!("129")),
        ("base_score is [0.2,0.3]", |file| learner(file)["learner_model_param"]["base_score"] = json!("[0.2,0.3]")),
        ("base_score is 1E0", |file| learner(file)["learner_model_param"]["base_score"] = json!("1E0")),
        ("base_score is 1e-45", |file| learner(file)["learner_model_param"]["base_score"] = json!("1E-45")),
        ("type of a feature is c (categorical)", |file| learner(file)["feature_types"] = json!(["c"])),
        ("feature_names: they are not the names", |file| learner(file)["feature_names"][0] = json!("amount")),
        ("gradient_booster: it has no field", |file| {
            learner(file)["gradient_booster"] = json!({"name": "gbtree"});
        }),
        ("tree_info: it must hold", |file| forest(file)["tree_info"][1] = json!(1)),
        ("tree 1: it has categorical splits", |file| forest(file)["trees"][1]["split_type"][0] = json!(1)),
        ("tree 1: node 0 is reached twice", |file| forest(file)["trees"][1]["left_children"][0] = json!(0)),
        ("tree 0: missing field `sum_hessian`", |file| {
            forest(file)["trees"][0].as_object_mut().unwrap().remove("sum_hessian");
        }),
        ("tree 0: expected a number, found \"NaN\"", |file| {
            forest(file)["trees"][0]["split_conditions"][0] = json!("NaN");
        }),
    ];
    let sound = file(&trees()[1]["model"]);
    Model::read(&sound.to_string(), "v", &NAMES).unwrap();
    for (reason, change) in broken {
        let mut file = sound.clone();
        change(&mut file);
        let error = Model::read(&file.to_string(), "v", &NAMES).unwrap_err().to_string();
        assert!(error.contains(reason), "expected {reason:?}, found {error:?}");
    }
}

fn learner(file: &mut Value) -> &mut Value {
    &mut file["model"]["learner"]
}

fn forest(file: &mut Value) -> &mut Value {
    &mut learner(file)["gradient_booster"]["model"]
}

#[test]
fn hostile_text_is_refused_without_a_panic() {
    let sound = file(&trees()[2]["model"]).to_string();
    // A text may end anywhere.
    for end in (0..sound.len()).step_by(97) {
        assert!(Model::read(&sound[..end], "v", &NAMES).is_err(), "{end}");
    }
    // One character may be any other. The result may be a sound model, which then has to give a score.
    for at in (0..sound.len()).step_by(31) {
        for character in ["9", "-", "\"", "[", "}", "e", ","] {
            let text = format!("{}{character}{}", &sound[..at], &sound[at + 1..]);
            if let Ok(model) = Model::read(&text, "v", &NAMES) {
                assert!(!model.score(&[0.5; 5]).probability.is_nan(), "{at} {character}");
            }
        }
    }
    let deep = "[".repeat(1_000_000);
    for field in ["card", "model", "calibration", "features"] {
        let text = sound.replacen(&format!("\"{field}\":"), &format!("\"{field}\":{deep},\"x\":"), 1);
        assert!(Model::read(&text, "v", &NAMES).is_err(), "{field}");
    }
    let text = sound.replacen("\"default_left\":[", &format!("\"default_left\":[{deep}"), 1);
    assert!(Model::read(&text, "v", &NAMES).is_err());
    let long = "x".repeat(1_000_000);
    for field in ["format", "kind", "version", "base_score", "num_target", "sum_hessian", "a"] {
        let text = sound.replacen(&format!("\"{field}\":"), &format!("\"{field}\":\"{long}\",\"x\":"), 1);
        assert!(Model::read(&text, "v", &NAMES).unwrap_err().to_string().len() < 1000, "{field}");
    }
    let nan = sound.replacen("\"split_conditions\":[", "\"split_conditions\":[NaN,", 1);
    assert!(Model::read(&nan, "v", &NAMES).unwrap_err().to_string().contains("the model file cannot be read"));
    let names = sound.replacen("\"names\":[", &format!("\"names\":[{}", "\"\",".repeat(1_000_000)), 1);
    assert!(Model::read(&names, "v", &NAMES).unwrap_err().to_string().contains("at most 128 elements"));
    let trees = sound.replacen("\"trees\":[", &format!("\"trees\":[{}", "0,".repeat(1_000_000)), 1);
    assert!(Model::read(&trees, "v", &NAMES).unwrap_err().to_string().contains("at most 10000 elements"));
    let nodes = sound.replacen("\"left_children\":[", &format!("\"left_children\":[{}", "0,".repeat(2_000_000)), 1);
    assert!(Model::read(&nodes, "v", &NAMES).unwrap_err().to_string().contains("at most 1048576 elements"));
    let large = " ".repeat(ccstream_analysis::models::MAX_BYTES + 1);
    assert!(Model::read(&large, "v", &NAMES).unwrap_err().to_string().contains("67108865 bytes"));
}
