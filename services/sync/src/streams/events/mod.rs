//! Rooms: timelines, state, summaries, invites and leaves.

mod invited;
mod joined;
mod left;
mod source;
mod state;
mod timeline;

use std::sync::Arc;

use matrixon_rooms::Membership;

use super::{Missing, News, Stream, View};
use crate::{live::user::Place, token::Token};

pub(crate) struct Events;

/// One of the requester's rooms.
#[derive(Clone, Copy)]
struct Room<'a> {
    view: &'a View<'a>,
    id: &'a Arc<str>,
    place: Place,
}

impl Stream for Events {
    fn complete(&self, view: &View<'_>, news: &mut News, missing: &mut Missing) {
        for room in rooms(view) {
            match room.place.membership {
                Membership::Join => joined::complete(room, 0, news, missing),
                Membership::Invite => invited::add(room, &mut news.invited, missing),
                Membership::Knock => invited::add(room, &mut news.knocked, missing),
                Membership::Leave | Membership::Ban if view.ask.filter.include_leave => {
                    left::complete(room, news, missing);
                }
                Membership::Leave | Membership::Ban => {}
            }
        }
    }

    fn incremental(&self, view: &View<'_>, since: Token, news: &mut News, missing: &mut Missing) {
        for room in rooms(view) {
            let is_new = room.place.position > since.events;
            match room.place.membership {
                Membership::Join => joined::incremental(room, since.events, news, missing),
                Membership::Invite if is_new => invited::add(room, &mut news.invited, missing),
                Membership::Knock if is_new => invited::add(room, &mut news.knocked, missing),
                Membership::Leave | Membership::Ban if is_new => left::incremental(room, since.events, news, missing),
                _ => {}
            }
        }
    }
}

fn rooms<'a>(view: &'a View<'a>) -> impl Iterator<Item = Room<'a>> {
    let admitted = |(id, _): &(&Arc<str>, &Place)| view.ask.filter.admits_room(id);
    view.user.rooms.iter().filter(admitted).map(move |(id, place)| Room { view, id, place: *place })
}
