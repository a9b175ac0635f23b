-- Earlier contents of media. Their blobs are live.

create table media_version (
    account text not null,
    id text not null,
    number integer not null,    -- N of the last revision that had the content
    replaced integer not null,
    original_key text not null,
    normalized_key text,
    outcome text not null,      -- keys of the document about upload and conversion, as compact JSON
    primary key (account, id, number)
) without rowid, strict;
