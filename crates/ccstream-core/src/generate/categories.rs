//! Merchant categories say what is bought, how often, for how much, and when.

/// A merchant category.
#[derive(Debug)]
pub(super) struct Category {
    pub(super) name: &'static str,
    /// ISO 18245 merchant category code.
    pub(super) mcc: &'static str,
    /// The share of all transactions, relative to other categories.
    pub(super) weight: f64,
    /// The median amount, in US dollars.
    pub(super) median: f64,
    /// Sigma of the log-normal amount: 0.55 to 1.6 in public purchase-card data.
    pub(super) sigma: f64,
    /// The share of sales online.
    pub(super) online: f64,
    /// The opening hours of its shops, local time: from the first hour to before the second.
    pub(super) open: (u8, u8),
    /// The number of a person's usual places, online if more is sold there than in shops. 0: people have none.
    pub(super) favourites: u8,
    /// The share of approved purchases that are refunded.
    pub(super) refunds: f64,
    /// The last word of its merchants' names.
    pub(super) nouns: &'static [&'static str],
}

macro_rules! category {
    (
        $name:literal, $mcc:literal, $weight:literal, $median:literal, $sigma:literal, $online:literal,
        $open:expr, $favourites:literal, $refunds:literal, $nouns:expr
    ) => {
        Category {
            name: $name,
            mcc: $mcc,
            weight: $weight,
            median: $median,
            sigma: $sigma,
            online: $online,
            open: $open,
            favourites: $favourites,
            refunds: $refunds,
            nouns: &$nouns,
        }
    };
}

/// How many categories there are.
pub(super) const CATEGORY_COUNT: usize = 16;

#[rustfmt::skip]
pub(super) static CATEGORIES: [Category; CATEGORY_COUNT] = [
    category!("grocery_pos", "5411", 15.0, 38.0, 0.75, 0.0, (7, 22), 2, 0.008, ["Market", "Foods", "Grocers", "Pantry"]),
    category!("grocery_net", "5499", 4.0, 62.0, 0.6, 1.0, (0, 24), 1, 0.02, ["Fresh Box", "Pantry Online", "Basket"]),
    category!("gas_transport", "5541", 11.0, 42.0, 0.55, 0.0, (0, 24), 1, 0.003, ["Fuel", "Service Station", "Energy Stop"]),
    category!("food_dining", "5814", 17.0, 14.5, 0.7, 0.1, (6, 23), 2, 0.003, ["Coffee", "Bakery", "Noodle Bar", "Kitchen", "Grill"]),
    category!("restaurants", "5812", 8.0, 46.0, 0.7, 0.05, (11, 23), 1, 0.004, ["Bistro", "Trattoria", "Dining Room", "Brasserie"]),
    category!("shopping_pos", "5311", 7.0, 55.0, 1.1, 0.0, (9, 20), 1, 0.085, ["Department Store", "Outfitters", "Trading Co."]),
    category!("shopping_net", "5964", 9.0, 44.0, 1.2, 1.0, (0, 24), 1, 0.13, ["Online", "Direct", "Marketplace"]),
    category!("electronics", "5732", 2.5, 140.0, 1.2, 0.5, (10, 20), 0, 0.08, ["Electronics", "Camera & Sound", "Computing"]),
    category!("entertainment", "7832", 5.0, 26.0, 0.8, 0.4, (10, 24), 1, 0.02, ["Cinemas", "Games", "Theatre", "Concert Hall"]),
    category!("subscriptions", "4899", 4.0, 12.99, 0.5, 1.0, (0, 24), 1, 0.01, ["Stream", "Music", "Cloud", "News Daily"]),
    category!("health_fitness", "8099", 4.0, 48.0, 1.0, 0.15, (8, 20), 1, 0.01, ["Pharmacy", "Gym", "Clinic", "Dental Care"]),
    category!("home", "5200", 4.0, 58.0, 1.2, 0.2, (8, 20), 0, 0.065, ["Hardware", "Garden Centre", "Furnishings"]),
    category!("kids_pets", "5995", 3.5, 34.0, 0.85, 0.25, (9, 19), 0, 0.04, ["Pet Supplies", "Toys", "Children's Wear"]),
    category!("personal_care", "7230", 3.0, 32.0, 0.7, 0.05, (9, 20), 1, 0.01, ["Hair Studio", "Barbers", "Spa", "Cosmetics"]),
    category!("travel", "4722", 2.0, 260.0, 1.3, 0.8, (8, 20), 0, 0.06, ["Airways", "Hotels", "Travel", "Rail", "Car Rental"]),
    category!("utilities", "4900", 1.0, 88.0, 0.6, 0.9, (8, 18), 1, 0.005, ["Power", "Water", "Gas & Light"]),
];

impl Category {
    /// Whether people have usual places for this category, online or in shops.
    pub(super) fn has_favourites(&self, is_online: bool) -> bool {
        self.favourites > 0 && is_online == (self.online > 0.5)
    }

    /// Whether its shops sell at this hour of the day.
    pub(super) fn is_open(&self, hour: u8) -> bool {
        (self.open.0..self.open.1).contains(&hour)
    }
}

/// The index of a category by its name. In a constant, an unknown name does not compile.
const fn category(name: &str) -> usize {
    let mut at = 0;
    while at < CATEGORY_COUNT {
        if crate::fields::is_same(CATEGORIES[at].name, name) {
            return at;
        }
        at += 1;
    }
    panic!("there is no such category")
}

// The indices of the categories that other modules name. Subscriptions are paid on a day of the month.
pub(super) const GROCERY: usize = category("grocery_pos");
pub(super) const GROCERY_NET: usize = category("grocery_net");
pub(super) const GAS: usize = category("gas_transport");
pub(super) const FOOD: usize = category("food_dining");
pub(super) const RESTAURANTS: usize = category("restaurants");
pub(super) const SHOPPING_POS: usize = category("shopping_pos");
pub(super) const SHOPPING_NET: usize = category("shopping_net");
pub(super) const ELECTRONICS: usize = category("electronics");
pub(super) const ENTERTAINMENT: usize = category("entertainment");
pub(super) const SUBSCRIPTIONS: usize = category("subscriptions");
pub(super) const HEALTH: usize = category("health_fitness");
pub(super) const HOME: usize = category("home");
pub(super) const KIDS: usize = category("kids_pets");
pub(super) const CARE: usize = category("personal_care");
pub(super) const TRAVEL: usize = category("travel");
