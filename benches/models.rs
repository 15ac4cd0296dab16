//! Measures the evaluation of models. Run with `cargo bench --manifest-path benches/Cargo.toml --bench models`.

#![allow(missing_docs, reason = "criterion's macro defines a public function")]

use std::fmt::Write;
use std::hint::black_box;

use ccstream_analysis::models::{Logistic, Model, Trees};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const FEATURES: usize = 18;
const TREES: usize = 200;
/// The number of rows. They are all different, so that the processor cannot predict every path through the trees.
const ROWS: usize = 10_000;

/// Draws numbers from 0 to 1 that are the same in every run.
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as f64 / f64::from(1u32 << 31)
    }
}

/// Joins the elements of a JSON array.
fn array(count: usize, mut element: impl FnMut(usize) -> String) -> String {
    format!("[{}]", (0..count).map(&mut element).collect::<Vec<_>>().join(","))
}

/// Writes XGBoost's JSON of complete trees with random splits.
fn forest(depth: u32) -> String {
    let mut draws = Draws(u64::from(depth));
    let (splits, nodes) = ((1 << depth) - 1, (2 << depth) - 1);
    let mut trees = String::new();
    for tree in 0..TREES {
        let child =
            |second: usize| move |at: usize| if at < splits { (2 * at + second).to_string() } else { "-1".into() };
        write!(
            trees,
            r#"{}{{"left_children": {}, "right_children": {}, "split_indices": {}, "split_conditions": {},
                "default_left": {}, "sum_hessian": {}}}"#,
            if tree == 0 { "" } else { "," },
            array(nodes, child(1)),
            array(nodes, child(2)),
            array(nodes, |_| ((draws.next() * FEATURES as f64) as usize).to_string()),
            array(nodes, |_| (draws.next() as f32).to_string()),
            array(nodes, |at| (at % 2).to_string()),
            array(nodes, |_| "1".into()),
        )
        .expect("a string takes every text");
    }
    format!(
        r#"{{"learner": {{"gradient_booster": {{"name": "gbtree", "model": {{"tree_info": {}, "trees": [{trees}]}}}},
            "learner_model_param": {{"base_score": "[5E-1]", "num_feature": "{FEATURES}"}},
            "objective": {{"name": "binary:logistic"}}}}}}"#,
        array(TREES, |_| "0".into())
    )
}

/// Draws rows of which one value in twenty is missing.
fn rows() -> Vec<Vec<f32>> {
    let mut draws = Draws(1);
    let mut value = || if draws.next() < 0.05 { f32::NAN } else { draws.next() as f32 };
    (0..ROWS).map(|_| (0..FEATURES).map(|_| value()).collect()).collect()
}

fn models(criterion: &mut Criterion) {
    let rows = rows();
    let mut group = criterion.benchmark_group("model");
    group.throughput(Throughput::Elements(ROWS as u64));
    for depth in [3, 4, 6, 8] {
        let trees = Trees::read(&forest(depth)).expect("a sound model");
        group.bench_function(format!("{TREES} trees of depth {depth}"), |bench| {
            bench.iter(|| rows.iter().map(|row| trees.margin(black_box(row))).sum::<f32>());
        });
    }
    let names: Vec<String> = (0..FEATURES).map(|at| format!("feature {at}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let quoted = array(FEATURES, |at| format!("\"{}\"", names[at]));
    let knots = array(100, |at| at.to_string());
    let json = format!(
        r#"{{"format": "ccstream-model-1", "features": {{"version": "v", "names": {quoted}}}, "kind": "trees",
            "model": {}, "calibration": {{"kind": "knots", "margins": {knots}, "log_odds": {knots}}}, "card": {{}}}}"#,
        forest(4)
    );
    let model = Model::read(&json, "v", &names).expect("a sound model file");
    group.bench_function(format!("score, {TREES} trees of depth 4"), |bench| {
        bench.iter(|| rows.iter().map(|row| model.score(black_box(row)).probability).sum::<f64>());
    });
    group.bench_function(format!("reasons, {TREES} trees of depth 4"), |bench| {
        bench.iter(|| rows.iter().map(|row| model.reasons(black_box(row)).len()).sum::<usize>());
    });
    let rows: Vec<Vec<f64>> = rows.iter().map(|row| row.iter().copied().map(f64::from).collect()).collect();
    for shape in ["identity", "log"] {
        let ones = array(FEATURES, |_| "1".into());
        let shapes = array(FEATURES, |_| format!("\"{shape}\""));
        let json = format!(
            r#"{{"coefficients": {ones}, "intercept": -3, "means": {ones}, "scales": {ones}, "shapes": {shapes}}}"#
        );
        let logistic = Logistic::read(&json).expect("a sound model");
        group.bench_function(format!("logistic regression, {shape}"), |bench| {
            bench.iter(|| rows.iter().map(|row| logistic.margin(black_box(row))).sum::<f64>());
        });
    }
    group.finish();
}

criterion_group!(benches, models);
criterion_main!(benches);
