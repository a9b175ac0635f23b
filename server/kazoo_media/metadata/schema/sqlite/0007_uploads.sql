-- Recordings that are not finished: see metadata/uploads.py.

create table upload (
    account text not null,
    id text not null,
    state text not null check (state in ('receiving', 'interrupted', 'committing', 'finished', 'discarded')),
    media_id text not null,
    created integer not null,
    touched integer not null,
    epoch integer not null,
    persisted_size integer not null,
    crc32c integer not null,
    pieces_end integer not null,
    outside_pause text not null,
    stream_pause text not null,
    resumes integer not null,
    marks text not null,        -- JSON
    ending text not null,       -- JSON, or empty
    holder text not null,
    received integer not null,
    error text not null,
    archiving integer not null,
    spec text not null,         -- JSON; last, as it may be long and a flush does not read it
    primary key (account, id)
) strict;
create index upload_open on upload (account, id) where state in ('receiving', 'interrupted', 'committing');
create index upload_due on upload (account, id)
    where state in ('receiving', 'interrupted', 'committing') or archiving = 1;
create index upload_ended on upload (touched) where state in ('finished', 'discarded');

create table piece (
    account text not null,
    upload_id text not null,
    offset integer not null,
    size integer not null,
    blob_key text not null,
    primary key (account, upload_id, offset)
) without rowid, strict;

create table tail (
    account text not null,
    upload_id text not null,
    offset integer not null,
    data blob not null,
    primary key (account, upload_id, offset)
) strict;

-- 1 for recordings, which lists of media, prompts and languages leave out.
alter table media add column recorded integer not null default 0;
drop index media_language;
create index media_language on media (account, language, id) where deleted_at is null and recorded = 0;
