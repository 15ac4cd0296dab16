//! Prints the margins and contributions of rows, for comparison with XGBoost by `tests/fixtures/compare.py`.
//!
//! `margins MODEL < ROWS > RESULTS`: the model is XGBoost's JSON. Rows and results are little-endian `f32`. A result is
//! the margin, the contribution of each feature, and the rest of the margin.

use std::error::Error;
use std::io::{Read, Write};

use ccstream_analysis::models::Trees;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("name the model file as the first argument")?;
    let trees = Trees::read(&std::fs::read_to_string(path)?)?;
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes)?;
    let values: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let mut results = Vec::new();
    let mut contributions = vec![0.0; trees.features()];
    for row in values.chunks_exact(trees.features()) {
        let bias = trees.contributions(row, &mut contributions);
        results.extend(trees.margin(row).to_le_bytes());
        for value in contributions.iter().chain([&bias]) {
            results.extend((*value as f32).to_le_bytes());
        }
    }
    std::io::stdout().write_all(&results)?;
    Ok(())
}
