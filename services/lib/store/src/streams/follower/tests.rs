use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{Follower, Step};

fn items(first: i64, last: i64) -> Vec<(i64, i64)> {
    (first..=last).map(|position| (position, position)).collect()
}

#[test]
fn delivers_bells_in_order_without_sql() {
    let now = Instant::now();
    let mut follower = Follower::new(10);
    follower.bell(11, 12, Some(items(11, 12)), now);
    follower.bell(13, 13, Some(items(13, 13)), now);
    assert_eq!(follower.next(now), Step::Deliver(vec![11, 12]));
    assert_eq!(follower.next(now), Step::Deliver(vec![13]));
    assert_eq!(follower.next(now), Step::Wait(None));
    assert_eq!((follower.head(), follower.gaps()), (13, 0));
}

#[test]
fn waits_a_moment_for_a_bell_that_was_overtaken() {
    let now = Instant::now();
    let mut follower = Follower::new(0);
    follower.bell(2, 2, Some(items(2, 2)), now);
    assert!(matches!(follower.next(now), Step::Wait(Some(_))));
    follower.bell(1, 1, Some(items(1, 1)), now);
    assert_eq!(follower.next(now), Step::Deliver(vec![1]));
    assert_eq!(follower.next(now), Step::Deliver(vec![2]));
    assert_eq!(follower.gaps(), 0);
}

#[test]
fn loads_a_gap_that_stays() {
    let now = Instant::now();
    let mut follower = Follower::new(0);
    follower.bell(3, 3, Some(items(3, 3)), now);
    let later = now + Duration::from_secs(1);
    assert_eq!(follower.next(later), Step::Load { after: 0, upto: 2 });
    follower.loaded(2);
    assert_eq!(follower.next(later), Step::Deliver(vec![3]));
}

#[test]
fn loads_what_no_bell_announced() {
    let now = Instant::now();
    let mut follower = Follower::<i64>::new(5);
    follower.head_is(7);
    assert_eq!(follower.lag(), 2);
    assert_eq!(follower.next(now), Step::Load { after: 5, upto: 7 });
    follower.loaded(7);
    assert_eq!(follower.next(now), Step::Wait(None));
}

#[test]
fn a_bell_without_items_is_loaded() {
    let now = Instant::now();
    let mut follower = Follower::<i64>::new(5);
    follower.bell(6, 9, None, now);
    assert_eq!(follower.next(now), Step::Load { after: 5, upto: 9 });
}

proptest! {
    /// Whatever the bus loses, doubles or reorders: every position once, in order, and the end is reached.
    #[test]
    fn delivers_every_position_once_and_in_order(
        batches in prop::collection::vec((1_i64..5, 0_u8..8, any::<prop::sample::Index>()), 1..60),
    ) {
        let mut bells = Vec::new();
        let mut last = 0;
        for (count, fate, place) in &batches {
            let bell = (last + 1, last + count);
            last += count;
            match fate {
                0 => {}                                                        // lost
                1 => { bells.push((bell, false)); }                            // without items
                2 => { bells.push((bell, true)); bells.push((bell, true)); }   // doubled
                3 => { let at = place.index(bells.len() + 1); bells.insert(at, (bell, true)); } // reordered
                _ => bells.push((bell, true)),
            }
        }
        let mut now = Instant::now();
        let mut follower = Follower::new(0);
        let mut seen = Vec::new();
        let mut drive = |follower: &mut Follower<i64>, now: Instant| loop {
            match follower.next(now) {
                Step::Deliver(items) => seen.extend(items),
                Step::Load { after, upto } => {
                    seen.extend(after + 1..=upto);
                    follower.loaded(upto);
                }
                Step::Wait(_) => break,
            }
        };
        for ((first, end), inline) in bells {
            follower.bell(first, end, inline.then(|| items(first, end)), now);
            drive(&mut follower, now);
            now += Duration::from_millis(7);
        }
        follower.head_is(last);
        drive(&mut follower, now);
        prop_assert_eq!(seen, (1..=last).collect::<Vec<_>>());
        prop_assert_eq!(follower.head(), last);
    }
}
