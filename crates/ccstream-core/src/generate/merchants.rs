//! The shops of the simulated world. Their names are made up. They are the same for every seed, so that a dashboard
//! shows the same merchants from run to run.
//!
//! Purchases choose a shop from a cell: the shops of one category in one city, or all of a category's shops online.
//! The first ranks of a city's cell are chains, which have the same names in every city.

use std::ops::Range;

use super::categories::{CATEGORIES, CATEGORY_COUNT, Category};
use super::chance::{Alias, Chance, Matter};
use super::cities::CITIES;
use super::numbers::power;

/// Zipf's exponent within a cell. All merchants together then have about 1.16, as public purchase-card data has.
const POPULARITY: f64 = 1.26;
/// The number of chains in each category.
const CHAINS: usize = 4;
/// The number of online shops in each category.
const ONLINE: usize = 60;
/// The approximate number of shops in all cities. A cell has its share of them by what is bought there.
const SHOPS: f64 = 3_600.0;
/// The share of all sales from which on a shop has 20 terminals.
const LARGE: f64 = 0.004;

/// A shop of a merchant, in one place.
#[derive(Debug)]
pub(super) struct Shop {
    pub(super) name: String,
    pub(super) category: u8,
    pub(super) city: u8,
    pub(super) is_online: bool,
    /// The shop's share of all purchases, as planned.
    pub(super) share: f64,
    /// The number of terminals, 1 to 20. They are numbered from `first_terminal`.
    pub(super) terminals: u8,
    pub(super) first_terminal: u32,
    /// Its place in the city, east and north of the centre, as shares of the city's width (-0.5 to 0.5).
    pub(super) at: (f32, f32),
}

/// The width of a city, in degrees.
const WIDTH: f64 = 0.2;

impl Shop {
    /// Its latitude and longitude, to four decimals (ten metres).
    pub(super) fn coordinates(&self) -> (f64, f64) {
        let city = &CITIES[usize::from(self.city)];
        let rounded = |degrees: f64| (degrees * 1e4).round() / 1e4;
        let (east, north) = (f64::from(self.at.0), f64::from(self.at.1));
        (rounded(city.latitude + north * WIDTH), rounded(city.longitude + east * WIDTH))
    }

    /// The id of a terminal: the country and six digits.
    pub(super) fn terminal(&self, terminal: u8) -> [u8; 8] {
        let country = CITIES[usize::from(self.city)].country.code.as_bytes();
        let mut number = self.first_terminal + u32::from(terminal);
        let mut text = [country[0], country[1], 0, 0, 0, 0, 0, 0];
        for digit in text[2..].iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
        }
        text
    }
}

/// The shops of one category in one city, or online.
#[derive(Debug)]
struct Cell {
    shops: Range<u32>,
    choice: Alias,
}

/// All shops.
#[derive(Debug)]
pub(super) struct Shops {
    pub(super) all: Vec<Shop>,
    /// The cells of cities, by city and category.
    cells: Vec<Cell>,
    /// The online cells, by category.
    online: Vec<Cell>,
}

impl Shops {
    pub(super) fn new() -> Self {
        let mut made = Self { all: Vec::new(), cells: Vec::new(), online: Vec::new() };
        let mut names = Names::default();
        let mut chance = Chance::of(0, Matter::Places, 0);
        let people: f64 = CITIES.iter().map(|city| city.weight).sum();
        let weights: f64 = CATEGORIES.iter().map(|category| category.weight).sum();
        for (city, place) in CITIES.iter().enumerate() {
            for (at, category) in CATEGORIES.iter().enumerate() {
                let demand = place.weight / people * category.weight / weights * (1.0 - category.online);
                let count = if category.online < 1.0 { 4 + (SHOPS * demand).round() as usize } else { 0 };
                let cell = made.add(&mut chance, at, count, demand, false, |rank, _| {
                    let chain = (rank < CHAINS).then(|| Names::chain(at, rank));
                    (chain.unwrap_or_else(|| names.next(at)), city as u8)
                });
                made.cells.push(cell);
            }
        }
        let cities = Alias::new(&CITIES.iter().map(|city| city.weight).collect::<Vec<_>>());
        for (at, category) in CATEGORIES.iter().enumerate() {
            let demand = category.weight / weights * category.online;
            let count = if category.online > 0.0 { ONLINE } else { 0 };
            let cell = made
                .add(&mut chance, at, count, demand, true, |_, chance| (names.next(at), cities.choose(chance) as u8));
            made.online.push(cell);
        }
        made
    }

    fn add(
        &mut self,
        chance: &mut Chance,
        category: usize,
        count: usize,
        demand: f64,
        is_online: bool,
        mut name: impl FnMut(usize, &mut Chance) -> (String, u8),
    ) -> Cell {
        let weights: Vec<f64> = (1..=count).map(|rank| power(rank as f64, -POPULARITY)).collect();
        let total: f64 = weights.iter().sum();
        let first = self.all.len() as u32;
        for (rank, weight) in weights.iter().enumerate() {
            let (name, city) = name(rank, chance);
            let share = weight / total * demand;
            let terminals = (1.0 + 19.0 * share / LARGE).min(20.0) as u8;
            let first_terminal = self.all.last().map_or(1_000, |last| last.first_terminal + u32::from(last.terminals));
            let at = (chance.between(-0.5, 0.5) as f32, chance.between(-0.5, 0.5) as f32);
            self.all.push(Shop {
                name,
                category: category as u8,
                city,
                is_online,
                share,
                terminals,
                first_terminal,
                at,
            });
        }
        Cell { shops: first..self.all.len() as u32, choice: Alias::new(&weights) }
    }

    /// A merchant's shops, in ascending order.
    pub(super) fn of_merchant(&self, name: &str) -> Vec<u32> {
        (0..self.all.len() as u32).filter(|shop| self.all[*shop as usize].name == name).collect()
    }

    /// A shop of any category in any city, by its popularity; none that is only online.
    pub(super) fn anywhere(&self, chance: &mut Chance) -> u32 {
        let cities = Alias::new(&CITIES.iter().map(|city| city.weight).collect::<Vec<_>>());
        let in_shops = |category: &Category| category.weight * (1.0 - category.online);
        let categories = Alias::new(&CATEGORIES.iter().map(in_shops).collect::<Vec<_>>());
        let (city, category) = (cities.choose(chance), categories.choose(chance));
        self.cells[city * CATEGORY_COUNT + category].choose(chance)
    }

    /// The shops of a shop's cell, and its share of what is bought there.
    pub(super) fn rivals(&self, shop: u32) -> (Range<u32>, f64) {
        let mut cells = self.cells.iter().chain(&self.online);
        let shops = cells.find(|cell| cell.shops.contains(&shop)).map_or(shop..shop + 1, |cell| cell.shops.clone());
        let weight = |rank: u32| power(f64::from(rank + 1), -POPULARITY);
        let total: f64 = (0..shops.len() as u32).map(weight).sum();
        let share = weight(shop - shops.start) / total;
        (shops, share)
    }

    /// Draws an online shop by its popularity.
    pub(super) fn online(&self, category: usize, chance: &mut Chance) -> u32 {
        self.online[category].choose(chance)
    }

    /// Draws any shop of a city, or without one any that sells online. Each is equally likely.
    pub(super) fn any(&self, city: Option<usize>, category: usize, chance: &mut Chance) -> u32 {
        let cell = city.map_or(&self.online[category], |city| &self.cells[city * CATEGORY_COUNT + category]);
        cell.shops.start + chance.below(cell.shops.end - cell.shops.start)
    }

    /// Draws a shop of a city by its popularity and its distance from a place (gravity).
    pub(super) fn near(&self, city: usize, category: usize, from: (f32, f32), chance: &mut Chance) -> u32 {
        /// The distance, as a share of the city's width, at which a shop is chosen half as often.
        const HALF: f32 = 0.25;
        let cell = &self.cells[city * CATEGORY_COUNT + category];
        let mut found = cell.choose(chance);
        for _ in 0..3 {
            let at = self.all[found as usize].at;
            let square = ((at.0 - from.0).powi(2) + (at.1 - from.1).powi(2)) / (HALF * HALF);
            if chance.unit() < f64::from(1.0 / (1.0 + square)) {
                break;
            }
            found = cell.choose(chance);
        }
        found
    }
}

impl Cell {
    fn choose(&self, chance: &mut Chance) -> u32 {
        self.shops.start + self.choice.choose(chance) as u32
    }
}

/// Gives each merchant its own name.
#[derive(Debug, Default)]
struct Names {
    /// The number of names given to single merchants, by category.
    given: [usize; CATEGORY_COUNT],
}

impl Names {
    /// The name of a category's chain: two words.
    fn chain(category: usize, rank: usize) -> String {
        let nouns = CATEGORIES[category].nouns;
        // 7 and 40 have no common factor, so chains of a category differ in the first word.
        format!("{} {}", FIRST_WORDS[(rank * 7 + category * 3) % FIRST_WORDS.len()], nouns[rank % nouns.len()])
    }

    /// The name of a category's next single merchant: three words.
    fn next(&mut self, category: usize) -> String {
        let number = self.given[category];
        self.given[category] += 1;
        let nouns = CATEGORIES[category].nouns;
        let (noun, pair) = (number % nouns.len(), number / nouns.len());
        // 31 and 40 have no common factor, so every pair of words is used before one is used again.
        let (first, round) = (pair % FIRST_WORDS.len(), pair / FIRST_WORDS.len());
        let second = SECOND_WORDS[(round + first * 5) % SECOND_WORDS.len()];
        format!("{} {second} {}", FIRST_WORDS[(first * 31 + category * 3) % FIRST_WORDS.len()], nouns[noun])
    }
}

#[rustfmt::skip]
const FIRST_WORDS: [&str; 40] = [
    "Harbor", "Maple", "Summit", "Golden", "Bluebird", "Riverside", "Northgate", "Cedar", "Union", "Lakeside",
    "Sunrise", "Velvet", "Copper", "Granite", "Willow", "Orchard", "Beacon", "Juniper", "Atlas", "Meridian",
    "Pinewood", "Silverline", "Crescent", "Prairie", "Coral", "Lantern", "Foxglove", "Ember", "Cobalt", "Larkspur",
    "Driftwood", "Evergreen", "Horizon", "Keystone", "Marigold", "Oakmont", "Paragon", "Quayside", "Redwood",
    "Tidewater",
];

#[rustfmt::skip]
const SECOND_WORDS: [&str; 18] = [
    "Street", "Lane", "Square", "Corner", "Park", "Hill", "Bridge", "Mill", "Court", "Grove", "Yard", "Row", "Wharf",
    "Field", "Green", "Cross", "Arcade", "Terrace",
];
