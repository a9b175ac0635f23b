-- Times are Unix milliseconds. Text sorts by bytes, which in UTF-8 is the order of code points.
-- Keys begin with the account. No sequences: rows are named by the service.

create table media (
    account text collate "C" not null,
    id text collate "C" not null,
    rev text not null,
    created bigint not null,
    modified bigint not null,
    deleted_at bigint,
    language text collate "C",       -- lower case; null when missing or empty
    prompt_id text collate "C",
    original_key text collate "C",
    normalized_key text collate "C",
    doc json not null,               -- the document as compact JSON; unlike jsonb it stays as it was sent
    recorded integer not null default 0,    -- 1 for recordings, which lists of media, prompts and languages leave out
    file_name text collate "C" not null default '',
    primary key (account, id)
);
create index media_language on media (account, language, id) where deleted_at is null and recorded = 0;
create index media_prompt on media (account, prompt_id, id) where deleted_at is null;
create index media_deleted on media (account, deleted_at, id) where deleted_at is not null;
create index media_recorded on media (account, created, id) where deleted_at is null and recorded = 1;
create unique index media_file_name on media (account, file_name) where deleted_at is null and file_name <> '';

create table media_version (
    account text collate "C" not null,
    id text collate "C" not null,
    number bigint not null,          -- N of the last revision that had the content
    replaced bigint not null,
    original_key text collate "C" not null,
    normalized_key text collate "C",
    outcome text not null,           -- keys of the document about upload and conversion, as compact JSON
    primary key (account, id, number)
);

create table blob (
    account text collate "C" not null,
    key text collate "C" not null,
    state text not null check (state in ('pending', 'live', 'dead')),
    touched bigint not null,
    size bigint,
    sha256 text,
    content_type text,
    duration_ms bigint,
    sample_rate_hertz bigint,
    channel_count bigint,
    codec text,
    loudness_lufs double precision,
    peak_dbfs double precision,
    clipped_samples bigint,
    normalization text,              -- preset and everything else that decided; null: not known
    damaged integer not null default 0,     -- 1 if the last check found other bytes in the blob store
    checked bigint not null default 0,      -- time of that check, or of the commit
    primary key (account, key)
);
create index blob_key on blob (key);
create index blob_sweep on blob (state, touched, key) where state <> 'live';
create index blob_check on blob (damaged, checked) where state = 'live';

create table peaks (
    account text collate "C" not null,
    key text collate "C" not null,
    pairs bytea not null,            -- int8: lowest and highest sample in turn
    primary key (account, key)
);

create table account (
    id text collate "C" not null primary key,
    name text not null,
    realm text not null,
    language text not null,
    superduper_admin integer not null,
    created bigint not null,
    ancestors text not null,         -- JSON array, the root first
    api_key_sha256 text not null,
    key_generation bigint not null,
    name_key text collate "C" not null,     -- the name as account_key() makes it, for logging in
    realm_key text collate "C" not null     -- the realm in lower case
);
create index account_api_key on account (api_key_sha256);
create unique index account_name_key on account (name_key) where name_key <> '';
create unique index account_realm_key on account (realm_key) where realm_key <> '';

create table account_ancestor (
    ancestor text collate "C" not null,
    account text collate "C" not null,
    primary key (ancestor, account)
);

create table "user" (
    account text collate "C" not null,
    name text collate "C" not null,
    id text not null,
    created bigint not null,
    primary key (account, name)
);

create table user_credential (
    account text collate "C" not null,
    digest text not null,
    name text collate "C" not null,
    primary key (account, digest)
);
create index user_credential_name on user_credential (account, name);

create table playback_key (
    account text collate "C" not null,
    id text collate "C" not null,
    name text not null,
    created bigint not null,
    sha256 text not null unique,
    primary key (account, id)
);

create table link_secret (
    account text collate "C" not null primary key,
    secret text not null
);

create table signing_key (
    kid text collate "C" not null primary key,
    public_pem text not null,
    created bigint not null
);

create table setting (
    category text collate "C" not null,
    scope text collate "C" not null,
    key text collate "C" not null,
    value text not null,             -- JSON
    primary key (category, scope, key)
);

create table settings_revision (
    one integer not null primary key check (one = 1),
    revision bigint not null
);
insert into settings_revision (one, revision) values (1, 0);

-- The id of this database's cluster marks what belongs to it elsewhere, such as a bucket.
create table cluster (
    one integer not null primary key check (one = 1),
    id text not null
);
insert into cluster values (1, replace(gen_random_uuid()::text, '-', ''));

-- A flush updates many of these rows each second: with free space in the pages, and as no index has
-- a column that it changes, an update adds nothing to the indexes.
create table upload (
    account text collate "C" not null,
    id text collate "C" not null,
    state text not null check (state in ('receiving', 'interrupted', 'committing', 'finished', 'discarded')),
    media_id text not null,
    created bigint not null,
    touched bigint not null,
    ended bigint generated always as (case when state in ('finished', 'discarded') then touched end) stored,
    epoch bigint not null,
    persisted_size bigint not null,
    crc32c bigint not null,
    pieces_end bigint not null,
    outside_pause text not null,
    stream_pause text not null,
    resumes integer not null,
    marks text not null,             -- JSON
    ending text not null,            -- JSON, or empty
    holder text not null,
    received bigint not null,
    error text not null,
    archiving integer not null,
    declared_size bigint not null default 0,    -- 0 if it is not known yet
    spec text not null,              -- JSON
    primary key (account, id)
) with (fillfactor = 60);
create index upload_open on upload (account, id) where state in ('receiving', 'interrupted', 'committing');
create index upload_due on upload (account, id)
    where state in ('receiving', 'interrupted', 'committing') or archiving = 1;
create index upload_ended on upload (ended) where ended is not null;

create table piece (
    account text collate "C" not null,
    upload_id text collate "C" not null,
    "offset" bigint not null,
    size bigint not null,
    blob_key text collate "C" not null,
    primary key (account, upload_id, "offset")
);

create table tail (
    account text collate "C" not null,
    upload_id text collate "C" not null,
    "offset" bigint not null,
    data bytea not null,
    primary key (account, upload_id, "offset")
);
-- Compressing audio costs time and saves nothing.
alter table tail alter column data set storage external;

-- Texts that a platform stores and fetches to verify its storage plan.
create table text_file (
    account text collate "C" not null,
    name text collate "C" not null,
    stored bigint not null,
    data bytea not null,
    primary key (account, name)
);

-- The last transaction of each writing thread: a commit whose answer is lost is looked up here.
create table write_mark (
    thread text not null primary key,
    number bigint not null,
    written timestamptz not null
);

-- What one of the nodes does at a time; a claim that has expired is anybody's.
create table claim (
    name text collate "C" primary key,
    holder text not null,
    expires bigint not null
);
