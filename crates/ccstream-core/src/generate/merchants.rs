//! Merchant categories and the merchants in them. All names are made up.

use super::cities::CITIES;

/// A merchant category: what is bought, how often and for how much.
#[derive(Debug)]
pub(super) struct Category {
    pub(super) name: &'static str,
    /// ISO 18245 merchant category code.
    pub(super) mcc: &'static str,
    /// Share of all transactions, relative to the others.
    pub(super) weight: f64,
    /// Half of the amounts are below this, in US dollars.
    pub(super) median: f64,
    /// Sigma of the log-normal amount: 0.55 to 1.6 in public purchase-card data.
    pub(super) sigma: f64,
    /// Share of sales without the card being there.
    pub(super) online: f64,
    /// The second half of its merchants' names.
    nouns: &'static [&'static str],
}

macro_rules! category {
    ($name:literal, $mcc:literal, $weight:literal, $median:literal, $sigma:literal, $online:literal, $nouns:expr) => {
        Category {
            name: $name,
            mcc: $mcc,
            weight: $weight,
            median: $median,
            sigma: $sigma,
            online: $online,
            nouns: &$nouns,
        }
    };
}

#[rustfmt::skip]
pub(super) static CATEGORIES: [Category; 16] = [
    category!("grocery_pos", "5411", 15.0, 38.0, 0.75, 0.0, ["Market", "Foods", "Grocers", "Pantry"]),
    category!("grocery_net", "5499", 4.0, 62.0, 0.6, 1.0, ["Fresh Box", "Pantry Online", "Basket"]),
    category!("gas_transport", "5541", 11.0, 42.0, 0.55, 0.0, ["Fuel", "Service Station", "Energy Stop"]),
    category!("food_dining", "5814", 17.0, 14.5, 0.7, 0.1, ["Coffee", "Bakery", "Noodle Bar", "Kitchen", "Grill"]),
    category!("restaurants", "5812", 8.0, 46.0, 0.7, 0.05, ["Bistro", "Trattoria", "Dining Room", "Brasserie"]),
    category!("shopping_pos", "5311", 7.0, 55.0, 1.1, 0.0, ["Department Store", "Outfitters", "Trading Co."]),
    category!("shopping_net", "5964", 9.0, 44.0, 1.2, 1.0, ["Online", "Direct", "Marketplace"]),
    category!("electronics", "5732", 2.5, 140.0, 1.2, 0.5, ["Electronics", "Camera & Sound", "Computing"]),
    category!("entertainment", "7832", 5.0, 26.0, 0.8, 0.4, ["Cinemas", "Games", "Theatre", "Concert Hall"]),
    category!("subscriptions", "4899", 4.0, 12.99, 0.5, 1.0, ["Stream", "Music", "Cloud", "News Daily"]),
    category!("health_fitness", "8099", 4.0, 48.0, 1.0, 0.15, ["Pharmacy", "Gym", "Clinic", "Dental Care"]),
    category!("home", "5200", 4.0, 58.0, 1.2, 0.2, ["Hardware", "Garden Centre", "Furnishings"]),
    category!("kids_pets", "5995", 3.5, 34.0, 0.85, 0.25, ["Pet Supplies", "Toys", "Children's Wear"]),
    category!("personal_care", "7230", 3.0, 32.0, 0.7, 0.05, ["Hair Studio", "Barbers", "Spa", "Cosmetics"]),
    category!("travel", "4722", 2.0, 260.0, 1.3, 0.8, ["Airways", "Hotels", "Travel", "Rail", "Car Rental"]),
    category!("utilities", "4900", 1.0, 88.0, 0.6, 0.9, ["Power", "Water", "Gas & Light"]),
];

/// Merchants in each category; with 16 categories, 400 in all.
pub(super) const MERCHANTS_PER_CATEGORY: usize = 25;

/// Zipf's exponent of merchants' popularity, as in public purchase-card data.
pub(super) const POPULARITY: f64 = 1.16;

const FIRST_WORDS: [&str; 40] = [
    "Harbor",
    "Maple",
    "Summit",
    "Golden",
    "Bluebird",
    "Riverside",
    "Northgate",
    "Cedar",
    "Union",
    "Lakeside",
    "Sunrise",
    "Velvet",
    "Copper",
    "Granite",
    "Willow",
    "Orchard",
    "Beacon",
    "Juniper",
    "Atlas",
    "Meridian",
    "Pinewood",
    "Silverline",
    "Crescent",
    "Prairie",
    "Coral",
    "Lantern",
    "Foxglove",
    "Ember",
    "Cobalt",
    "Larkspur",
    "Driftwood",
    "Evergreen",
    "Horizon",
    "Keystone",
    "Marigold",
    "Oakmont",
    "Paragon",
    "Quayside",
    "Redwood",
    "Tidewater",
];

/// A merchant: one name everywhere, one home.
#[derive(Debug)]
pub(super) struct Merchant {
    pub(super) name: String,
    pub(super) category: usize,
    /// Where it is registered: the place of its sales without the card being there.
    pub(super) city: usize,
}

/// All merchants, category by category, the most popular first. The same for every seed, so that
/// a dashboard knows them again from run to run.
pub(super) fn merchants() -> Vec<Merchant> {
    let mut all = Vec::with_capacity(CATEGORIES.len() * MERCHANTS_PER_CATEGORY);
    for (category, kind) in CATEGORIES.iter().enumerate() {
        for place in 0..MERCHANTS_PER_CATEGORY {
            // 7 and 40 have no common factor, so no first word comes twice in a category.
            let first = FIRST_WORDS[(place * 7 + category * 3) % FIRST_WORDS.len()];
            let noun = kind.nouns[place % kind.nouns.len()];
            let city = (place * 13 + category * 5) % CITIES.len();
            all.push(Merchant { name: format!("{first} {noun}"), category, city });
        }
    }
    all
}
