-- Times are Unix milliseconds. Text sorts by bytes, which in UTF-8 is the order of code points.

create table media (
    account text not null,
    id text not null,
    rev text not null,
    created integer not null,
    modified integer not null,
    deleted_at integer,
    language text,              -- lower case; null when missing or empty
    prompt_id text,
    original_key text,
    normalized_key text,
    doc text not null,          -- the document as compact JSON
    primary key (account, id)
);
create index media_language on media (account, language, id) where deleted_at is null;
create index media_prompt on media (account, prompt_id, id) where deleted_at is null;
create index media_deleted on media (account, deleted_at) where deleted_at is not null;

create table blob (
    account text not null,
    key text not null,
    state text not null check (state in ('pending', 'live', 'dead')),
    touched integer not null,
    size integer,
    sha256 text,
    content_type text,
    duration_ms integer,
    sample_rate_hertz integer,
    channel_count integer,
    codec text,
    loudness_lufs real,
    peak_dbfs real,
    clipped_samples integer,
    normalization text,         -- preset and everything else that decided; null: not known
    primary key (account, key)
) without rowid;
create index blob_key on blob (key);
create index blob_sweep on blob (state, touched) where state <> 'live';

-- A table of its own, as every read of a media joins the blob's row: peaks are some thousand bytes.
create table peaks (
    account text not null,
    key text not null,
    pairs blob not null,        -- int8: lowest and highest sample in turn
    primary key (account, key)
);

create table account (
    id text not null primary key,
    name text not null,
    realm text not null,
    language text not null,
    superduper_admin integer not null,
    created integer not null,
    ancestors text not null,    -- JSON array, the root first
    api_key_sha256 text not null,
    key_generation integer not null,
    name_key text not null,     -- the name as account_key() makes it, for logging in
    realm_key text not null     -- the realm in lower case
) without rowid;
create index account_api_key on account (api_key_sha256);
create index account_name_key on account (name_key, id);
create index account_realm_key on account (realm_key, id);

create table account_ancestor (
    ancestor text not null,
    account text not null,
    primary key (ancestor, account)
) without rowid;

create table user (
    account text not null,
    name text not null,
    id text not null,
    created integer not null,
    primary key (account, name)
) without rowid;

create table user_credential (
    account text not null,
    digest text not null,
    name text not null,
    primary key (account, digest)
) without rowid;

create table signing_key (
    kid text not null primary key,
    public_pem text not null,
    created integer not null
) without rowid;

create table setting (
    category text not null,
    scope text not null,
    key text not null,
    value text not null,        -- JSON
    primary key (category, scope, key)
) without rowid;

create table settings_revision (
    one integer not null primary key check (one = 1),
    revision integer not null
);
insert into settings_revision (one, revision) values (1, 0);
