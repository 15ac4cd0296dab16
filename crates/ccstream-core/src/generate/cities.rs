//! The world of the generator: cities with their coordinates, countries and currencies.

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
}

const fn country(code: &'static str, currency: &'static str, per_dollar: f64) -> Country {
    Country { code, currency, per_dollar, whole: per_dollar > 100.0 }
}

static US: Country = country("US", "USD", 1.0);
static CA: Country = country("CA", "CAD", 1.4);
static MX: Country = country("MX", "MXN", 18.0);
static BR: Country = country("BR", "BRL", 5.5);
static GB: Country = country("GB", "GBP", 0.8);
static IE: Country = country("IE", "EUR", 0.9);
static FR: Country = country("FR", "EUR", 0.9);
static DE: Country = country("DE", "EUR", 0.9);
static ES: Country = country("ES", "EUR", 0.9);
static IT: Country = country("IT", "EUR", 0.9);
static NL: Country = country("NL", "EUR", 0.9);
static PT: Country = country("PT", "EUR", 0.9);
static AT: Country = country("AT", "EUR", 0.9);
static CH: Country = country("CH", "CHF", 0.9);
static SE: Country = country("SE", "SEK", 10.0);
static PL: Country = country("PL", "PLN", 4.0);
static TR: Country = country("TR", "TRY", 40.0);
static AE: Country = country("AE", "AED", 3.7);
static IN: Country = country("IN", "INR", 85.0);
static SG: Country = country("SG", "SGD", 1.3);
static JP: Country = country("JP", "JPY", 150.0);
static KR: Country = country("KR", "KRW", 1400.0);
static AU: Country = country("AU", "AUD", 1.5);
static ZA: Country = country("ZA", "ZAR", 18.0);
static KE: Country = country("KE", "KES", 100.0);

/// A city: where cards live and merchants trade.
#[derive(Debug)]
pub(super) struct City {
    pub(super) name: &'static str,
    pub(super) country: &'static Country,
    pub(super) latitude: f64,
    pub(super) longitude: f64,
    /// How many cards live there, relative to the others.
    pub(super) weight: f64,
}

const fn city(name: &'static str, country: &'static Country, latitude: f64, longitude: f64, weight: f64) -> City {
    City { name, country, latitude, longitude, weight }
}

/// Coordinates to a hundredth of a degree, about a kilometre.
pub(super) static CITIES: [City; 60] = [
    city("New York", &US, 40.71, -74.01, 80.0),
    city("Los Angeles", &US, 34.05, -118.24, 60.0),
    city("Chicago", &US, 41.88, -87.63, 50.0),
    city("Houston", &US, 29.76, -95.37, 40.0),
    city("Phoenix", &US, 33.45, -112.07, 28.0),
    city("Philadelphia", &US, 39.95, -75.17, 30.0),
    city("San Antonio", &US, 29.42, -98.49, 22.0),
    city("San Diego", &US, 32.72, -117.16, 24.0),
    city("Dallas", &US, 32.78, -96.8, 34.0),
    city("Austin", &US, 30.27, -97.74, 22.0),
    city("San Francisco", &US, 37.77, -122.42, 34.0),
    city("Seattle", &US, 47.61, -122.33, 30.0),
    city("Denver", &US, 39.74, -104.99, 22.0),
    city("Boston", &US, 42.36, -71.06, 30.0),
    city("Atlanta", &US, 33.75, -84.39, 28.0),
    city("Miami", &US, 25.76, -80.19, 28.0),
    city("Minneapolis", &US, 44.98, -93.27, 18.0),
    city("Portland", &US, 45.52, -122.68, 16.0),
    city("Nashville", &US, 36.16, -86.78, 16.0),
    city("Honolulu", &US, 21.31, -157.86, 8.0),
    city("Toronto", &CA, 43.65, -79.38, 30.0),
    city("Montreal", &CA, 45.5, -73.57, 20.0),
    city("Vancouver", &CA, 49.28, -123.12, 18.0),
    city("Mexico City", &MX, 19.43, -99.13, 24.0),
    city("São Paulo", &BR, -23.55, -46.63, 26.0),
    city("Rio de Janeiro", &BR, -22.91, -43.17, 16.0),
    city("London", &GB, 51.51, -0.13, 50.0),
    city("Manchester", &GB, 53.48, -2.24, 16.0),
    city("Birmingham", &GB, 52.48, -1.9, 16.0),
    city("Edinburgh", &GB, 55.95, -3.19, 12.0),
    city("Dublin", &IE, 53.35, -6.26, 12.0),
    city("Paris", &FR, 48.86, 2.35, 34.0),
    city("Lyon", &FR, 45.76, 4.84, 12.0),
    city("Berlin", &DE, 52.52, 13.4, 24.0),
    city("Munich", &DE, 48.14, 11.58, 18.0),
    city("Hamburg", &DE, 53.55, 9.99, 14.0),
    city("Madrid", &ES, 40.42, -3.7, 20.0),
    city("Barcelona", &ES, 41.39, 2.17, 18.0),
    city("Rome", &IT, 41.9, 12.5, 16.0),
    city("Milan", &IT, 45.46, 9.19, 16.0),
    city("Amsterdam", &NL, 52.37, 4.9, 16.0),
    city("Lisbon", &PT, 38.72, -9.14, 10.0),
    city("Vienna", &AT, 48.21, 16.37, 12.0),
    city("Zürich", &CH, 47.37, 8.54, 14.0),
    city("Stockholm", &SE, 59.33, 18.07, 12.0),
    city("Warsaw", &PL, 52.23, 21.01, 12.0),
    city("Istanbul", &TR, 41.01, 28.98, 16.0),
    city("Dubai", &AE, 25.2, 55.27, 14.0),
    city("Mumbai", &IN, 19.08, 72.88, 24.0),
    city("Delhi", &IN, 28.61, 77.21, 22.0),
    city("Bengaluru", &IN, 12.97, 77.59, 16.0),
    city("Singapore", &SG, 1.35, 103.82, 20.0),
    city("Tokyo", &JP, 35.68, 139.69, 40.0),
    city("Osaka", &JP, 34.69, 135.5, 18.0),
    city("Seoul", &KR, 37.57, 126.98, 26.0),
    city("Sydney", &AU, -33.87, 151.21, 22.0),
    city("Melbourne", &AU, -37.81, 144.96, 18.0),
    city("Cape Town", &ZA, -33.92, 18.42, 10.0),
    city("Johannesburg", &ZA, -26.2, 28.05, 10.0),
    city("Nairobi", &KE, -1.29, 36.82, 8.0),
];
