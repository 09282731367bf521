-- Users whose account has ended and who have yet to leave their rooms. Written by the auth service alone; the room service
-- tells it when that is done.
create table departures (
    user_id    text   primary key,
    created_ts integer not null
);
create index departures_created on departures (created_ts);
