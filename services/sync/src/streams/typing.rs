//! Who is typing in the requester's rooms.

use matrixon_rooms::Membership;

use super::{Missing, News, Stream, View};
use crate::token::Token;

pub(crate) struct TypingStream;

impl Stream for TypingStream {
    fn complete(&self, view: &View<'_>, news: &mut News, _missing: &mut Missing) {
        add(view, -1, false, news);
    }

    fn incremental(&self, view: &View<'_>, since: Token, news: &mut News, _missing: &mut Missing) {
        add(view, since.typing_ms, true, news);
    }
}

fn add(view: &View<'_>, since_ms: i64, also_nobody: bool, news: &mut News) {
    let filter = &view.ask.filter;
    if !filter.ephemeral.admits_type("m.typing") {
        return;
    }
    for (room_id, users) in view.memory.typing.since(since_ms) {
        let joined = view.user.rooms.get(room_id).is_some_and(|place| place.membership == Membership::Join);
        let admitted = filter.admits_room(room_id) && filter.ephemeral.admits_room(room_id);
        if joined && admitted && (also_nobody || !users.is_empty()) {
            let users = users.into_iter().filter(|user| !view.user.ignored.contains(*user)).map(str::to_owned);
            news.joined(room_id).typing = Some(users.collect());
        }
    }
}
