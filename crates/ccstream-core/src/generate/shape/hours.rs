//! Tests of hours, weekdays and opening hours.

use super::*;
use crate::generate::calendar::{DAY, HOUR, Local};
use crate::generate::categories::CATEGORIES;
use crate::generate::cities::CITIES;
use crate::generate::payment::Kind;

#[test]
fn hours_and_weekdays_are_as_planned() {
    const WEEKS: i64 = 6;
    let mut generator = generator(5, 0.3, 10_000);
    let (mut seen, mut planned) = ([[0.0; 24]; 7], [[0.0; 24]; 7]);
    // The first week is left out: few refunds are due in it.
    let (from, until) = (MONDAY + 7 * DAY, MONDAY + (WEEKS + 1) * 7 * DAY);
    let place = |time: i64| (((time - MONDAY) / DAY % 7) as usize, ((time - MONDAY) / HOUR % 24) as usize);
    loop {
        generator.next_payment();
        if generator.time >= until {
            break;
        }
        let (day, hour) = place(generator.time);
        seen[day][hour] += f64::from(u8::from(generator.time >= from));
    }
    for hour in (from..until).step_by(HOUR as usize) {
        planned[place(hour).0][place(hour).1] += generator.expected_in_hour(Micros(hour));
    }
    let total = |of: &[[f64; 24]; 7]| of.iter().flatten().sum::<f64>();
    let scale = total(&planned) / total(&seen);
    println!("{} events, {:.3} of the rate", total(&seen), total(&seen) / (0.3 * 604_800.0 * WEEKS as f64));
    assert!((scale - 1.0).abs() < 0.02, "the week's mean is the rate: {scale}");
    for day in 0..7 {
        let (found, plan): (f64, f64) = (seen[day].iter().sum(), planned[day].iter().sum());
        assert!((found * scale / plan - 1.0).abs() < 0.05, "day {day}: {found} of {plan}");
    }
    for hour in 0..24 {
        let of = |days: &[[f64; 24]; 7]| days.iter().map(|day| day[hour]).sum::<f64>();
        let (found, plan) = (of(&seen), of(&planned));
        println!("hour {hour:2}: {found:.0} of {plan:.0}");
        assert!((found * scale / plan - 1.0).abs() < 0.05, "hour {hour}: {found} of {plan}");
    }
}

#[test]
fn shops_sell_in_their_opening_hours() {
    let mut generator = generator(6, 0.5, 10_000);
    let (mut in_shops, mut at_night) = (0, 0);
    for seen in stream(&mut generator, 200_000) {
        let shop = &generator.buyers.shops.all[seen.payment.shop as usize];
        let local = Local::at(seen.time, CITIES[usize::from(shop.city)].minutes_ahead);
        if !seen.payment.is_online() && seen.payment.kind == Kind::Purchase {
            let category = &CATEGORIES[usize::from(shop.category)];
            assert!(category.is_open(local.hour), "{} at {}", shop.name, local.hour);
            in_shops += 1;
            at_night += u32::from(local.hour < 6);
        }
    }
    assert!(in_shops > 100_000);
    assert!(at_night > 500, "a service station sells at night: {at_night}");
}
