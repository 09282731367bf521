//! The queue: what is claimed is held, what was held by the dead becomes due again.

use crate::{
    store::mail_queue::{self, MailRow},
    tests::{Harness, on_both, open},
};

async fn put(server: &Harness, kind: &str, now_ms: i64) {
    let mut tx = server.db.begin().await.unwrap();
    mail_queue::insert_mail(&mut tx, kind, "alice@example.org", None, (now_ms, now_ms + 3_600_000)).await.unwrap();
    tx.commit().await.unwrap();
}

async fn claim(server: &Harness, now_ms: i64, limit: i64) -> Vec<MailRow> {
    mail_queue::claim_due(&server.db, now_ms, now_ms + 60_000, limit).await.unwrap()
}

#[tokio::test]
async fn a_claim_holds_for_its_time() {
    on_both(open(), |server| async move {
        // ahead of the workers, whose clock stands still
        let now_ms = server.clock.now_ms() + 86_400_000;
        put(&server, "nothing", now_ms).await;
        let first = claim(&server, now_ms, 4).await;
        assert_eq!((first.len(), first[0].attempts), (1, 1));
        assert!(claim(&server, now_ms + 59_999, 4).await.is_empty());
        assert!(!mail_queue::any_due(&server.db, now_ms + 59_999).await.unwrap());
        // its process has died: somebody else gets it
        let second = claim(&server, now_ms + 60_000, 4).await;
        assert_eq!((second[0].id, second[0].attempts), (first[0].id, 2));
        mail_queue::postpone(&server.db, first[0].id, now_ms + 500_000).await.unwrap();
        assert!(claim(&server, now_ms + 400_000, 4).await.is_empty());
        mail_queue::delete_mail(&server.db, first[0].id).await.unwrap();
        assert!(claim(&server, now_ms + 999_999, 4).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn of_many_claimants_each_mail_has_one() {
    on_both(open(), |server| async move {
        let now_ms = server.clock.now_ms() + 86_400_000;
        for _ in 0..20 {
            put(&server, "nothing", now_ms).await;
        }
        let claims = futures::future::join_all((0..8).map(|_| claim(&server, now_ms, 4))).await;
        let mut ids: Vec<i64> = claims.into_iter().flatten().map(|row| row.id).collect();
        // who found rows of others locked may have got none
        ids.extend(claim(&server, now_ms, 20).await.into_iter().map(|row| row.id));
        ids.sort_unstable();
        let all = ids.len();
        ids.dedup();
        assert_eq!((all, ids.len()), (20, 20));
    })
    .await;
}

/// Whoever has turned e-mail off does not lose the mails of the others.
#[tokio::test]
async fn a_process_without_email_leaves_mails_alone() {
    on_both(open(), |server| async move {
        put(&server, "register", server.clock.now_ms()).await;
        let auth_has_tried = async {
            loop {
                let rows = claim(&server, server.clock.now_ms() + 3_000_000, 1).await;
                if rows.iter().any(|row| row.attempts > 0) {
                    return rows;
                }
                tokio::task::yield_now().await;
            }
        };
        assert_eq!(auth_has_tried.await.len(), 1);
    })
    .await;
}
