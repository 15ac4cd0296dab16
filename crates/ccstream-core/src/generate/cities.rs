//! The cities of the simulated world, with their coordinates, countries and currencies.

/// A country, its currency, and what one US dollar is there: a round figure, for plausible amounts.
#[derive(Debug)]
pub(super) struct Country {
    /// ISO 3166-1 alpha-2.
    pub(super) code: &'static str,
    /// ISO 4217.
    pub(super) currency: &'static str,
    pub(super) per_dollar: f64,
    /// Currencies without a minor unit (ISO 4217) have whole amounts.
    pub(super) whole: bool,
    /// A number that no other country has.
    pub(super) number: u8,
}

const fn country(number: u8, code: &'static str, currency: &'static str, per_dollar: f64) -> Country {
    Country { code, currency, per_dollar, whole: per_dollar > 100.0, number }
}

static US: Country = country(0, "US", "USD", 1.0);
static CA: Country = country(1, "CA", "CAD", 1.4);
static MX: Country = country(2, "MX", "MXN", 18.0);
static BR: Country = country(3, "BR", "BRL", 5.5);
static GB: Country = country(4, "GB", "GBP", 0.8);
static IE: Country = country(5, "IE", "EUR", 0.9);
static FR: Country = country(6, "FR", "EUR", 0.9);
static DE: Country = country(7, "DE", "EUR", 0.9);
static ES: Country = country(8, "ES", "EUR", 0.9);
static IT: Country = country(9, "IT", "EUR", 0.9);
static NL: Country = country(10, "NL", "EUR", 0.9);
static PT: Country = country(11, "PT", "EUR", 0.9);
static AT: Country = country(12, "AT", "EUR", 0.9);
static CH: Country = country(13, "CH", "CHF", 0.9);
static SE: Country = country(14, "SE", "SEK", 10.0);
static PL: Country = country(15, "PL", "PLN", 4.0);
static TR: Country = country(16, "TR", "TRY", 40.0);
static AE: Country = country(17, "AE", "AED", 3.7);
static IN: Country = country(18, "IN", "INR", 85.0);
static SG: Country = country(19, "SG", "SGD", 1.3);
static JP: Country = country(20, "JP", "JPY", 150.0);
static KR: Country = country(21, "KR", "KRW", 1400.0);
static AU: Country = country(22, "AU", "AUD", 1.5);
static ZA: Country = country(23, "ZA", "ZAR", 18.0);
static KE: Country = country(24, "KE", "KES", 100.0);

/// A city: where cards live and merchants trade.
#[derive(Debug)]
pub(super) struct City {
    pub(super) name: &'static str,
    pub(super) country: &'static Country,
    pub(super) latitude: f64,
    pub(super) longitude: f64,
    /// The minutes by which its standard time is ahead of UTC.
    pub(super) minutes_ahead: i16,
    /// How many cards live there, relative to the others.
    pub(super) weight: f64,
}

const fn city(
    name: &'static str,
    country: &'static Country,
    latitude: f64,
    longitude: f64,
    minutes_ahead: i16,
    weight: f64,
) -> City {
    City { name, country, latitude, longitude, minutes_ahead, weight }
}

/// How many cities there are.
pub(super) const CITY_COUNT: usize = 60;

/// Coordinates to a hundredth of a degree, about a kilometre.
pub(super) static CITIES: [City; CITY_COUNT] = [
    city("New York", &US, 40.71, -74.01, -300, 80.0),
    city("Los Angeles", &US, 34.05, -118.24, -480, 60.0),
    city("Chicago", &US, 41.88, -87.63, -360, 50.0),
    city("Houston", &US, 29.76, -95.37, -360, 40.0),
    city("Phoenix", &US, 33.45, -112.07, -420, 28.0),
    city("Philadelphia", &US, 39.95, -75.17, -300, 30.0),
    city("San Antonio", &US, 29.42, -98.49, -360, 22.0),
    city("San Diego", &US, 32.72, -117.16, -480, 24.0),
    city("Dallas", &US, 32.78, -96.8, -360, 34.0),
    city("Austin", &US, 30.27, -97.74, -360, 22.0),
    city("San Francisco", &US, 37.77, -122.42, -480, 34.0),
    city("Seattle", &US, 47.61, -122.33, -480, 30.0),
    city("Denver", &US, 39.74, -104.99, -420, 22.0),
    city("Boston", &US, 42.36, -71.06, -300, 30.0),
    city("Atlanta", &US, 33.75, -84.39, -300, 28.0),
    city("Miami", &US, 25.76, -80.19, -300, 28.0),
    city("Minneapolis", &US, 44.98, -93.27, -360, 18.0),
    city("Portland", &US, 45.52, -122.68, -480, 16.0),
    city("Nashville", &US, 36.16, -86.78, -360, 16.0),
    city("Honolulu", &US, 21.31, -157.86, -600, 8.0),
    city("Toronto", &CA, 43.65, -79.38, -300, 30.0),
    city("Montreal", &CA, 45.5, -73.57, -300, 20.0),
    city("Vancouver", &CA, 49.28, -123.12, -480, 18.0),
    city("Mexico City", &MX, 19.43, -99.13, -360, 24.0),
    city("São Paulo", &BR, -23.55, -46.63, -180, 26.0),
    city("Rio de Janeiro", &BR, -22.91, -43.17, -180, 16.0),
    city("London", &GB, 51.51, -0.13, 0, 50.0),
    city("Manchester", &GB, 53.48, -2.24, 0, 16.0),
    city("Birmingham", &GB, 52.48, -1.9, 0, 16.0),
    city("Edinburgh", &GB, 55.95, -3.19, 0, 12.0),
    city("Dublin", &IE, 53.35, -6.26, 0, 12.0),
    city("Paris", &FR, 48.86, 2.35, 60, 34.0),
    city("Lyon", &FR, 45.76, 4.84, 60, 12.0),
    city("Berlin", &DE, 52.52, 13.4, 60, 24.0),
    city("Munich", &DE, 48.14, 11.58, 60, 18.0),
    city("Hamburg", &DE, 53.55, 9.99, 60, 14.0),
    city("Madrid", &ES, 40.42, -3.7, 60, 20.0),
    city("Barcelona", &ES, 41.39, 2.17, 60, 18.0),
    city("Rome", &IT, 41.9, 12.5, 60, 16.0),
    city("Milan", &IT, 45.46, 9.19, 60, 16.0),
    city("Amsterdam", &NL, 52.37, 4.9, 60, 16.0),
    city("Lisbon", &PT, 38.72, -9.14, 0, 10.0),
    city("Vienna", &AT, 48.21, 16.37, 60, 12.0),
    city("Zürich", &CH, 47.37, 8.54, 60, 14.0),
    city("Stockholm", &SE, 59.33, 18.07, 60, 12.0),
    city("Warsaw", &PL, 52.23, 21.01, 60, 12.0),
    city("Istanbul", &TR, 41.01, 28.98, 180, 16.0),
    city("Dubai", &AE, 25.2, 55.27, 240, 14.0),
    city("Mumbai", &IN, 19.08, 72.88, 330, 24.0),
    city("Delhi", &IN, 28.61, 77.21, 330, 22.0),
    city("Bengaluru", &IN, 12.97, 77.59, 330, 16.0),
    city("Singapore", &SG, 1.35, 103.82, 480, 20.0),
    city("Tokyo", &JP, 35.68, 139.69, 540, 40.0),
    city("Osaka", &JP, 34.69, 135.5, 540, 18.0),
    city("Seoul", &KR, 37.57, 126.98, 540, 26.0),
    city("Sydney", &AU, -33.87, 151.21, 600, 22.0),
    city("Melbourne", &AU, -37.81, 144.96, 600, 18.0),
    city("Cape Town", &ZA, -33.92, 18.42, 120, 10.0),
    city("Johannesburg", &ZA, -26.2, 28.05, 120, 10.0),
    city("Nairobi", &KE, -1.29, 36.82, 180, 8.0),
];
