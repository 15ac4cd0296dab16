//! Finds the terminals near a customer by a grid, so that a draw does not depend on the number of terminals.

use std::ops::Range;

use rand::{Rng, RngExt};

use super::settings::Settings;

/// Divides the square into square cells.
#[derive(Debug, Clone, Copy)]
struct Grid {
    /// The number of cells along a side.
    cells: usize,
    width: f64,
}

impl Grid {
    /// Returns the row or the column of a coordinate.
    fn cell(self, coordinate: f64) -> usize {
        ((coordinate / self.width) as usize).min(self.cells - 1)
    }
}

/// Holds the terminals' positions, sorted by the cells of a grid.
///
/// A cell is at least as wide as the radius, so all terminals within the radius are in nine cells. Lists of each
/// customer's terminals would need gigabytes for a million customers and terminals.
#[derive(Debug)]
pub(super) struct Terminals {
    radius: f64,
    grid: Grid,
    /// The index of each cell's first terminal, row by row, and finally the number of terminals.
    starts: Vec<u32>,
    /// The position and the number of each terminal, in the order of the cells.
    sorted: Vec<(f64, f64, u32)>,
}

impl Terminals {
    /// Draws the positions.
    pub(super) fn draw(settings: &Settings, rng: &mut impl Rng) -> Self {
        let Settings { side, radius, terminals, .. } = *settings;
        // About one terminal per cell is enough.
        let most = f64::from(terminals).sqrt();
        let cells = (side / radius).min(most).floor().max(1.0) as usize;
        let grid = Grid { cells, width: side / cells as f64 };
        let draw = |number| (rng.random_range(0.0..side), rng.random_range(0.0..side), number);
        let mut sorted: Vec<_> = (0..terminals).map(draw).collect();
        let cell = |x, y| grid.cell(y) * cells + grid.cell(x);
        sorted.sort_unstable_by_key(|&(x, y, number)| (cell(x, y), number));
        let mut starts = vec![0; cells * cells + 1];
        for &(x, y, _) in &sorted {
            starts[cell(x, y) + 1] += 1;
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        Self { radius, grid, starts, sorted }
    }

    /// Returns the ranges of `sorted` that hold all terminals within the radius of a point.
    fn candidates(&self, (x, y): (f64, f64)) -> [Range<usize>; 3] {
        let Grid { cells, .. } = self.grid;
        let (column, row) = (self.grid.cell(x), self.grid.cell(y));
        let (first, last) = (column.saturating_sub(1), (column + 1).min(cells - 1));
        [row.checked_sub(1), Some(row), Some(row + 1).filter(|row| *row < cells)].map(|row| {
            row.map_or(0..0, |row| {
                let at = row * cells;
                self.starts[at + first] as usize..self.starts[at + last + 1] as usize
            })
        })
    }

    fn is_near(&self, (x, y): (f64, f64), at: usize) -> bool {
        let (other_x, other_y, _) = self.sorted[at];
        (x - other_x).hypot(y - other_y) < self.radius
    }

    /// Returns whether any terminal is within the radius of a point.
    pub(super) fn reach(&self, point: (f64, f64)) -> bool {
        let cell = self.grid.cell(point.1) * self.grid.cells + self.grid.cell(point.0);
        // Most terminals of the point's own cell are near, so they decide soon.
        let own = self.starts[cell] as usize..self.starts[cell + 1] as usize;
        own.chain(self.candidates(point).into_iter().flatten()).any(|at| self.is_near(point, at))
    }

    /// Draws one of the terminals within the radius of a point. There must be one: see [`reach`](Self::reach).
    pub(super) fn near(&self, point: (f64, f64), rng: &mut impl Rng) -> u32 {
        let ranges = self.candidates(point);
        let total: usize = ranges.iter().map(Range::len).sum();
        loop {
            let mut at = rng.random_range(0..total);
            let range = ranges.iter().find(|range| {
                let is_in = at < range.len();
                at -= if is_in { 0 } else { range.len() };
                is_in
            });
            let at = at + range.map_or(0, |range| range.start);
            if self.is_near(point, at) {
                return self.sorted[at].2;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn each_terminal_within_the_radius_is_drawn_equally_often_and_no_other() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for (terminals, radius) in [(300, 12.0), (300, 0.3), (300, 70.0), (300, 1_000.0), (2, 60.0)] {
            let settings = Settings { terminals, radius, ..Settings::default() };
            let all = Terminals::draw(&settings, &mut rng);
            for point in [(0.0, 0.0), (50.0, 50.0), (99.99, 3.0), (37.0, 99.99)] {
                let near: Vec<u32> = all
                    .sorted
                    .iter()
                    .filter(|one| (one.0 - point.0).hypot(one.1 - point.1) < radius)
                    .map(|one| one.2)
                    .collect();
                assert_eq!(all.reach(point), !near.is_empty(), "{terminals} {radius} {point:?}");
                if near.is_empty() {
                    continue;
                }
                let mut counts = vec![0_u32; terminals as usize];
                let draws = 200 * near.len() as u32;
                for _ in 0..draws {
                    counts[all.near(point, &mut rng) as usize] += 1;
                }
                assert_eq!(near.iter().map(|number| counts[*number as usize]).sum::<u32>(), draws);
                // 200 are expected of each: this is more than six standard deviations.
                assert!(near.iter().all(|number| (110..=290).contains(&counts[*number as usize])), "{counts:?}");
            }
        }
    }
}
