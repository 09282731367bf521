//! A new name on its way into many rooms, while those who carry it die.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use matrixon_testkit::client::{Client, escape, room_path, unique};
use serde_json::json;

/// Takes some time to work through: 25 rooms are a step.
const ROOMS: usize = 120;
const PATIENCE: Duration = Duration::from_mins(1);

/// Somebody in many rooms.
pub(crate) struct Popular {
    client: Client,
    rooms: Vec<String>,
}

impl Popular {
    pub(crate) async fn new(nobody: &Client) -> Result<Self> {
        let client = nobody.register(&unique("popular")).await?;
        let mut rooms = Vec::with_capacity(ROOMS);
        for _ in 0..ROOMS {
            rooms.push(client.create_room(&json!({ "preset": "private_chat" })).await?);
        }
        Ok(Self { client, rooms })
    }

    pub(crate) async fn rename(&self, name: &str) -> Result<()> {
        let path = format!("/_matrix/client/v3/profile/{}/displayname", escape(&self.client.user_id));
        self.client.put(&path, &json!({ "displayname": name })).await.map(|_| ())
    }

    /// Waits until every room shows the name, and makes sure that none was told twice. Requests may fail while a gateway's
    /// connection breaks.
    pub(crate) async fn expect_everywhere(&self, name: &str) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        for room in &self.rooms {
            let path = room_path(room, &format!("state/m.room.member/{}", escape(&self.client.user_id)));
            loop {
                let shown = self.client.get(&path).await.is_ok_and(|content| content["displayname"] == name);
                if shown {
                    break;
                }
                ensure!(Instant::now() < end, "{room} never heard of {name}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        for room in &self.rooms {
            let history = self.client.messages(room, 'b', None, 100).await?;
            let events = history["chunk"].as_array().cloned().unwrap_or_default();
            let told = events.iter().filter(|event| event["content"]["displayname"] == name).count();
            ensure!(told == 1, "{room} was told {told} times of {name}");
        }
        Ok(())
    }
}
