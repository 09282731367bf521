-- no-transaction
-- What an attempt that was interrupted has left is of no use.
drop index concurrently if exists users_historical;

-- User ids that are not in small letters, as accounts from elsewhere may have them: few, and here to find who has a name in
-- other capitals.
create index concurrently users_historical on users (lower(user_id collate "C")) where user_id <> lower(user_id collate "C");
