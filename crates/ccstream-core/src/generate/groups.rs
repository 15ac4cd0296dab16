//! Groups of people who pay at the same hours and for the same categories.

use super::calendar::Date;
use super::categories::{
    CATEGORY_COUNT, ELECTRONICS, ENTERTAINMENT, FOOD, GAS, GROCERY, HEALTH, HOME, KIDS, RESTAURANTS, SHOPPING_NET,
    TRAVEL,
};

/// A group of people. Its hourly weights are relative: each group's week is scaled to its `activity`.
#[derive(Debug)]
pub(super) struct Group {
    /// The share of all cards, relative to other groups.
    pub(super) share: f64,
    /// The number of payments by a card, relative to other groups.
    pub(super) activity: f64,
    /// Weights of the hours from Monday to Friday, local time.
    weekday: [u8; 24],
    /// Weights of the hours on Saturday and Sunday, local time.
    weekend: [u8; 24],
    /// Weights of the days, from Monday, in hundredths.
    days: [u8; 7],
    /// Weights of the months, in hundredths.
    months: [u8; 12],
    /// The weight of a holiday, in hundredths.
    holiday: u8,
    /// The median of its people's amounts, as a multiple of everybody's.
    pub(super) level: f64,
    /// The share of purchases online, as a multiple of a category's.
    pub(super) online: f64,
    /// The share of periods of 60 days in which a person has a trip.
    pub(super) trips: f64,
    /// The least and the greatest age of its people.
    pub(super) ages: (u8, u8),
    /// Factors of the categories that it buys more or less often than others do.
    likes: &'static [(usize, f64)],
}

pub(super) const GROUP_COUNT: usize = 8;

#[rustfmt::skip]
const EVEN_YEAR: [u8; 12] = [97, 97, 99, 100, 101, 100, 98, 97, 100, 101, 104, 106];

#[rustfmt::skip]
pub(super) static GROUPS: [Group; GROUP_COUNT] = [
    // Commuters: on the way to work, at noon, and on the way home.
    Group {
        share: 24.0, activity: 1.1, level: 1.0, online: 1.0, trips: 0.4, ages: (20, 60), holiday: 55,
        weekday: [1, 0, 0, 0, 1, 3, 12, 30, 34, 20, 14, 18, 34, 28, 16, 16, 22, 36, 34, 26, 18, 12, 7, 3],
        weekend: [3, 2, 1, 0, 0, 1, 2, 5, 11, 20, 28, 32, 33, 31, 29, 28, 27, 27, 28, 26, 20, 14, 9, 5],
        days: [96, 99, 100, 102, 114, 106, 83], months: EVEN_YEAR,
        likes: &[(GAS, 1.5), (FOOD, 1.3)],
    },
    // Families: mornings, after school, and Saturday.
    Group {
        share: 22.0, activity: 1.2, level: 1.15, online: 1.0, trips: 0.4, ages: (28, 55), holiday: 50,
        weekday: [0, 0, 0, 0, 0, 2, 6, 14, 22, 28, 30, 28, 24, 22, 24, 30, 36, 38, 30, 20, 12, 7, 4, 2],
        weekend: [1, 1, 0, 0, 0, 1, 3, 8, 18, 32, 40, 40, 34, 30, 32, 34, 32, 28, 24, 18, 12, 7, 4, 2],
        days: [92, 92, 94, 98, 112, 126, 86], months: [94, 95, 97, 98, 99, 100, 102, 104, 99, 99, 104, 109],
        likes: &[(GROCERY, 1.4), (KIDS, 2.2), (HOME, 1.4)],
    },
    // The night shift: evenings, and the small hours.
    Group {
        share: 5.0, activity: 0.9, level: 0.85, online: 1.1, trips: 0.25, ages: (20, 60), holiday: 80,
        weekday: [18, 16, 14, 14, 16, 20, 24, 20, 12, 6, 4, 3, 3, 5, 10, 18, 24, 26, 24, 22, 20, 22, 24, 22],
        weekend: [20, 18, 16, 14, 14, 16, 18, 14, 10, 8, 8, 8, 10, 14, 18, 22, 24, 24, 22, 20, 20, 22, 24, 24],
        days: [98, 98, 100, 100, 104, 104, 96], months: EVEN_YEAR,
        likes: &[(GAS, 1.4), (FOOD, 1.3), (ENTERTAINMENT, 0.6)],
    },
    // Retired people: mornings, hardly ever at night.
    Group {
        share: 14.0, activity: 0.75, level: 0.9, online: 0.5, trips: 0.5, ages: (62, 90), holiday: 45,
        weekday: [0, 0, 0, 0, 0, 1, 4, 10, 24, 36, 40, 38, 30, 22, 20, 20, 18, 14, 9, 6, 4, 2, 1, 0],
        weekend: [0, 0, 0, 0, 0, 1, 3, 8, 20, 32, 36, 34, 30, 24, 20, 18, 16, 12, 8, 5, 3, 2, 1, 0],
        days: [102, 106, 106, 106, 110, 94, 76], months: [92, 94, 98, 102, 106, 106, 102, 100, 102, 102, 98, 98],
        likes: &[(GROCERY, 1.5), (HEALTH, 2.0), (ELECTRONICS, 0.5), (KIDS, 0.5)],
    },
    // Students: late, and more on Friday and Saturday.
    Group {
        share: 12.0, activity: 0.95, level: 0.6, online: 1.4, trips: 0.35, ages: (18, 27), holiday: 60,
        weekday: [8, 5, 3, 2, 1, 1, 2, 6, 10, 14, 18, 22, 28, 26, 22, 22, 24, 28, 32, 34, 32, 28, 22, 14],
        weekend: [18, 14, 10, 6, 3, 1, 1, 2, 5, 10, 16, 22, 26, 28, 28, 28, 28, 30, 34, 36, 34, 32, 28, 22],
        days: [90, 92, 95, 102, 120, 116, 85], months: [100, 102, 103, 103, 103, 95, 84, 84, 104, 108, 106, 108],
        likes: &[(FOOD, 1.4), (ENTERTAINMENT, 1.6), (SHOPPING_NET, 1.3), (KIDS, 0.2), (HOME, 0.4)],
    },
    // Business people: weekdays, lunch and dinner.
    Group {
        share: 8.0, activity: 1.45, level: 1.7, online: 1.0, trips: 0.9, ages: (28, 65), holiday: 40,
        weekday: [1, 1, 0, 0, 1, 4, 12, 22, 24, 22, 20, 22, 36, 34, 20, 18, 20, 24, 32, 36, 28, 16, 8, 3],
        weekend: [2, 1, 1, 0, 0, 1, 3, 6, 12, 20, 26, 28, 30, 28, 24, 22, 22, 24, 28, 30, 24, 14, 8, 4],
        days: [106, 112, 114, 114, 108, 80, 66], months: [98, 102, 104, 102, 103, 102, 92, 86, 104, 106, 104, 97],
        likes: &[(RESTAURANTS, 2.0), (TRAVEL, 2.0), (GROCERY, 0.6)],
    },
    // Travellers: all day, more in summer.
    Group {
        share: 7.0, activity: 1.25, level: 1.3, online: 1.2, trips: 1.0, ages: (22, 75), holiday: 90,
        weekday: [4, 3, 2, 2, 3, 6, 10, 16, 20, 24, 26, 26, 28, 26, 24, 24, 26, 28, 32, 34, 28, 20, 12, 7],
        weekend: [6, 4, 3, 2, 2, 5, 8, 14, 20, 26, 28, 28, 29, 28, 26, 26, 27, 28, 31, 32, 28, 21, 14, 9],
        days: [94, 94, 96, 100, 110, 110, 96], months: [86, 90, 95, 100, 104, 110, 120, 118, 102, 96, 88, 91],
        likes: &[(TRAVEL, 2.5), (RESTAURANTS, 1.5), (HOME, 0.5)],
    },
    // Small firms: office hours.
    Group {
        share: 8.0, activity: 1.9, level: 1.6, online: 1.1, trips: 0.4, ages: (25, 65), holiday: 20,
        weekday: [0, 0, 0, 0, 0, 2, 10, 26, 36, 38, 36, 32, 22, 30, 34, 32, 28, 20, 10, 5, 3, 2, 1, 0],
        weekend: [0, 0, 0, 0, 0, 1, 3, 6, 12, 16, 16, 14, 10, 8, 7, 6, 5, 4, 3, 2, 1, 1, 0, 0],
        days: [128, 134, 134, 128, 114, 36, 26], months: [100, 101, 103, 102, 102, 101, 95, 90, 103, 104, 102, 97],
        likes: &[(HOME, 2.0), (ELECTRONICS, 1.6), (GAS, 1.4), (KIDS, 0.2), (ENTERTAINMENT, 0.3)],
    },
];

impl Group {
    /// The weights of the 168 hours of a week without a season, from Monday. Their mean is `activity`.
    pub(super) fn week(&self) -> [f64; 168] {
        let week: [f64; 168] = std::array::from_fn(|at| {
            let (day, hour) = (at / 24, at % 24);
            let hours = if day < 5 { &self.weekday } else { &self.weekend };
            let total: f64 = hours.iter().copied().map(f64::from).sum();
            f64::from(self.days[day]) * f64::from(hours[hour]) / total
        });
        let scale = self.activity * week.len() as f64 / week.iter().sum::<f64>();
        week.map(|weight| weight * scale)
    }

    /// The factor of a day: its month, and whether it is a holiday or a busy day.
    pub(super) fn season(&self, date: Date) -> f64 {
        let day = match (date.is_holiday(), date.is_busy()) {
            (true, _) => f64::from(self.holiday) / 100.0,
            (_, true) => 1.15,
            _ => 1.0,
        };
        day * f64::from(self.months[usize::from(date.month) - 1]) / 100.0
    }

    /// The factor of a category.
    pub(super) fn liking(&self, category: usize) -> f64 {
        debug_assert!(category < CATEGORY_COUNT);
        self.likes.iter().find(|like| like.0 == category).map_or(1.0, |like| like.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_has_the_groups_activity() {
        for group in &GROUPS {
            let week = group.week();
            let mean = week.iter().sum::<f64>() / 168.0;
            assert!((mean / group.activity - 1.0).abs() < 1e-9, "{mean} of {}", group.activity);
            let (friday, weight) = (week[4 * 24..5 * 24].iter().sum::<f64>(), week.iter().sum::<f64>());
            let planned =
                f64::from(group.days[4]) / f64::from(group.days.iter().map(|&day| u16::from(day)).sum::<u16>());
            assert!((friday / weight / planned - 1.0).abs() < 1e-9);
        }
    }
}
