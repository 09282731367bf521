-- Which backups finished: monitoring asks long after the job is gone.
create table backup_runs (
    name        text   primary key,
    destination text   not null,
    started_ms  bigint not null,
    finished_ms bigint not null,
    bytes       bigint not null
);
create index backup_runs_by_end on backup_runs (finished_ms);
