-- Keys with which switches read the audio of an account. Only digests of keys are stored.

create table playback_key (
    account text not null,
    id text not null,
    name text not null,
    created integer not null,
    sha256 text not null unique,
    primary key (account, id)
) without rowid, strict;
