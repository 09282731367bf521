-- What users reported to the administrators. Written by the room service alone. Who reports the same thing again replaces
-- the earlier report.
create table content_reports (
    id          bigint generated always as identity primary key,
    kind        text   not null,            -- room, event, user
    reporter    text   not null,
    room_id     text   not null default '', -- of a room or an event
    event_id    text   not null default '', -- of an event
    user_id     text   not null default '', -- of a user; of an event: its sender
    reason      text   not null default '',
    received_ts bigint not null,
    unique (reporter, kind, room_id, event_id, user_id)
);
