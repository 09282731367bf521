use matrixon_matrix::power_levels::{PowerLevels, PowerLevelsError, check_content};
use ruma::events::StateEventType;
use serde_json::json;

use crate::timeline::{Refused, Timeline, content, user};

fn levels(room: &Timeline) -> PowerLevels {
    let create = room.current(StateEventType::RoomCreate).expect("a create event");
    PowerLevels::new(room.version, create, room.current(StateEventType::RoomPowerLevels))
}

#[test]
fn members_come_speak_and_go_in_every_version() {
    for version in ["10", "11", "12"] {
        let mut room = Timeline::new(version, "public");
        let Err(Refused::Rules(rejection)) = room.message("bob", "hi") else { panic!("strangers are silent") };
        assert_eq!(rejection.0, "sender's membership is not `join`");
        room.member("bob", "bob", "join").unwrap();
        room.message("bob", "hi").unwrap();
        assert!(room.state("bob", "m.room.name", json!({ "name": "mine" })).is_err());
        assert!(room.member("bob", "alice", "leave").is_err());
        room.member("alice", "bob", "ban").unwrap();
        assert!(room.member("bob", "bob", "join").is_err());
        room.member("alice", "bob", "leave").unwrap();
        room.member("bob", "bob", "join").unwrap();
        room.member("bob", "bob", "leave").unwrap();
        assert!(room.message("bob", "bye").is_err());
    }
}

#[test]
fn invite_only_rooms_take_the_invited() {
    for version in ["10", "12"] {
        let mut room = Timeline::new(version, "invite");
        assert!(room.member("bob", "bob", "join").is_err());
        room.member("alice", "bob", "invite").unwrap();
        assert!(room.member("bob", "carol", "invite").is_err(), "only members invite");
        room.member("bob", "bob", "join").unwrap();
        assert!(room.member("alice", "bob", "invite").is_err(), "bob is in already");
        assert!(room.member("bob", "carol", "invite").is_err(), "inviting needs power here");
    }
}

#[test]
fn creators_of_version_12_stand_above_all_levels() {
    let mut room = Timeline::with_creators("12", "public", &["bob"]);
    room.member("bob", "bob", "join").unwrap();
    room.member("carol", "carol", "join").unwrap();
    let named = json!({ "users": { "@alice:example.org": 100 } });
    assert!(room.state("alice", "m.room.power_levels", named).is_err(), "creators have no entry");
    room.state("alice", "m.room.power_levels", json!({ "users": { "@carol:example.org": 1_000_000 } })).unwrap();
    assert!(room.member("carol", "alice", "leave").is_err());
    assert!(room.member("carol", "bob", "leave").is_err());
    room.member("bob", "carol", "leave").unwrap();
    let power = levels(&room);
    assert!(power.can_redact_others(&user("bob")) && power.can_send_state(&user("bob"), "m.room.tombstone"));
    assert!(!power.can_redact_others(&user("dave")));
}

#[test]
fn before_version_12_power_has_to_be_given() {
    let mut room = Timeline::new("11", "public");
    room.member("bob", "bob", "join").unwrap();
    let given = json!({ "users": { "@alice:example.org": 100, "@bob:example.org": 50 }, "redact": 50, "invite": 60 });
    room.state("alice", "m.room.power_levels", given).unwrap();
    room.state("bob", "m.room.name", json!({ "name": "ours" })).unwrap();
    let raised = json!({ "users": { "@alice:example.org": 100, "@bob:example.org": 100 } });
    assert!(room.state("bob", "m.room.power_levels", raised).is_err());
    let power = levels(&room);
    assert!(power.can_redact_others(&user("bob")) && !power.can_invite(&user("bob")));
    assert!(power.can_invite(&user("alice")) && !power.can_redact_others(&user("carol")));
}

#[test]
fn power_levels_of_wrong_types_are_named() {
    let check = |value| check_content(&content(value));
    assert_eq!(check(json!({ "ban": 50, "users": { "@a:b": 1 }, "own": "x" })), Ok(()));
    assert_eq!(check(json!({ "ban": "50" })), Err(PowerLevelsError::NotAnInteger("ban".to_owned())));
    assert_eq!(check(json!({ "events": [] })), Err(PowerLevelsError::NotAMap("events")));
    assert_eq!(check(json!({ "users": { "a": 1 } })), Err(PowerLevelsError::NotAUser("a".to_owned())));
    assert!(check(json!({ "notifications": { "room": null } })).is_err());
}
