use std::sync::Arc;

use matrixon_proto::bus::v1::EventItem;
use serde_json::{Value, json};

use super::{no_keys, write, write_nothing};
use crate::{
    live::{event::Event, items::Receipt},
    store::to_device::Message,
    streams::{Ask, News, StateSection, Summary, Timeline},
    token::Token,
};

fn ask(state_after: bool) -> Ask {
    Ask {
        user_id: "@me:b".into(),
        device_id: "DEV".into(),
        device: 0,
        filter: Arc::default(),
        since: Some(Token::default()),
        full_state: false,
        state_after,
    }
}

fn message(sender: &str, device_id: &str) -> Arc<Event> {
    let json = json!({"type": "m.room.message", "sender": sender, "room_id": "!a:b", "event_id": "$m",
        "origin_server_ts": 1_000, "content": {"body": "\u{0} \"x\""}});
    Arc::new(Event::from_item(EventItem {
        position: 7,
        room_id: "!a:b".into(),
        event_id: "$m".into(),
        event_type: "m.room.message".into(),
        sender: sender.into(),
        json: json.to_string().into(),
        device_id: device_id.into(),
        txn_id: "t\"1".into(),
        ..EventItem::default()
    }))
}

fn receipt(event_id: &str, user_id: &str, thread_id: &str) -> Arc<Receipt> {
    Arc::new(Receipt {
        position: 1,
        room_id: "!a:b".into(),
        receipt_type: "m.read".into(),
        user_id: user_id.into(),
        thread_id: thread_id.into(),
        event_id: event_id.into(),
        ts_ms: 5,
    })
}

fn news() -> News {
    News { keys: no_keys(), ..News::default() }
}

fn parse(ask: &Ask, news: &News) -> Value {
    serde_json::from_slice(&write(ask, news, 1_500)).unwrap()
}

#[test]
fn nothing_is_short() {
    let next = Token { events: 1, account_data: 2, receipts: 3, typing_ms: 4, to_device: 5, ..Token::default() };
    let keys = r#""device_one_time_keys_count":{"signed_curve25519":0},"device_unused_fallback_key_types":[]"#;
    assert_eq!(write_nothing(next, &no_keys()), format!(r#"{{"next_batch":"m1_1_2_3_4_5_0",{keys}}}"#));
}

#[test]
fn an_event_gets_age_and_for_its_sending_device_the_transaction_id() {
    for (sender, device, expected) in [
        ("@me:b", "DEV", json!({"age": 500, "transaction_id": "t\"1"})),
        ("@me:b", "OTHER", json!({"age": 500})),
        ("@you:b", "DEV", json!({"age": 500})),
    ] {
        let mut news = news();
        let timeline = Timeline { events: vec![message(sender, device)], limited: true, before: 6, place: None };
        news.joined(&"!a:b".into()).timeline = Some(timeline);
        let value = parse(&ask(false), &news);
        let timeline = &value["rooms"]["join"]["!a:b"]["timeline"];
        assert_eq!(timeline["events"][0]["unsigned"], expected);
        assert_eq!(timeline["events"][0]["content"]["body"], "\u{0} \"x\"");
        assert!(timeline["events"][0].get("room_id").is_none());
        assert_eq!(timeline["limited"], true);
        assert_eq!(timeline["prev_batch"], "p6");
    }
}

#[test]
fn rooms_without_news_and_empty_sections_take_no_bytes() {
    let mut news = news();
    news.joined(&"!a:b".into()).receipts = vec![receipt("$e", "@u:b", "")];
    let text = String::from_utf8(write(&ask(true), &news, 0).to_vec()).unwrap();
    assert_eq!(
        text,
        r#"{"next_batch":"m1_0_0_0_0_0_0","rooms":{"join":{"!a:b":{"ephemeral":{"events":[{"type":"m.receipt","content":{"$e":{"m.read":{"@u:b":{"ts":5}}}}}]}}}},"device_one_time_keys_count":{"signed_curve25519":0},"device_unused_fallback_key_types":[]}"#
    );
}

#[test]
fn receipts_of_several_threads_do_not_overwrite_each_other() {
    let mut news = news();
    news.joined(&"!a:b".into()).receipts = vec![
        receipt("$e", "@u:b", ""),
        receipt("$e", "@u:b", "main"),
        receipt("$e", "@v:b", ""),
        receipt("$f", "@v:b", "$t"),
    ];
    let events = parse(&ask(false), &news)["rooms"]["join"]["!a:b"]["ephemeral"]["events"].clone();
    assert_eq!(events[0]["content"]["$e"]["m.read"], json!({"@u:b": {"ts": 5}, "@v:b": {"ts": 5}}));
    assert_eq!(events[0]["content"]["$f"]["m.read"], json!({"@v:b": {"ts": 5, "thread_id": "$t"}}));
    assert_eq!(events[1]["content"]["$e"]["m.read"], json!({"@u:b": {"ts": 5, "thread_id": "main"}}));
}

#[test]
fn state_after_is_there_even_when_empty() {
    let mut news = news();
    let room = news.joined(&"!a:b".into());
    room.timeline = Some(Timeline { events: vec![message("@you:b", "")], limited: false, before: 6, place: None });
    room.state = StateSection::Nothing;
    room.summary = Some(Summary { heroes: Some(vec!["@h:b".into()]), joined: 2, invited: 0 });
    let room = parse(&ask(true), &news)["rooms"]["join"]["!a:b"].clone();
    assert_eq!(room["state_after"], json!({"events": []}));
    assert_eq!(room["summary"], json!({"m.heroes": ["@h:b"], "m.joined_member_count": 2, "m.invited_member_count": 0}));
    let room = parse(&ask(false), &news)["rooms"]["join"]["!a:b"].clone();
    assert!(room.get("state").is_none() && room.get("state_after").is_none());
}

#[test]
fn an_initial_sync_carries_the_default_push_rules() {
    let value = parse(&Ask { since: None, ..ask(false) }, &news());
    let rules = &value["account_data"]["events"][0];
    assert_eq!(rules["type"], "m.push_rules");
    assert_eq!(rules["content"]["global"]["override"][0]["rule_id"], ".m.rule.master");
}

#[test]
fn what_concerns_the_device_alone() {
    let message = |content: &str| Message {
        position: 1,
        sender: "@you:b".to_owned(),
        event_type: "a\"b".to_owned(),
        content: content.to_owned(),
    };
    let mut news = news();
    assert!(parse(&ask(false), &news).get("to_device").is_none_or(Value::is_null));
    news.to_device = vec![message(r#"{"n":1.0}"#), message("{}")];
    news.device_lists.changed = ["@x:b".into(), "@y:b".into()].into();
    let text = String::from_utf8(write(&ask(false), &news, 0).to_vec()).unwrap();
    assert!(text.contains(r#"{"type":"a\"b","sender":"@you:b","content":{"n":1.0}},{"type""#), "{text}");
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["to_device"]["events"][1], json!({"type": "a\"b", "sender": "@you:b", "content": {}}));
    assert_eq!(value["device_lists"], json!({"changed": ["@x:b", "@y:b"], "left": []}));
}
