//! Tests that measure the figures of the simulated world. `-- --nocapture` prints them.

mod amounts;
mod follow_ups;
mod hours;
mod incidents;
mod leaks;
mod malformed;
mod places;
mod planted;

use super::payment::Payment;
use super::{Generator, Micros, Pace, World};

/// The Monday 2026-11-02.
const MONDAY: i64 = 20_759 * super::calendar::DAY;

/// A payment with its time and its id.
struct Seen {
    time: i64,
    id: [u8; 16],
    payment: Payment,
}

fn generator(seed: u64, per_second: f64, cards: u32) -> Generator {
    let pace = Pace::PerSecond(per_second);
    Generator::new(&World { seed, start: Some(Micros(MONDAY)), pace, cards: Some(cards), ..World::default() }).unwrap()
}

fn stream(generator: &mut Generator, count: usize) -> Vec<Seen> {
    let seen = |_| {
        let payment = generator.next_payment();
        Seen { time: generator.time, id: generator.id, payment }
    };
    (0..count).map(seen).collect()
}

fn share<T>(of: &[T], is: impl Fn(&T) -> bool) -> f64 {
    of.iter().filter(|one| is(one)).count() as f64 / of.len() as f64
}
