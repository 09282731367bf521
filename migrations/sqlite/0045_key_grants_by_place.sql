-- PostgreSQL only: with SQLite a claim moves its queues itself.
select 1;
