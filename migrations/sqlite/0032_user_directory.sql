-- The user directory. Written by the sync service alone, from the streams `profiles` and `events`.
create table directory_users (
    user_id     text primary key,
    displayname text,
    avatar_url  text
);

-- What users are found by: every entry is looked for by its beginning.
create table directory_tokens (
    kind    integer  not null,             -- 0 a whole name or id, 1 a word, 2 the rest of a script without spaces
    token   text     not null, -- folded: lower case, without accents
    user_id text     not null,
    primary key (kind, token, user_id)
);
create index directory_tokens_user on directory_tokens (user_id);

-- Rooms that are open to the public: anybody may join, or the world reads the history. Their members are found by everybody.
create table directory_rooms (
    room integer primary key
);
