//! The user directory on its tables: accounts that must not be found, users of other servers, and a hundred thousand users.

use std::time::{Duration, Instant};

use matrixon_store::{Db, exec};
use serde_json::{Value, json};

use super::{harness::Client, on_both};
use crate::{Config, config::UserDirectoryConfig};

const SEARCH: &str = "/_matrix/client/v3/user_directory/search";

async fn search(client: &Client, term: &str) -> Value {
    client.post(SEARCH, json!({ "search_term": term })).await.ok()
}

fn ids(found: &Value) -> Vec<&str> {
    found["results"].as_array().unwrap().iter().filter_map(|user| user["user_id"].as_str()).collect()
}

async fn until(client: &Client, term: &str, expected: &[&str]) {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let found = search(client, term).await;
        if ids(&found) == expected {
            return;
        }
        assert!(Instant::now() < end, "{term}: {found}, not {expected:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Accounts as the auth service makes them.
async fn add_account(db: &Db, user_id: &str, displayname: &str) {
    exec!(db.write(), "insert into users (user_id, displayname, created_ts) values ($1, $2, 0)", user_id, displayname)
        .unwrap();
    tell(db, user_id).await;
}

async fn tell(db: &Db, user_id: &str) {
    let mut tx = db.begin().await.unwrap();
    let position = tx.advance(matrixon_store::streams::Stream::PROFILES, 1).await.unwrap();
    exec!(
        tx.ex(),
        "insert into profile_changes (position, user_id, field, created_ts) values ($1, $2, 'displayname', 0)",
        position,
        user_id
    )
    .unwrap();
    tx.commit().await.unwrap();
}

fn all_users() -> Config {
    Config { user_directory: UserDirectoryConfig { search_all_users: true, ..Default::default() }, ..Config::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_may_be_hidden() {
    on_both(all_users(), |harness| async move {
        let db = &harness.db;
        for name in ["anna", "anne", "anton"] {
            add_account(db, &format!("@{name}:example.org"), name).await;
        }
        let client = harness.client(0, "@anna:example.org");
        let all = ["@anna:example.org", "@anne:example.org", "@anton:example.org"];
        until(&client, "an", &all).await;
        for (hide, show) in [
            (
                "update users set deactivated = true where user_id = '@anne:example.org'",
                "update users set deactivated = false",
            ),
            ("update users set locked = true where user_id = '@anne:example.org'", "update users set locked = false"),
            (
                "update users set suspended = true where user_id = '@anne:example.org'",
                "update users set suspended = false",
            ),
        ] {
            exec!(db.write(), hide).unwrap();
            assert_eq!(ids(&search(&client, "an").await), [all[0], all[2]], "{hide}");
            exec!(db.write(), show).unwrap();
            assert_eq!(ids(&search(&client, "an").await), all, "{show}");
        }
        // a name that is gone leads nowhere
        exec!(db.write(), "update users set displayname = null where user_id = '@anton:example.org'").unwrap();
        tell(db, "@anton:example.org").await;
        exec!(db.write(), "update users set displayname = 'Zora' where user_id = '@anne:example.org'").unwrap();
        tell(db, "@anne:example.org").await;
        until(&client, "zora", &[all[1]]).await;
        assert_eq!(ids(&search(&harness.client(1, "@anna:example.org"), "anton").await), [all[2]]);
        // somebody of another server does not find everybody here
        assert!(ids(&search(&harness.client(1, "@anna:elsewhere.example"), "an").await).is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_of_other_servers_are_found_by_their_membership() {
    on_both(Config::default(), |harness| async move {
        let mut world = harness.world();
        let room = world.create_room("@alice:example.org").await;
        world.state(room, "@alice:example.org", "m.room.join_rules", "", json!({ "join_rule": "invite" })).await;
        let member = json!({ "membership": "join", "displayname": "Remote \u{0} Renate" });
        let renate = "@renate:elsewhere.example";
        world.state(room, renate, "m.room.member", renate, member).await;
        let alice = harness.client(0, "@alice:example.org");
        until(&alice, "renate", &["@renate:elsewhere.example"]).await;
        let found = search(&alice, "renate").await;
        assert_eq!(found["results"][0], json!({ "user_id": "@renate:elsewhere.example" }), "a name with NUL is none");
        assert!(ids(&search(&harness.client(0, "@stranger:example.org"), "renate").await).is_empty());
    })
    .await;
}

/// A hundred thousand users, every second one in a public room.
async fn fill(db: &Db) {
    const NUMBERS: &str = "with recursive n (i) as (select 0 union all select i + 1 from n where i < 99999)";
    const USER: &str = "'@user' || i || ':example.org'";
    let tokens = |kind: u8, token: &str| {
        format!("insert into directory_tokens (kind, token, user_id) {NUMBERS} select {kind}, {token}, {USER} from n")
    };
    for statement in [
        "insert into rooms (room_id, room_version, version, forward_extremities, depth, state_snapshot, created_ts)
         values ('!big:example.org', '11', 0, '[]', 0, 0, 0)"
            .to_owned(),
        "insert into directory_rooms (room) select max(id) from rooms".to_owned(),
        format!(
            "insert into memberships (user_id, room, membership, event, sender) {NUMBERS}
             select {USER}, (select max(id) from rooms), 'join', 0, '@user0:example.org' from n where i % 2 = 0"
        ),
        format!(
            "insert into directory_users (user_id, displayname) {NUMBERS}
             select {USER}, 'Person' || (i % 1000) || ' Family' || i from n"
        ),
        tokens(0, "'person' || (i % 1000) || ' family' || i"),
        tokens(0, "'user' || i"),
        tokens(1, "'person' || (i % 1000)"),
        tokens(1, "'family' || i"),
    ] {
        let statement: &'static str = statement.leak();
        exec!(db.write(), statement).unwrap();
    }
}

/// Generous, for a machine that runs other tests too; alone a search takes some milliseconds.
const SLOWEST: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_users_are_searched_quickly() {
    on_both(Config::default(), |harness| async move {
        fill(&harness.db).await;
        let stranger = harness.client(0, "@stranger:example.org");
        for (term, results, limited) in [
            ("p", 10, true), // everybody
            ("person7 family", 10, true),
            ("person777 family", 0, false), // all of odd numbers, none in the room
            ("family5000", 2, false),       // 5000 and 50000 ..= 50009, of which the even ones and the beginnings
            ("user4242", 6, false),         // and 42420 to 42428
            ("family99998 person998", 1, false),
            ("nobody", 0, false),
        ] {
            let started = Instant::now();
            let found = search(&stranger, term).await;
            let took = started.elapsed();
            println!("{term:?}: {took:?}");
            assert!(took < SLOWEST, "{term:?} took {took:?}");
            let count = ids(&found).len();
            match term {
                "family5000" => assert_eq!(ids(&found)[0], "@user5000:example.org", "{found}"),
                _ => assert_eq!((count, found["limited"].as_bool()), (results, Some(limited)), "{term}: {found}"),
            }
        }
    })
    .await;
}
