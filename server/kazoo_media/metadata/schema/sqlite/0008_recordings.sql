-- Recordings are listed by time, and those that were sent as a file are found by its name.
create index media_recorded on media (account, created, id) where deleted_at is null and recorded = 1;
alter table media add column file_name text not null default '';
create index media_file_name on media (account, file_name) where deleted_at is null and file_name <> '';

-- Texts that a platform stores and fetches to verify its storage plan.
create table text_file (
    account text not null,
    name text not null,
    stored integer not null,
    data blob not null,
    primary key (account, name)
) strict;

-- How many bytes an upload will have, 0 if that is not known yet.
alter table upload add column declared_size integer not null default 0;
