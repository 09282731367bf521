//! Names on their way into rooms.

use matrixon_store::{Db, exec, sql};

use super::harness::on_both;
use crate::store::propagations::{self, Lease};

async fn enqueue(db: &Db, changes: &[(&str, i64)]) {
    let mut tx = db.begin().await.unwrap();
    propagations::enqueue(&mut tx, changes).await.unwrap();
    tx.commit().await.unwrap();
}

async fn rows(db: &Db) -> Vec<(String, i64, i64)> {
    let query = "select user_id, position, next_room from profile_propagations order by user_id";
    sql!(db.read(), fetch_all as (String, i64, i64), query).unwrap()
}

/// The queue: who waits longest is next, a newer change starts anew, a lost lease is noticed.
#[test]
fn propagations_are_a_fair_queue() {
    on_both(|db| async move {
        let lease = |owner: &'static str, now_ms: i64| Lease { owner, now_ms, until_ms: now_ms + 100 };
        enqueue(&db, &[("@a:b", 1), ("@c:d", 2)]).await;
        let mut a = propagations::claim(&db, lease("one", 1_000)).await.unwrap().unwrap();
        let c = propagations::claim(&db, lease("two", 1_000)).await.unwrap().unwrap();
        assert_eq!((a.user_id.as_str(), c.user_id.as_str()), ("@a:b", "@c:d"));
        assert_eq!(propagations::claim(&db, lease("three", 1_000)).await.unwrap(), None, "both are worked on");
        a.next_room = 25;
        assert!(propagations::progress(&db, lease("one", 1_010), &a).await.unwrap());
        assert!(propagations::finish(&db, lease("two", 1_010), &c).await.unwrap());
        enqueue(&db, &[("@c:d", 3)]).await;
        let next = propagations::claim(&db, lease("one", 1_020)).await.unwrap().unwrap();
        assert_eq!(next.user_id, "@c:d", "who has not been served comes before who has");
        let a = propagations::claim(&db, lease("two", 1_020)).await.unwrap().unwrap();
        assert_eq!(a.next_room, 25);
        // a newer change comes meanwhile; an older one changes nothing
        enqueue(&db, &[("@a:b", 7)]).await;
        enqueue(&db, &[("@a:b", 5)]).await;
        assert!(!propagations::finish(&db, lease("two", 1_030), &a).await.unwrap());
        propagations::restart(&db, lease("two", 1_030), &a).await.unwrap();
        assert_eq!(rows(&db).await, [("@a:b".to_owned(), 7, 0), ("@c:d".to_owned(), 3, 0)]);
        // one's lease on c has ended, three takes over and finishes, one wakes up
        let taken = propagations::claim(&db, lease("three", 1_200)).await.unwrap().unwrap();
        assert_eq!(taken.user_id, "@c:d");
        assert!(propagations::finish(&db, lease("three", 1_210), &taken).await.unwrap());
        assert!(!propagations::progress(&db, lease("one", 1_220), &next).await.unwrap());
        propagations::restart(&db, lease("one", 1_220), &next).await.unwrap();
        assert_eq!(rows(&db).await.len(), 2, "what one wrote last may be old: it is done again");
        exec!(db.write(), "delete from profile_propagations").unwrap();
        assert!(propagations::is_empty(&db).await.unwrap());
    });
}
