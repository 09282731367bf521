-- Keys of devices and of cross-signing. Written by the auth service alone.

-- A change that only one user may learn of: a signature that it made of another user's master key.
alter table device_list_changes add column visible_to text not null default ''; -- empty: everybody who may see the user

-- Identity keys as /keys/query gives them out, without `unsigned`; the owner's cross-signatures are merged in.
create table device_keys (
    device integer primary key references devices (id) on delete cascade,
    json   text   not null
);

create table cross_signing_keys (
    account    integer not null references users (id) on delete cascade,
    usage      text   not null, -- master, self_signing, user_signing
    public_key text   not null, -- unpadded base64
    json       text   not null, -- with the owner's signatures
    primary key (account, usage)
);

-- Signatures of other users' master keys by the signer's user-signing key: only the signer sees them.
create table user_signatures (
    signer         integer not null references users (id) on delete cascade,
    target_user_id text   not null,
    target_key     text   not null, -- the master key that is signed, unpadded base64
    key_id         text   not null, -- ed25519:<user-signing key>
    signature      text   not null,
    primary key (signer, target_user_id, target_key, key_id)
);
create index user_signatures_target on user_signatures (target_user_id);

-- One-time keys that were given out lately: an upload that arrives again does not bring them back, and a claim that
-- arrives again gets the same ones. Pruned after a week.
create table claimed_keys (
    device     integer not null,
    algorithm  text   not null,
    key_id     text   not null,
    json       text   not null,
    request    text   not null, -- idempotency key of the claim
    created_ts integer not null,
    primary key (device, algorithm, key_id)
);
create index claimed_keys_request on claimed_keys (request, device, algorithm);
create index claimed_keys_created on claimed_keys (created_ts);

-- MSC3814: a device that receives while none of its owner's is there. At most one an account.
create table dehydrated_devices (
    account     integer primary key references users (id) on delete cascade,
    device      integer not null references devices (id) on delete cascade,
    device_data text   not null -- JSON, encrypted by the client
);
create index dehydrated_devices_device on dehydrated_devices (device);
