-- User ids that are not in small letters, as accounts from elsewhere may have them: few, and here to find who has a name in
-- other capitals.
create index users_historical on users (lower(user_id)) where user_id <> lower(user_id);
