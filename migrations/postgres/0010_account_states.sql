-- How an account stands. Whoever changes one of these appends a revocation: gateways forget what they knew.
alter table users
    add column guest boolean not null default false,
    add column suspended boolean not null default false,
    add column locked boolean not null default false,
    add column erased boolean not null default false; -- deactivated with `erase`: newcomers get redacted copies
